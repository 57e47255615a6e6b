"""Losses between pictures."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["pixel_loss"]

#: Mean square from which a picture's PSNR hardly counts any more: that of 40 dB.
_GOOD_ENOUGH = 1e-4


def pixel_loss(kind: Literal["l1", "charbonnier", "l2", "psnr"], restored: Tensor, target: Tensor) -> Tensor:
    """Return the mean difference of two batches of pictures, in float32.

    Parameters
    ----------
    kind : {"l1", "charbonnier", "l2", "psnr"}
        Absolute; ``sqrt(d**2 + 1e-6)`` (Charbonnier et al. 1994; smooth at 0); squared; or the mean of each picture's
        ``ln(mean square + 1e-4)``, by which light and heavy damage count alike, as in a mean of PSNRs, but for what is
        nearly perfect already (Chen et al. 2021, "HINet", have the logarithm without the 1e-4).
    restored, target : Tensor
        Of one shape, pictures in [0, 1].
    """
    if kind == "l1":
        return F.l1_loss(restored.float(), target.float())
    if kind == "l2":
        return F.mse_loss(restored.float(), target.float())
    if kind == "psnr":
        errors = (restored.float() - target.float()).square().flatten(1).mean(dim=1)
        return (errors + _GOOD_ENOUGH).log().mean()
    return torch.sqrt((restored.float() - target.float()) ** 2 + 1e-6).mean()
