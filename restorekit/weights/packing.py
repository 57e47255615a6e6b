"""Makes of a training's weights a file to publish: half as large, with its licence and what was measured of it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

from restorekit.errors import UsageError
from restorekit.weights.files import file_sha256, read, write
from restorekit.weights.header import Header, Metric

__all__ = ["PACKED_FROM", "PRECISIONS", "pack", "record"]

#: What floating-point tensors may be stored as: names of torch's dtypes.
PRECISIONS = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


#: Key of a packed file's training record: the checksum of the file that it was made of.
PACKED_FROM = "packed_from"


def pack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    precision: str = "fp16",
    licence: str = "",
    terms: str = "",
    limits: str = "",
) -> Header:
    """Store weights in another precision, and write down what they may be used for.

    Parameters
    ----------
    source : path-like
        A weights file.
    target : path-like
        The ``.safetensors`` file to write; another one of that name is replaced.
    precision : {"fp16", "bf16", "fp32"}
        Of the floating-point tensors on disk.
    licence, terms, limits : str
        Of the weights, of the data that they were trained on, and what they are not good for; by default as the source
        has them.

    Returns
    -------
    Header
        As written.

    Raises
    ------
    NotAvailable
        The source is no sound weights file.
    UsageError
        The target is no ``.safetensors`` file or the source itself, or a value is too large for the precision.
    OutputError
        The target cannot be written.
    """
    import torch

    source, target = Path(source), Path(target)
    if target.suffix != ".safetensors":
        raise UsageError(target, "is no name for a weights file", "end it in .safetensors")
    if precision not in PRECISIONS:
        raise UsageError("--precision", f"{precision} is none", f"choose {', '.join(PRECISIONS)}")
    if target.exists() and target.samefile(source):
        raise UsageError(target, "is the file that is packed", "choose another name")
    header, tensors = read(source)
    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    stored = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    for name, tensor in stored.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(source, f"{name} holds values that {precision} cannot", "store it as bf16 or fp32")
    training = {**header.training, PACKED_FROM: file_sha256(source)}
    changed = dataclasses.replace(  # pyright: ignore
        header,
        licence=licence or header.licence,
        limits=limits or header.limits,
        training={**training, "terms": terms} if terms else training,
    )
    return write(target, changed, stored)


def record(path: str | os.PathLike[str], metrics: Sequence[Metric] = (), limits: str = "") -> Header:
    """Write metrics and limits into the header of a weights file; its tensors stay as they are.

    Parameters
    ----------
    path : path-like
        A weights file; replaced.
    metrics : sequence of Metric
        Replace those of the same name, protocol and data.
    limits : str
        What the weights are not good for; by default as the file has it.

    Returns
    -------
    Header
        As written.

    Raises
    ------
    NotAvailable
        It is no sound weights file.
    OutputError
        It cannot be written; the older file stays.
    """
    header, tensors = read(path)
    new = {(m.name, m.protocol, m.data) for m in metrics}
    kept = [m for m in header.metrics if (m.name, m.protocol, m.data) not in new]
    changed = dataclasses.replace(header, metrics=(*kept, *metrics), limits=limits or header.limits)  # pyright: ignore
    return write(path, changed, tensors)
