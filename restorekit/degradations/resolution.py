"""Loss of resolution: a smaller picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch.nn.functional as F
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded, keep_range
from restorekit.images.resize import resize

__all__ = ["Downscale", "shrink_masks"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Downscale:
    """A smaller picture, by the MATLAB-compatible resize that super-resolution is measured with.

    Parameters
    ----------
    factor : float
        How many times smaller along each axis; the same for all pictures, whose sizes must stay equal. The result has
        ``ceil(length / factor)`` pixels.
    kernel : {"bicubic", "bilinear", "lanczos3", "box", "nearest"}
        What the pixels are weighted with; antialiased except for ``"nearest"``.
    """

    name: ClassVar[str] = "downscale"
    choice: ClassVar[str] = "factor"
    factor: Annotated[float, Field(ge=1, le=64, allow_inf_nan=False)] = 4
    kernel: Literal["bicubic", "bilinear", "lanczos3", "box", "nearest"] = "bicubic"

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Shrink pictures and masks."""
        images = pictures.images
        small = keep_range(resize(images, scale=1 / self.factor, kernel=self.kernel), images)
        masks = None if pictures.masks is None else shrink_masks(pictures.masks, (small.shape[-2], small.shape[-1]))
        return Degraded(small, masks)


def shrink_masks(masks: Tensor, size: tuple[int, int]) -> Tensor:
    """Shrink ``(N, 1, H, W)`` masks: a pixel that covers any damage is damaged."""
    return F.adaptive_max_pool2d(masks, size)
