"""Weights between two files of one network: a share of each, tensor by tensor."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

from restorekit.errors import UsageError
from restorekit.weights.files import file_sha256, read, write
from restorekit.weights.header import Header

__all__ = ["BLENDED", "blend"]

#: Key of a blended file's training record.
BLENDED = "blended"
#: What is told of the first file's training.
_TOLD = ("data", "terms", "steps", "degradation", "start")


def blend(
    first: str | os.PathLike[str], second: str | os.PathLike[str], target: str | os.PathLike[str], share: float
) -> Header:
    """Write weights between two files, where the second was trained on from the first or from the same start.

    Between a network that was taught for PSNR and one taught for the eye lie networks with the sharpness of the one and
    few of its artefacts.

    Parameters
    ----------
    first, second : path-like
        Weights of one network.
    target : path-like
        The ``.safetensors`` file to write; another one of that name is replaced.
    share : float
        Of the second file, 0 to 1.

    Returns
    -------
    Header
        As written: the second file's, with the first one's training and no metrics.

    Raises
    ------
    NotAvailable
        One of the files is no sound weights file.
    UsageError
        The networks differ, the share is not between 0 and 1, or the target is no ``.safetensors`` file.
    OutputError
        The target cannot be written.

    References
    ----------
    Wang et al. 2018, "ESRGAN: Enhanced super-resolution generative adversarial networks", section 3.4.
    """
    import torch

    first, second, target = Path(first), Path(second), Path(target)
    if target.suffix != ".safetensors":
        raise UsageError(target, "is no name for a weights file", "end it in .safetensors")
    if not 0 <= share <= 1:
        raise UsageError("--share", f"{share:g} is none", "give a number between 0 and 1")
    (one, ones), (other, others) = read(first), read(second)
    alike = {name: t.shape for name, t in ones.items()} == {name: t.shape for name, t in others.items()}
    if (one.generator, one.config) != (other.generator, other.config) or not alike:
        raise UsageError(second, f"is of another network than {first.name}", "blend weights of one network")
    blended = {
        name: torch.lerp(ones[name].float(), tensor.float(), share).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in others.items()
    }
    told = {key: one.training[key] for key in _TOLD if key in one.training}
    record = {"share": share, "first": file_sha256(first), "second": file_sha256(second), "first_training": told}
    training = {**other.training, BLENDED: record}
    return write(target, dataclasses.replace(other, training=training, metrics=()), blended)  # pyright: ignore
