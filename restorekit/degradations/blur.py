"""Blur: out of focus, shaken, or soft."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded, each_picture
from restorekit.degradations.ranges import Between, Range

__all__ = ["Blur", "convolve", "defocus_kernel", "gaussian_kernel", "motion_kernel"]

Kernel = NDArray[np.float64]

#: Samples along each axis of a pixel, where a kernel is measured by counting.
_SUPERSAMPLING = 8


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Blur:
    """Blur with mirrored borders.

    Parameters
    ----------
    amount : Range
        Pixels: the standard deviation of ``gaussian``, the path's length of ``motion``, the radius of ``defocus``.
    kind : {"gaussian", "motion", "defocus"}
        A soft lens, a shaken camera (a straight path), or a lens out of focus (a disc).
    angle : Range
        Degrees, anticlockwise from the horizontal, of a motion or of the longer axis of an uneven Gaussian.
    ratio : Range
        The shorter axis of a Gaussian as a part of the longer one; 1 is round.
    """

    name: ClassVar[str] = "blur"
    choice: ClassVar[str] = "amount"
    amount: Annotated[Range, Between(0, 100)] = Range(1.6, 1.6)
    kind: Literal["gaussian", "motion", "defocus"] = "gaussian"
    angle: Annotated[Range, Between(0, 180)] = Range(0, 180)
    ratio: Annotated[Range, Between(0.05, 1)] = Range(1, 1)

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Blur each picture."""
        return Degraded(each_picture(self._blur, pictures.images, chances), pictures.masks)

    def _blur(self, image: Tensor, chance: Chance) -> Tensor:
        amount, angle, ratio = (drawn.draw(chance) for drawn in (self.amount, self.angle, self.ratio))
        if self.kind == "gaussian":
            kernel = gaussian_kernel(amount, amount * ratio, angle)
        elif self.kind == "motion":
            kernel = motion_kernel(amount, angle)
        else:
            kernel = defocus_kernel(amount)
        return convolve(image, kernel)


def convolve(image: Tensor, kernel: Kernel) -> Tensor:
    """Filter ``(C, H, W)`` with a non-negative kernel that sums to 1; the borders are mirrored.

    By Fourier transform: the cost does not grow with the kernel, and float32 stays float32 where a convolution on a
    GPU may be rounded to TF32 or, under autocast, to 16 bits.
    """
    radius = kernel.shape[0] // 2
    if radius == 0:
        return image.clone()
    height, width = image.shape[-2:]
    rows, columns = (
        torch.from_numpy(np.pad(np.arange(length), radius, mode="reflect")).to(image.device)
        for length in (height, width)
    )
    padded = image.index_select(-2, rows).index_select(-1, columns)
    taps = torch.from_numpy(kernel).to(image)
    size = (padded.shape[-2], padded.shape[-1])
    spectrum = torch.fft.rfft2(padded) * torch.fft.rfft2(taps, s=size)
    filtered = torch.fft.irfft2(spectrum, s=size)[..., 2 * radius :, 2 * radius :]
    # A weighted mean cannot leave the range of what it averages; the transform's rounding can.
    return filtered.clamp(float(image.min()), float(image.max()))


def gaussian_kernel(sigma: float, minor: float | None = None, angle: float = 0.0) -> Kernel:
    """Return a Gaussian, cut off at four standard deviations.

    Parameters
    ----------
    sigma : float
        Standard deviation in pixels.
    minor : float, optional
        Standard deviation across; that of a round Gaussian by default.
    angle : float
        Degrees, anticlockwise, of the axis that has ``sigma``.
    """
    if sigma == 0:
        return np.ones((1, 1))
    minor = sigma if minor is None else minor
    y, x = _grid(math.ceil(4 * sigma))
    along, across = _rotated(x, y, angle)
    # The floor keeps the centre pixel where an axis is far thinner than a pixel.
    weights = np.exp(-0.5 * ((along / sigma) ** 2 + (across / max(minor, 0.1)) ** 2))
    return weights / weights.sum()


def motion_kernel(length: float, angle: float) -> Kernel:
    """Return a straight path, one pixel wide.

    Parameters
    ----------
    length : float
        Pixels between the ends of the path.
    angle : float
        Degrees, anticlockwise from the horizontal.
    """
    if length == 0:
        return np.ones((1, 1))
    y, x = _fine_grid(math.ceil(length / 2 + 1))
    along, across = _rotated(x, y, angle)
    inside = (np.abs(along) <= (length + 1) / 2) & (np.abs(across) <= 0.5)
    return _pixels(inside)


def defocus_kernel(radius: float) -> Kernel:
    """Return a disc of ``radius`` pixels with smooth edges; up to half a pixel it is the pixel itself."""
    if radius <= 0.5:
        return np.ones((1, 1))
    y, x = _fine_grid(math.ceil(radius + 1))
    return _pixels(x**2 + y**2 <= radius**2)


def _grid(radius: int) -> tuple[Kernel, Kernel]:
    """Return the row and column of each pixel, counted from the centre."""
    axis = np.arange(-radius, radius + 1, dtype=np.float64)
    return axis[:, None], axis[None, :]


def _fine_grid(radius: int) -> tuple[Kernel, Kernel]:
    """Return the same for points inside the pixels."""
    count = (2 * radius + 1) * _SUPERSAMPLING
    axis = (np.arange(count) + 0.5) / _SUPERSAMPLING - radius - 0.5
    return axis[:, None], axis[None, :]


def _pixels(inside: NDArray[np.bool_]) -> Kernel:
    """Turn points into each pixel's share of them."""
    count = inside.shape[0] // _SUPERSAMPLING
    shares = inside.reshape(count, _SUPERSAMPLING, count, _SUPERSAMPLING).sum(axis=(1, 3)).astype(np.float64)
    return shares / shares.sum()


def _rotated(x: Kernel, y: Kernel, angle: float) -> tuple[Kernel, Kernel]:
    """Return coordinates along and across a direction; rows count downwards."""
    cosine, sine = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    return x * cosine - y * sine, x * sine + y * cosine
