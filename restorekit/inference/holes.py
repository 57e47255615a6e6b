"""Crops for fixed-size networks: a box around each hole, or the whole picture where there is no mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Box", "hole_boxes"]


@dataclass(frozen=True, slots=True)
class Box:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a picture."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index ``(H, W, ...)`` with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def hole_boxes(mask: NDArray[np.bool_], size: tuple[int, int]) -> list[Box]:
    """Find crops that hold every hole with as much surrounding again.

    Parameters
    ----------
    mask : ndarray
        ``(H, W)`` bool, true inside the holes.
    size : tuple of int
        ``(height, width)`` the network wants; crops are no smaller (unless the picture is) and of its aspect.

    Returns
    -------
    list of Box
        Disjoint holes that are far apart get boxes of their own; holes closer to each other than half a network's
        size share one. Boxes of different holes may overlap; each is pasted only where the mask is set.
    """
    near = max(1, min(size) // 2)
    # Closing on a coarse grid joins neighbouring specks at the cost of a few additions, however large the picture.
    rows, columns = -(-mask.shape[0] // near), -(-mask.shape[1] // near)
    padded = np.pad(mask, ((0, rows * near - mask.shape[0]), (0, columns * near - mask.shape[1])))
    coarse = padded.reshape(rows, near, columns, near).any(axis=(1, 3))
    labels: NDArray[np.integer] = ndimage.label(coarse, structure=np.ones((3, 3)))[0]  # pyright: ignore
    boxes = []
    for part, (ys, xs) in enumerate(ndimage.find_objects(labels), start=1):
        own = (labels[ys, xs] == part).repeat(near, axis=0).repeat(near, axis=1)
        inside = padded[ys.start * near : ys.stop * near, xs.start * near : xs.stop * near] & own
        down, across = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
        top, left = ys.start * near, xs.start * near
        tight = Box(top + int(down[0]), top + int(down[-1]) + 1, left + int(across[0]), left + int(across[-1]) + 1)
        boxes.append(_grown(tight, mask.shape, size))
    return boxes


def _grown(box: Box, shape: tuple[int, ...], size: tuple[int, int]) -> Box:
    """Double a box about its middle, give it the network's aspect, and push it back inside the picture."""
    unit = max(1.0, 2 * (box.bottom - box.top) / size[0], 2 * (box.right - box.left) / size[1])
    height, width = min(shape[0], round(unit * size[0])), min(shape[1], round(unit * size[1]))
    y = min(max((box.top + box.bottom - height) // 2, 0), shape[0] - height)
    x = min(max((box.left + box.right - width) // 2, 0), shape[1] - width)
    return Box(y, y + height, x, x + width)
