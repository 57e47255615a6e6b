"""Sensor noise: Gaussian and photon (Poisson) noise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from scipy import ndimage

from restorekit.degradations.damage import Chance, Degraded
from restorekit.degradations.ranges import Between, Range
from restorekit.degradations.tone import luma

__all__ = ["Noise", "Poisson"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Noise:
    """Gaussian noise, added to the float values.

    Parameters
    ----------
    sigma : Range
        Standard deviation in units of 1/255.
    gray : bool
        The same noise in all three channels.
    grain : Range
        Size of the grains, as of film or of pictures that were enlarged: standard deviation, in pixels, of the Gaussian
        that the noise is smoothed with before it has the strength of ``sigma``. At 0 neighbours are independent.
    clip : bool
        Clip the result to [0, 1]. Denoisers are measured on noise that is not clipped.
    """

    name: ClassVar[str] = "noise"
    choice: ClassVar[str] = "sigma"
    sigma: Annotated[Range, Between(0, 255)] = Range(25, 25)
    gray: bool = False
    grain: Annotated[Range, Between(0, 8)] = Range(0, 0)
    clip: bool = False

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Add noise."""
        images = pictures.images
        shape = (1 if self.gray else 3, images.shape[-2], images.shape[-1])
        noise = np.empty((len(chances), *shape), dtype=np.float32)
        for plane, chance in zip(noise, chances, strict=True):
            sigma = np.float32(self.sigma.draw(chance) / 255)
            np.multiply(_grains(chance, shape, self.grain.draw(chance)), sigma, out=plane)
        noisy = images + torch.from_numpy(noise).to(images)
        return Degraded(noisy.clamp(0, 1) if self.clip else noisy, pictures.masks)


def _grains(chance: Chance, shape: tuple[int, int, int], size: float) -> NDArray[np.float32]:
    """Draw noise of standard deviation 1, smoothed by a Gaussian of this size: as even at the rim as elsewhere."""
    reach = math.ceil(3 * size)
    channels, height, width = shape[0], shape[1] + 2 * reach, shape[2] + 2 * reach
    drawn: NDArray[np.float32] = chance.standard_normal((channels, height, width), dtype=np.float32)
    if reach == 0:
        return drawn
    taps = np.exp(-0.5 * (np.arange(-reach, reach + 1) / size) ** 2)
    taps /= np.sqrt((taps**2).sum())
    for axis in (1, 2):
        drawn = np.asarray(ndimage.correlate1d(drawn, taps, axis), np.float32)
    return drawn[:, reach:-reach, reach:-reach]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Poisson:
    """Photon noise: stronger in bright areas, as with a sensor in little light.

    Parameters
    ----------
    photons : Range
        Photons that a white pixel receives in each channel; fewer are noisier. The noise of a value ``x`` has the
        standard deviation ``sqrt(x / photons)``.
    gray : bool
        Draw the noise once, from the luma, and add it to all three channels.
    clip : bool
        Clip the result to [0, 1].
    """

    name: ClassVar[str] = "poisson"
    choice: ClassVar[str] = "photons"
    photons: Annotated[Range, Between(1, 1e6)] = Range(100, 100)
    gray: bool = False
    clip: bool = False

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Count photons."""
        images = pictures.images
        light = (luma(images) if self.gray else images).clamp(0, 1).to("cpu", torch.float64).numpy()
        noise = np.empty_like(light)
        for i, chance in enumerate(chances):
            photons = self.photons.draw(chance)
            noise[i] = chance.poisson(light[i] * photons) / photons - light[i]
        noisy = images + torch.from_numpy(noise).to(images)
        return Degraded(noisy.clamp(0, 1) if self.clip else noisy, pictures.masks)
