"""Turns other toolkits' weights into self-describing ones: asks the installed generators who knows the network."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from restorekit.contract import Converted
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.registry import Registry
from restorekit.specs import GeneratorSpec
from restorekit.values import resolve
from restorekit.weights.files import file_sha256
from restorekit.weights.foreign import read_foreign
from restorekit.weights.header import Header
from restorekit.weights.layout import brief
from restorekit.weights.networks import load_into, save

__all__ = ["convert"]


def convert(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    registry: Registry,
    generator: str = "",
    licence: str = "",
) -> Header:
    """Write foreign weights as a self-describing weights file.

    Parameters
    ----------
    source : path-like
        A torch pickle, of which no code is run, or a safetensors file.
    target : path-like
        The ``.safetensors`` file to write.
    registry : Registry
        The generators to ask; those whose spec names a converter answer.
    generator : str
        Ask this one only.
    licence : str
        Of the weights, where the converter does not know it.

    Returns
    -------
    Header
        Of the written file. Its training record holds the source's name and checksum.

    Raises
    ------
    NotAvailable
        The source cannot be read safely, or nobody knows its network.
    UsageError
        The target is no ``.safetensors`` file, there is no such generator, or several know the network.
    OutputError
        The target cannot be written.
    """
    source, target = Path(source), Path(target)
    if target.suffix != ".safetensors":
        raise UsageError(target, "is no name for a weights file", "end it in .safetensors")
    asked = _asked(registry, generator)
    state = read_foreign(source)
    spec, converted = _taker(source, state, asked)
    # Built and filled before anything is written: what does not fit is not converted.
    built = registry.construct(spec, converted.config)
    load_into(built, converted.tensors, subject=source)
    origin = {"converted_from": {"file": source.name, "sha256": file_sha256(source)}}
    return save(
        built,
        target,
        spec=spec,
        config=converted.config,
        training={**converted.training, **origin},
        licence=converted.licence or licence,
        tensors=converted.tensors,
    )


def _asked(registry: Registry, name: str) -> list[GeneratorSpec]:
    if not name:
        return [spec for spec in registry.generators if spec.converter]
    spec = registry.spec(name)
    if not spec.converter:
        raise UsageError(name, "converts no foreign weights", "leave --generator out to ask all that do")
    return [spec]


def _taker(source: Path, state: Mapping[str, Tensor], asked: list[GeneratorSpec]) -> tuple[GeneratorSpec, Converted]:
    takers: list[tuple[GeneratorSpec, Converted]] = []
    failures: list[str] = []
    for spec in asked:
        try:
            converter: Any = resolve(spec, spec.converter)
            converted = converter(dict(state))
        except RestorekitError as error:
            failures.append(str(error))
        except Exception as error:  # one plugin's trouble is never another's
            failures.append(f"{spec.name} failed: {type(error).__name__}: {' '.join(str(error).split())}")
        else:
            if converted is not None:
                takers.append((spec, converted))
    if len(takers) > 1:
        names = ", ".join(spec.name for spec, _ in takers)
        raise UsageError(source, f"is recognised by {names}", "choose one with --generator")
    if takers:
        return takers[0]
    first = ", ".join(f"{brief(name)} {list(state[name].shape)}" for name in list(state)[:3])
    nobody = f"not recognised by {asked[0].name}" if len(asked) == 1 else "recognised by no installed generator"
    way_out = "; ".join(failures) or "install a plugin that knows it"
    raise NotAvailable(source, f"is {nobody}: {len(state)} tensors, the first are {first}", way_out)
