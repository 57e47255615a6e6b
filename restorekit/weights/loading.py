"""Builds a generator from a weights file alone: its configuration from the header, its networks' values behind it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from restorekit.errors import RestorekitError
from restorekit.weights.files import WeightsFile, storage_dtypes
from restorekit.weights.networks import load_into, misfit, networks_of

__all__ = ["build_from"]


def build_from(file: WeightsFile, config_class: type, build: Callable[[Any], object]) -> tuple[object, object, str]:
    """Build a generator and give it the weights of an open file.

    Parameters
    ----------
    file : WeightsFile
        Written for this generator.
    config_class : type
        The generator's configuration: a pydantic dataclass.
    build : callable
        Takes the configuration and returns the generator.

    Returns
    -------
    generator : object
        On the CPU, its networks in evaluation mode.
    config : object
        The configuration, as the header has it.
    sha256 : str
        Of the file.

    Raises
    ------
    NotAvailable
        The configuration is not one of this generator's, or the tensors do not fit or are damaged.
    """
    config = _config(file, config_class)
    given = {n: (storage_dtypes()[e.dtype], e.shape) for n, e in file.layout.entries.items()}
    if problem := _misfit_unbuilt(config, build, given):
        raise file.problem(f"does not fit the generator ({problem})")
    tensors, sha256 = file.read()
    generator = build(config)
    load_into(generator, tensors, subject=file.path)
    for module in (generator, *networks_of(generator).values()):
        if isinstance(module, nn.Module):
            module.eval()
    return generator, config, sha256


def _config(file: WeightsFile, config_class: type) -> object:
    import dataclasses

    import pydantic

    known = {field.name for field in dataclasses.fields(config_class)}
    # pydantic passes over what it does not know; a network must not silently become another one.
    if unknown := sorted(set(file.header.config) - known):
        problem = f"sets {unknown[0]!r}, which the installed {file.header.generator} does not have"
        raise file.problem(problem, "update the plugin that brings it")
    try:
        return pydantic.TypeAdapter(config_class).validate_json(json.dumps(file.header.config))
    except pydantic.ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "something"
        raise file.problem(
            f"sets {where} to what the installed {file.header.generator} does not take ({first['msg']})"
        ) from None


def _misfit_unbuilt(config: object, build: Callable[[Any], object], given: dict[str, Any]) -> str:
    """Compare on the meta device, which allocates nothing: a small file may claim a network larger than the memory."""
    try:
        with torch.device("meta"), _NothingToFill():
            return misfit(build(config), given)
    except RestorekitError:
        raise
    except Exception:  # code that cannot run without values is simply built, and compared then
        return ""


class _NothingToFill(TorchFunctionMode):
    """Leaves tensors without values as they are: to draw none, torch would import its compiler for a second."""

    _FILLING = frozenset((Tensor.normal_, Tensor.uniform_, Tensor.bernoulli_, Tensor.exponential_, Tensor.random_))

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """See torch."""
        if func in self._FILLING and args[0].is_meta:
            return args[0]
        return func(*args, **(kwargs or {}))
