"""Missing parts of a picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded
from restorekit.degradations.masks import center_hole, irregular_hole, random_hole
from restorekit.degradations.overlay import union
from restorekit.degradations.ranges import Between, Range

__all__ = ["Holes"]

_KINDS = {
    "irregular": (irregular_hole, Range(0.1, 0.4)),
    "center": (center_hole, Range(0.25, 0.25)),
    "random": (random_hole, Range(0.1, 0.4)),
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Holes:
    """Parts of the picture are missing.

    Parameters
    ----------
    kind : {"irregular", "center", "random"}
        Brush strokes, one rectangle in the middle, or several rectangles anywhere.
    coverage : Range, optional
        Share of the area that is missing; by default 0.1 to 0.4, and 0.25 for ``center``.
    fill : {"white", "black", "mean", "noise"}
        What is there instead; ``mean`` is the mean colour of what is left.
    """

    name: ClassVar[str] = "holes"
    choice: ClassVar[str] = "kind"
    kind: Literal["irregular", "center", "random"] = "irregular"
    coverage: Annotated[Range, Between(0.001, 0.95)] | None = None
    fill: Literal["white", "black", "mean", "noise"] = "white"

    def mark(self, size: tuple[int, int], chance: Chance) -> NDArray[np.uint8]:
        """Draw one picture's hole: ``(H, W)`` in {0, 1}."""
        shape, usual = _KINDS[self.kind]
        return shape(size, self.coverage or usual, chance)

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Cut holes."""
        images = pictures.images
        if not chances:
            return pictures
        size = (images.shape[-2], images.shape[-1])
        holes = np.stack([self.mark(size, chance) for chance in chances])
        masks = torch.from_numpy(holes)[:, None].to(images)
        filling = torch.stack([self._filling(*each) for each in zip(images, masks, chances, strict=True)])
        return Degraded(torch.where(masks > 0, filling, images), union(pictures.masks, masks))

    def _filling(self, image: Tensor, mask: Tensor, chance: Chance) -> Tensor:
        if self.fill == "noise":
            return torch.from_numpy(chance.random(tuple(image.shape), dtype=np.float32)).to(image)
        if self.fill == "mean":
            # Summed on the CPU in float64: a GPU's order of summation may depend on the batch.
            left = (1 - mask).to("cpu", torch.float64)
            mean = (image.to("cpu", torch.float64) * left).sum(dim=(1, 2)) / left.sum().clamp(min=1)
            return mean.to(image)[:, None, None].expand_as(image)
        return torch.full_like(image, 1.0 if self.fill == "white" else 0.0)
