"""Losses between pictures."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["pixel_loss"]


def pixel_loss(kind: Literal["l1", "charbonnier", "l2"], restored: Tensor, target: Tensor) -> Tensor:
    """Return the mean difference of two batches of pictures, in float32.

    Parameters
    ----------
    kind : {"l1", "charbonnier", "l2"}
        Absolute, ``sqrt(d**2 + 1e-6)`` (Charbonnier et al. 1994; smooth at 0), or squared.
    restored, target : Tensor
        Of one shape.
    """
    if kind == "l1":
        return F.l1_loss(restored.float(), target.float())
    if kind == "l2":
        return F.mse_loss(restored.float(), target.float())
    return torch.sqrt((restored.float() - target.float()) ** 2 + 1e-6).mean()
