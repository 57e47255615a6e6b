"""What lies on a picture: a canvas of opacity and ink, blended where there is any and nowhere else."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded

__all__ = ["Canvas", "Colour", "blend", "union"]

Colour = tuple[float, float, float]

#: Fainter marks than this could round to no change in 8 bits; they are left out, so that a mask marks damage only.
_FAINTEST = 16

#: Bits of the fractions in OpenCV's fixed-point coordinates.
_SHIFT = 4

#: How much larger thin lines are drawn along each axis.
_SUPERSAMPLING = 4


class Canvas:
    """Collects marks on a picture of a given size.

    Parameters
    ----------
    size : tuple of int
        ``(H, W)``.

    Attributes
    ----------
    opacity : ndarray
        ``(H, W)`` uint8; 0 where there is no mark.
    ink : ndarray
        ``(H, W, 3)`` float32 RGB in [0, 1]; the colour of the strongest mark at each pixel.
    """

    def __init__(self, size: tuple[int, int]):
        self.size = size
        self.opacity: NDArray[np.uint8] = np.zeros(size, np.uint8)
        self.ink: NDArray[np.float32] = np.zeros((*size, 3), np.float32)

    @property
    def unit(self) -> float:
        """Pixels that stand for one pixel of a picture 512 pixels high: marks grow with large pictures."""
        return max(1.0, min(self.size) / 512)

    def curve(
        self,
        points: NDArray[np.float64],
        widths: NDArray[np.float64],
        opacities: NDArray[np.float64],
        colour: Colour,
    ) -> None:
        """Draw a line through ``(n, 2)`` points x, y; its ``n - 1`` parts have widths (pixels) and opacities."""
        widest = float(widths.max())
        (left, top), (right, bottom) = self._bounds(points, math.ceil(widest))
        if left >= right or top >= bottom:
            return
        # OpenCV draws whole widths: thin lines are drawn larger and shrunk.
        fine = _SUPERSAMPLING if widest < _SUPERSAMPLING else 1
        layer = np.zeros(((bottom - top) * fine, (right - left) * fine), np.uint8)
        ends = np.rint((points - (left, top)) * (fine << _SHIFT)).astype(np.int64).tolist()
        thicknesses = np.maximum(1, np.rint(widths * fine)).astype(int).tolist()
        levels = np.rint(opacities * 255).astype(int).tolist()
        for start, end, thickness, level in zip(ends[:-1], ends[1:], thicknesses, levels, strict=True):
            cv2.line(layer, start, end, level, thickness, cv2.LINE_AA, _SHIFT)
        if fine > 1:
            layer = cv2.resize(layer, (right - left, bottom - top), interpolation=cv2.INTER_AREA).astype(np.uint8)
        self.lay(layer, top, left, colour)

    def blob(self, points: NDArray[np.float64], opacity: float, colour: Colour) -> None:
        """Fill the convex outline through ``(n, 2)`` points x, y."""
        (left, top), (right, bottom) = self._bounds(points, 1)
        if left >= right or top >= bottom:
            return
        layer = np.zeros((bottom - top, right - left), np.uint8)
        fixed = np.rint((points - (left, top)) * (1 << _SHIFT)).astype(np.int32)
        cv2.fillConvexPoly(layer, fixed, round(255 * opacity), cv2.LINE_AA, _SHIFT)
        self.lay(layer, top, left, colour)

    def lay(self, layer: NDArray[np.uint8], top: int, left: int, colour: Colour) -> None:
        """Put a layer of opacity at a place; of two marks at a pixel the stronger one stays."""
        rows, columns = slice(top, top + layer.shape[0]), slice(left, left + layer.shape[1])
        stronger = (layer >= _FAINTEST) & (layer > self.opacity[rows, columns])
        self.opacity[rows, columns][stronger] = layer[stronger]
        self.ink[rows, columns][stronger] = colour

    def _bounds(self, points: NDArray[np.float64], margin: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return the corners of the part of the picture that holds the points."""
        low = np.floor(points.min(axis=0)).astype(int) - margin - 1
        high = np.ceil(points.max(axis=0)).astype(int) + margin + 2
        height, width = self.size
        return (max(0, int(low[0])), max(0, int(low[1]))), (min(width, int(high[0])), min(height, int(high[1])))


def blend(draw: Callable[[tuple[int, int], Chance], Canvas], pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
    """Lay each picture's own canvas over it, and add what it covers to the masks."""
    images = pictures.images
    canvases = [draw((images.shape[-2], images.shape[-1]), chance) for chance in chances]
    if not canvases:
        return pictures
    opacity = torch.from_numpy(np.stack([canvas.opacity for canvas in canvases]))[:, None].to(images) / 255
    ink = torch.from_numpy(np.stack([canvas.ink for canvas in canvases])).permute(0, 3, 1, 2).to(images)
    marks = opacity > 0
    blended = torch.where(marks, images * (1 - opacity) + ink * opacity, images)
    return Degraded(blended, union(pictures.masks, marks.to(images)))


def union(masks: Tensor | None, more: Tensor) -> Tensor:
    """Return what either mask marks."""
    return more if masks is None else torch.maximum(masks, more)
