"""Between generators and weights files: the tensors of a generator's networks, saved and loaded strictly."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from restorekit.contract import Geometry
from restorekit.errors import NotAvailable, UsageError
from restorekit.weights.files import write
from restorekit.weights.header import Header, Metric
from restorekit.weights.layout import brief

if TYPE_CHECKING:
    from restorekit.specs import GeneratorSpec

__all__ = ["load_fitting", "load_into", "misfit", "networks_of", "save", "state_of"]

#: Names told of each kind of misfit; a wrong file has hundreds.
_TOLD = 3


def networks_of(generator: object) -> dict[str, nn.Module]:
    """Return a generator's networks by name: its ``networks()``, or the module that it is itself as ``"network"``.

    A generator that has neither has none.
    """
    networks = getattr(generator, "networks", None)
    if callable(networks) and not isinstance(networks, nn.Module):
        found: Any = networks()
        return dict(found)
    return {"network": generator} if isinstance(generator, nn.Module) else {}


def state_of(generator: object) -> dict[str, Tensor]:
    """Return the parameters and persistent buffers of all networks, named ``network.parameter``.

    Raises
    ------
    UsageError
        A network's state holds something that is no tensor, or its name a full stop.
    """
    state: dict[str, Tensor] = {}
    for network, module in networks_of(generator).items():
        if not network or "." in network:
            raise UsageError(repr(network), "cannot be a network's name in a weights file", "name it without '.'")
        for name, value in module.state_dict().items():
            if not isinstance(value, Tensor):
                raise UsageError(f"{network}.{name}", "is no tensor, and weights files hold nothing else")
            state[f"{network}.{name}"] = value
    return state


def misfit(generator: object, given: Mapping[str, tuple[torch.dtype, tuple[int, ...]]]) -> str:
    """Compare what a generator's networks need with what there is; ``""`` where they agree.

    Parameters
    ----------
    generator : object
        A generator; its networks may be on the meta device.
    given : mapping
        From ``network.parameter`` to dtype and shape.
    """
    wanted = state_of(generator)
    missing = sorted(n for n in wanted if n not in given)
    unexpected = sorted(n for n in given if n not in wanted)
    both = sorted(n for n in given if n in wanted)
    shapes = [
        f"{brief(n)} is {list(given[n][1])} instead of {list(wanted[n].shape)}"
        for n in both
        if given[n][1] != tuple(wanted[n].shape)
    ]
    kinds = [
        f"{brief(n)} is {given[n][0]} instead of {wanted[n].dtype}"
        for n in both
        if _kind(given[n][0]) != _kind(wanted[n].dtype)
    ]
    problems = [
        f"missing {_some([brief(n) for n in missing])}" if missing else "",
        f"unexpected {_some([brief(n) for n in unexpected])}" if unexpected else "",
        _some(shapes),
        _some(kinds),
    ]
    return "; ".join(problem for problem in problems if problem)


def load_into(
    generator: object, tensors: Mapping[str, Tensor], *, subject: object = "weights", way_out: str = ""
) -> None:
    """Copy tensors into a generator's networks, cast to their dtypes.

    Parameters
    ----------
    generator : object
        Has networks, see `networks_of`.
    tensors : mapping of str to Tensor
        Named ``network.parameter``.
    subject : object
        What an error is about: usually the file.
    way_out : str
        What an error advises.

    Raises
    ------
    NotAvailable
        A tensor is missing, unexpected or of another shape or kind; nothing was copied.
    """
    problem = misfit(generator, {name: (tensor.dtype, tuple(tensor.shape)) for name, tensor in tensors.items()})
    if problem:
        raise NotAvailable(subject, f"does not fit the generator ({problem})", way_out)
    for network, module in networks_of(generator).items():
        prefix = f"{network}."
        module.load_state_dict({n.removeprefix(prefix): t for n, t in tensors.items() if n.startswith(prefix)})


def load_fitting(generator: object, tensors: Mapping[str, Tensor]) -> tuple[int, int]:
    """Copy those tensors whose names, shapes and kinds a generator's networks have, and leave the others alone.

    Parameters
    ----------
    generator : object
        Has networks, see `networks_of`.
    tensors : mapping of str to Tensor
        Named ``network.parameter``.

    Returns
    -------
    tuple of int
        How many were copied, and how many the networks have.
    """
    state = state_of(generator)  # shares its memory with the networks
    fitting = {
        name: tensor
        for name, tensor in tensors.items()
        if name in state and tensor.shape == state[name].shape and _kind(tensor.dtype) == _kind(state[name].dtype)
    }
    with torch.no_grad():
        for name, tensor in fitting.items():
            state[name].copy_(tensor)
    return len(fitting), len(state)


def save(
    generator: object,
    path: str | os.PathLike[str],
    *,
    spec: GeneratorSpec,
    config: object,
    training: Mapping[str, Any] | None = None,
    metrics: Sequence[Metric | Mapping[str, Any]] = (),
    licence: str = "",
    dtype: torch.dtype | None = None,
    tensors: Mapping[str, Tensor] | None = None,
) -> Header:
    """Write a generator's weights with everything that is needed to run them.

    Parameters
    ----------
    generator : object
        Has networks.
    path : path-like
        The ``.safetensors`` file; another one of that name is replaced.
    spec : GeneratorSpec
        Its description.
    config : object
        The configuration it was built with.
    training : mapping, optional
        JSON values: data and its terms, steps, seed, degradation.
    metrics : sequence of Metric or mapping
        What was measured.
    licence : str
        Of the weights.
    dtype : torch.dtype, optional
        What floating-point tensors are stored as; by default as they are.
    tensors : mapping, optional
        Saved instead of the networks' own, such as their moving average; named ``network.parameter``.

    Returns
    -------
    Header
        As written.

    Raises
    ------
    UsageError
        The weights are not finite or do not fit ``dtype``, or something given cannot be written down as JSON.
    OutputError
        The file cannot be written; an older one stays.
    """
    import pydantic
    from pydantic_core import PydanticSerializationError, to_jsonable_python

    given = state_of(generator) if tensors is None else dict(tensors)
    if problem := misfit(generator, {name: (t.dtype, tuple(t.shape)) for name, t in given.items()}):
        raise UsageError(path, f"these tensors are not those of {spec.name} ({problem})")
    stored = {name: _stored(path, name, tensor, dtype) for name, tensor in given.items()}
    geometry = getattr(generator, "geometry", None)
    try:
        header = Header(
            generator=spec.name,
            api=spec.api,
            config=to_jsonable_python(config),
            tasks=tuple(sorted(spec.tasks)),
            geometry=to_jsonable_python(dataclasses.asdict(geometry)) if isinstance(geometry, Geometry) else None,
            training=to_jsonable_python(dict(training or {})),
            metrics=tuple(m if isinstance(m, Metric) else Metric(**m) for m in metrics),
            licence=licence,
        )
        return write(path, header, stored)
    except (pydantic.ValidationError, PydanticSerializationError, ValueError, TypeError) as error:
        raise UsageError(path, f"cannot be described in a weights file ({error})") from error


def _stored(path: object, name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    if not tensor.is_floating_point():
        return tensor
    if not torch.isfinite(tensor).all():
        raise UsageError(path, f"{name} holds NaN or infinity", "the training has diverged; take an earlier checkpoint")
    cast = tensor.detach().to(dtype or tensor.dtype)
    if not torch.isfinite(cast).all():
        raise UsageError(path, f"{name} holds values that {dtype} cannot", "store it as bfloat16 or float32")
    return cast


def _kind(dtype: torch.dtype) -> str:
    if dtype.is_floating_point:
        return "float"
    return "bool" if dtype == torch.bool else "complex" if dtype.is_complex else "integer"


def _some(texts: Sequence[str]) -> str:
    more = f" and {len(texts) - _TOLD} more" if len(texts) > _TOLD else ""
    return ", ".join(texts[:_TOLD]) + more
