"""Tells outputs that a network cannot have meant."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["is_blank", "is_finite"]


def is_finite(image: Tensor) -> bool:
    """Whether ``(C, H, W)`` holds neither NaN nor infinity."""
    # NaN and infinity survive a sum, which costs a tenth of looking at every value.
    return bool(torch.isfinite(image.sum()))


def is_blank(image: Tensor) -> bool:
    """Whether ``(C, H, W)`` shows one colour; most pictures are told from it by a few pixels."""
    few = image[:, :: max(1, image.shape[1] // 16), :: max(1, image.shape[2] // 16)]
    return all(bool((part.clamp(0, 1) == part[:, :1, :1].clamp(0, 1)).all()) for part in (few, image))
