"""The unknown damage of real pictures: blur, resizing, noise and JPEG, twice, each drawn at random."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass as plain_dataclass
from typing import Annotated, ClassVar

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.blur import Blur
from restorekit.degradations.compression import Jpeg
from restorekit.degradations.damage import Chance, Damage, Degraded, keep_range
from restorekit.degradations.noise import Noise, Poisson
from restorekit.degradations.ranges import Range
from restorekit.degradations.resolution import shrink_masks
from restorekit.images.resize import Kernel, resize

__all__ = ["Real"]

#: What the resizes between the stages use. Bicubic without antialiasing is what careless programs do.
_RESIZES: tuple[tuple[Kernel, bool], ...] = (("bicubic", True), ("bilinear", True), ("box", True), ("bicubic", False))


@plain_dataclass(frozen=True, slots=True)
class _Stage:
    """One pass; probabilities and intervals as Real-ESRGAN has them.

    Parameters
    ----------
    blurred, enlarged, reduced : float
        Probability of a blur, of a resize above 1 and of one below.
    blur, enlargement, reduction, sigma, grain : Range
        Standard deviation of the blur in pixels, scale of the two resizes, Gaussian noise in 1/255, and Poisson noise
        as a multiple of that of 256 photons at white.
    """

    blurred: float
    blur: Range
    enlarged: float
    enlargement: Range
    reduced: float
    reduction: Range
    sigma: Range
    grain: Range


_FIRST = _Stage(1.0, Range(0.2, 3), 0.2, Range(1, 1.5), 0.7, Range(0.15, 1), Range(1, 30), Range(0.05, 3))
_SECOND = _Stage(0.8, Range(0.2, 1.5), 0.3, Range(1, 1.2), 0.4, Range(0.3, 1), Range(1, 25), Range(0.05, 2.5))
_QUALITY = Range(30, 95)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Real:
    """Two random passes of blur, resize, noise and JPEG, ending ``factor`` times smaller.

    Follows Wang et al., "Real-ESRGAN: Training Real-World Blind Super-Resolution with Pure Synthetic Data", 2021,
    without its sinc filters.

    Parameters
    ----------
    factor : int
        How many times smaller the result is along each axis; 1 keeps the size.
    """

    name: ClassVar[str] = "real"
    choice: ClassVar[str] = "factor"
    factor: Annotated[int, Field(ge=1, le=16)] = 4

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Damage each picture in its own way."""
        images = pictures.images
        size = (-(-images.shape[-2] // self.factor), -(-images.shape[-1] // self.factor))
        damaged = [_damage(image[None], size, chance) for image, chance in zip(images, chances, strict=True)]
        masks = None if pictures.masks is None else shrink_masks(pictures.masks, size)
        return Degraded(torch.cat(damaged), masks) if damaged else Degraded(resize(images, size), masks)


def _damage(image: Tensor, size: tuple[int, int], chance: Chance) -> Tensor:
    height, width = image.shape[-2:]
    image = _pass(image, _FIRST, (height, width), chance)
    image = _apply(Jpeg(quality=_QUALITY), image, chance)
    image = _pass(image, _SECOND, size, chance)
    # Half the pictures of the web were resized after their last compression, half before.
    steps = [lambda x: _resized(x, size, chance), lambda x: _apply(Jpeg(quality=_QUALITY), x, chance)]
    for step in steps if chance.random() < 0.5 else reversed(steps):
        image = step(image)
    return image.clamp(0, 1)


def _pass(image: Tensor, stage: _Stage, size: tuple[int, int], chance: Chance) -> Tensor:
    """Blur, resize relative to ``size``, add noise."""
    if chance.random() < stage.blurred:
        ratio = Range(1, 1) if chance.random() < 0.7 else Range(0.2, 1)
        image = _apply(Blur(amount=stage.blur, ratio=ratio), image, chance)
    lot = chance.random()
    scale = 1.0
    if lot < stage.enlarged:
        scale = stage.enlargement.draw(chance)
    elif lot < stage.enlarged + stage.reduced:
        scale = stage.reduction.draw(chance)
    image = _resized(image, (max(1, round(size[0] * scale)), max(1, round(size[1] * scale))), chance)
    gray = bool(chance.random() < 0.4)
    if chance.random() < 0.5:
        return _apply(Noise(sigma=stage.sigma, gray=gray, clip=True), image, chance)
    photons = 256 / stage.grain.draw(chance) ** 2
    return _apply(Poisson(photons=Range(photons, photons), gray=gray, clip=True), image, chance)


def _resized(image: Tensor, size: tuple[int, int], chance: Chance) -> Tensor:
    kernel, antialias = _RESIZES[chance.integers(len(_RESIZES))]
    return keep_range(resize(image, size, kernel=kernel, antialias=antialias), image)


def _apply(damage: Damage, image: Tensor, chance: Chance) -> Tensor:
    return damage(Degraded(image), [chance]).images
