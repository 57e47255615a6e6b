"""Pixels between NumPy arrays of a picture's own depth and float tensors in [0, 1]."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

__all__ = [
    "carried",
    "convert",
    "equal",
    "normalised",
    "quantised",
    "to_array",
    "to_tensor",
    "unit_of",
    "write_into",
]

#: Pixels that are quantised, or converted, at once on a CPU.
_BAND = 1 << 16


def to_tensor(pixels: NDArray[Any], device: torch.device | str = "cpu") -> Tensor:
    """Copy ``(H, W, C)`` pixels to a device as ``(C, H, W)`` float32; integers are divided by their maximum."""
    if torch.device(device).type == "cpu":
        return torch.from_numpy(convert(pixels, np.float32)).permute(2, 0, 1)
    # Bytes travel to a device faster than floats do.
    levels = np.ascontiguousarray(pixels).astype(carried(pixels.dtype), copy=not pixels.flags.writeable)
    return normalised(torch.from_numpy(levels).to(device), pixels.dtype)


def carried(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype that pixels have in tensors: uint16, for which torch has few operations, are int32."""
    return np.dtype(np.int32) if dtype == np.uint16 else dtype


def normalised(levels: Tensor, dtype: np.dtype[Any]) -> Tensor:
    """Turn ``(H, W, C)`` that were pixels of a dtype into ``(C, H, W)`` float32, where they are."""
    image = levels.permute(2, 0, 1).to(torch.float32)
    return image.div_(float(np.iinfo(dtype).max)) if dtype.kind == "u" else image


def to_array(image: Tensor, channels: int, dtype: DTypeLike) -> NDArray[Any]:
    """Clip ``(3, H, W)`` to [0, 1] and quantise it to ``(H, W, channels)``; equal channels give exactly one."""
    target = np.empty((*image.shape[1:], channels), dtype)
    write_into(target, image)
    return target


def write_into(target: NDArray[Any], image: Tensor) -> None:
    """Clip ``(3, H, W)`` to [0, 1] and quantise it into ``(H, W, 1 or 3)``; what is quantised already is copied.

    A GPU quantises all of it before it travels; a CPU goes band by band, so that what is in between stays in the cache.
    """
    rows = image.shape[1] if image.device.type != "cpu" else max(1, _BAND // max(1, image.shape[2]))
    for top in range(0, image.shape[1], rows):
        band = image[:, top : top + rows]
        levels = quantised(band, target.shape[2], target.dtype) if band.is_floating_point() else band
        target[top : top + rows] = levels.permute(1, 2, 0).cpu().numpy()


def quantised(image: Tensor, channels: int, dtype: DTypeLike) -> Tensor:
    """Clip ``(3, H, W)`` to [0, 1]; return ``(channels, H, W)`` levels of a dtype, where it is.

    Levels of uint16 come as int32, floats as float32. Equal channels give exactly one.
    """
    if channels == 1 and image.shape[0] == 3:
        red, green, blue = image
        image = (red + ((green - red) + (blue - red)) / 3)[None]
    image = image.clamp(0, 1).permute(1, 2, 0)
    if np.dtype(dtype).kind != "u":
        return image.to(torch.float32).permute(2, 0, 1)
    white = np.iinfo(dtype).max
    levels = image.mul_(white).round_().to(torch.int32 if white > 255 else torch.uint8)
    return levels.permute(2, 0, 1)


def convert(pixels: NDArray[Any], dtype: DTypeLike) -> NDArray[Any]:
    """Change the dtype of pixels, keeping their meaning; exact from integers to float32 and back. Always a copy."""
    if pixels.dtype == np.dtype(dtype):
        return pixels.copy()
    target: NDArray[Any] = np.empty(pixels.shape, dtype)
    rows = max(1, _BAND * len(pixels) // max(1, pixels.size))
    for top in range(0, len(pixels), rows):
        target[top : top + rows] = _converted(pixels[top : top + rows], target.dtype)
    return target


def _converted(pixels: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    values = pixels.astype(np.float32)
    if pixels.dtype.kind == "u":
        values /= np.float32(np.iinfo(pixels.dtype).max)
    if dtype.kind == "u":
        levels = np.float32(np.iinfo(dtype).max)
        return np.rint(np.clip(values, 0, 1) * levels).astype(dtype)
    return values


def equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether two arrays hold the same; ends at the first band of rows that differs, and needs no memory."""
    if one.shape != other.shape:
        return False
    rows = max(1, _BAND * len(one) // max(1, one.size))
    return all(np.array_equal(one[top : top + rows], other[top : top + rows]) for top in range(0, len(one), rows))


def unit_of(pixels: NDArray[Any]) -> float:
    """Return what stands for white: 1, or for brighter float pictures the next power of two (exact to divide by)."""
    if pixels.dtype.kind == "u" or pixels.size == 0:
        return 1.0
    brightest = float(pixels.max())
    return 1.0 if brightest <= 1.0 else 2.0 ** min(127, math.ceil(math.log2(brightest)))  # 2**128 is no float32
