"""Damage to colour and contrast: fading, and the loss of colour."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded, each_picture
from restorekit.degradations.ranges import Between, Range

__all__ = ["Fade", "Gray", "luma"]

#: How much of red, green and blue a completely faded print may lose: which dyes fade first differs by process.
_CASTS = {
    "none": (0.0, 0.0, 0.0),
    "warm": (0.0, 0.08, 0.3),
    "magenta": (0.0, 0.18, 0.1),
    "cyan": (0.22, 0.03, 0.0),
}


def luma(images: Tensor) -> Tensor:
    """Return the BT.601 luma of ``(..., 3, H, W)`` as ``(..., 1, H, W)``, full range."""
    red, green, blue = images.split(1, dim=-3)
    return red * 0.299 + green * 0.587 + blue * 0.114


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Gray:
    """The colours are lost: three equal channels of BT.601 luma."""

    name: ClassVar[str] = "gray"
    choice: ClassVar[str] = ""

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Drop the colours."""
        grey = luma(pictures.images).expand_as(pictures.images).contiguous()
        return Degraded(grey, pictures.masks)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Fade:
    """An old print: blacks turn grey, whites yellow, colours pale, and one dye goes before the others.

    Parameters
    ----------
    strength : Range
        From 0 (as new) to 1.
    cast : {"random", "none", "warm", "magenta", "cyan"}
        Where the colours drift.
    """

    name: ClassVar[str] = "fade"
    choice: ClassVar[str] = "strength"
    strength: Annotated[Range, Between(0, 1)] = Range(0.3, 0.8)
    cast: Literal["random", "none", "warm", "magenta", "cyan"] = "random"

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Fade each print by its own age."""
        return Degraded(each_picture(self._fade, pictures.images, chances), pictures.masks)

    def _fade(self, image: Tensor, chance: Chance) -> Tensor:
        strength = self.strength.draw(chance)
        cast = str(chance.choice(["warm", "magenta", "cyan"])) if self.cast == "random" else self.cast
        gamma = 1 + strength * chance.uniform(-0.35, 0.35)
        saturation = 1 - strength * chance.uniform(0.2, 0.7)
        black = strength * chance.uniform(0.1, 0.35)
        losses = [strength * chance.uniform(0.5, 1.0) * loss for loss in _CASTS[cast]]
        white = 1 - strength * chance.uniform(0.0, 0.15)
        clipped = image.clamp(0, 1)
        grey = luma(clipped)
        pale = (grey + (clipped - grey) * saturation).clamp(0, 1) ** gamma
        tops = torch.tensor([white * (1 - loss) for loss in losses], dtype=image.dtype, device=image.device)
        bottoms = tops * black
        return bottoms[:, None, None] + (tops - bottoms)[:, None, None] * pale
