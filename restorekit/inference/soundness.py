"""Tells outputs that a network cannot have meant."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["BLANK", "INFINITE", "SOUND", "examined", "examined_apart", "is_blank", "is_finite"]

#: What an output may be: fine, with NaN or infinity in it, of one colour though its input was not.
SOUND, INFINITE, BLANK = range(3)


def is_finite(image: Tensor) -> bool:
    """Whether ``(C, H, W)`` holds neither NaN nor infinity."""
    # NaN and infinity survive a sum, which costs a tenth of looking at every value.
    return bool(torch.isfinite(image.sum()))


def is_blank(image: Tensor) -> bool:
    """Whether ``(C, H, W)`` shows one colour; most pictures are told from it by a few pixels."""
    few = image[:, :: max(1, image.shape[1] // 16), :: max(1, image.shape[2] // 16)]
    return all(bool((part.clamp(0, 1) == part[:, :1, :1].clamp(0, 1)).all()) for part in (few, image))


def examined(before: Tensor, after: Tensor, *, blanks: bool) -> Tensor:
    """Look at ``(N, C, H, W)`` of a generator, as far as it takes.

    Parameters
    ----------
    before, after : Tensor
        What it was given and what it made.
    blanks : bool
        Whether an output of one colour is wrong where the input had several: the black squares that overflowing
        networks are known for.

    Returns
    -------
    Tensor
        ``(N,)``: `SOUND`, `INFINITE` or `BLANK`.
    """

    def found(sample: int) -> int:
        if not is_finite(after[sample]):
            return INFINITE
        return BLANK if blanks and is_blank(after[sample]) and not is_blank(before[sample]) else SOUND

    return torch.tensor([found(sample) for sample in range(len(after))], dtype=torch.uint8)


def examined_apart(before: Tensor, after: Tensor, *, blanks: bool) -> Tensor:
    """Do as `examined` does, by looking at everything and without waiting for the device at any point."""
    finite = torch.isfinite(after.sum(dim=(1, 2, 3)))
    verdict = torch.where(finite, SOUND, INFINITE)
    if blanks:
        blank = finite & _of_one_colour(after) & ~_of_one_colour(before)
        verdict = torch.where(blank, BLANK, verdict)
    return verdict.to(torch.uint8)


def _of_one_colour(images: Tensor) -> Tensor:
    return (images.clamp(0, 1) == images[:, :, :1, :1].clamp(0, 1)).flatten(1).all(dim=1)
