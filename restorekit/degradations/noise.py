"""Sensor noise: Gaussian and photon (Poisson) noise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

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
    clip : bool
        Clip the result to [0, 1]. Denoisers are measured on noise that is not clipped.
    """

    name: ClassVar[str] = "noise"
    choice: ClassVar[str] = "sigma"
    sigma: Annotated[Range, Between(0, 255)] = Range(25, 25)
    gray: bool = False
    clip: bool = False

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Add noise."""
        images = pictures.images
        shape = (1 if self.gray else 3, *images.shape[-2:])
        noise = np.empty((len(chances), *shape), dtype=np.float32)
        for plane, chance in zip(noise, chances, strict=True):
            sigma = np.float32(self.sigma.draw(chance) / 255)
            np.multiply(chance.standard_normal(shape, dtype=np.float32), sigma, out=plane)
        noisy = images + torch.from_numpy(noise).to(images)
        return Degraded(noisy.clamp(0, 1) if self.clip else noisy, pictures.masks)


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
