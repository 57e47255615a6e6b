"""Makes of a training's weights a file to publish: half as large, with its metrics and licence written into it."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from restorekit.errors import UsageError
from restorekit.weights.files import read, write
from restorekit.weights.header import Header, Metric

__all__ = ["PRECISIONS", "pack"]

Precision = Literal["fp32", "fp16", "bf16"]

#: What floating-point tensors may be stored as: names of torch's dtypes.
PRECISIONS: dict[Precision, str] = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}


def pack(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    precision: Precision = "fp16",
    metrics: Sequence[Metric] = (),
    licence: str = "",
    terms: str = "",
) -> Header:
    """Store weights in another precision, and write down what was measured and what they may be used for.

    The tensors depend on ``source`` and ``precision`` alone: metrics measured on a packed file hold for one that is
    packed again with them.

    Parameters
    ----------
    source : path-like
        A weights file.
    target : path-like
        The ``.safetensors`` file to write; another one of that name is replaced.
    precision : {"fp16", "bf16", "fp32"}
        Of the floating-point tensors on disk.
    metrics : sequence of Metric
        Replace those of the same name, protocol and data in the source's header.
    licence, terms : str
        Of the weights, and of the data that they were trained on; by default as the source has them.

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
    if target.exists() and target.samefile(source):
        raise UsageError(target, "is the file that is packed", "choose another name")
    header, tensors = read(source)
    dtype: torch.dtype = getattr(torch, PRECISIONS[precision])
    stored = {name: t.to(dtype) if t.is_floating_point() else t for name, t in tensors.items()}
    for name, tensor in stored.items():
        if not torch.isfinite(tensor).all():
            raise UsageError(source, f"{name} holds values that {precision} cannot", "store it as bf16 or fp32")
    new = {(m.name, m.protocol, m.data) for m in metrics}
    kept = [m for m in header.metrics if (m.name, m.protocol, m.data) not in new]
    training = {**header.training, "terms": terms} if terms else header.training
    changed = dataclasses.replace(  # pyright: ignore
        header, metrics=(*kept, *metrics), licence=licence or header.licence, training=training
    )
    return write(target, changed, stored)
