"""Haze: distant things fade into the light of the air."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded, each_picture
from restorekit.degradations.ranges import Between, Range

__all__ = ["Haze"]

#: Waves that distances are made of, and their shortest length as a share of the picture's side.
_WAVES, _SHORTEST = 5, 0.6
#: Largest difference of a channel of the air's light from their mean.
_TINT = 0.03


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Haze:
    """Haze by the atmospheric scattering model, ``I = J t + A (1 - t)`` with the transmission ``t = exp(-density d)``.

    The distances d, from near 0 to 1, are smooth and random, and mostly grow towards the top; A is the air's light.

    Parameters
    ----------
    density : Range
        Optical depth at the farthest point: of what is there, a share of exp(-density) is left.
    light : Range
        The air's brightness, 0 to 1; it is nearly neutral.

    References
    ----------
    Koschmieder 1924, "Theorie der horizontalen Sichtweite"; in this form Narasimhan and Nayar 2002, "Vision and the
    atmosphere".
    """

    name: ClassVar[str] = "haze"
    choice: ClassVar[str] = "density"
    density: Annotated[Range, Between(0, 10)] = Range(0.6, 2.0)
    light: Annotated[Range, Between(0, 1)] = Range(0.7, 1.0)

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Let haze rise in each picture."""
        return Degraded(each_picture(self._haze, pictures.images, chances), pictures.masks)

    def _haze(self, image: Tensor, chance: Chance) -> Tensor:
        density, light = self.density.draw(chance), self.light.draw(chance)
        air = np.clip(light + chance.uniform(-_TINT, _TINT, 3), 0, 1)[:, None, None]
        left = np.exp(-density * _distances((image.shape[-2], image.shape[-1]), chance))
        transmission = torch.from_numpy(left).to(image)
        return image * transmission + torch.from_numpy(air * (1 - left)).to(image)


def _distances(size: tuple[int, int], chance: Chance) -> NDArray[np.float64]:
    """Return ``(H, W)`` distances: the nearest from 0 to 0.4, the farthest 1."""
    y, x = (np.linspace(0, 1, length) for length in size)
    y, x = y[:, None], x[None, :]
    ground = (1 - y) * chance.uniform(0.3, 1.5) + x * chance.uniform(-0.5, 0.5)
    waves = np.zeros(size)
    for _ in range(_WAVES):
        angle, phase = chance.uniform(0, 2 * math.pi, 2)
        along = x * math.cos(angle) + y * math.sin(angle)
        waves += chance.uniform(0.1, 0.4) * np.cos(2 * math.pi * along * chance.uniform(0, 1 / _SHORTEST) + phase)
    distances = ground + waves
    spread = np.ptp(distances)
    relative = (distances - distances.min()) / spread if spread > 0 else np.ones(size)
    nearest = chance.uniform(0, 0.4)
    return nearest + (1 - nearest) * relative
