"""Crops for fixed-size networks: a box around each hole, or the whole picture where there is no mask."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["Crop", "crops_for"]


@dataclass(frozen=True, slots=True)
class Crop:
    """Rows ``top`` to ``bottom`` and columns ``left`` to ``right`` of a picture, cut out for one hole.

    ``parts`` numbers the holes on a grid of cells with ``side`` pixels; this crop is for number ``part`` (0: for all).
    """

    top: int
    bottom: int
    left: int
    right: int
    part: int
    parts: NDArray[np.integer]
    side: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """To index ``(H, W, ...)`` with."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def own(self, mask: NDArray[np.bool_] | None) -> NDArray[np.bool_]:
        """Return ``(h, w)`` true where the crop's own hole is: others that reach into it have crops of their own."""
        if mask is None:
            return np.ones((self.bottom - self.top, self.right - self.left), bool)
        rows = np.arange(self.top, self.bottom) // self.side
        columns = np.arange(self.left, self.right) // self.side
        return mask[self.slices] & (self.parts[rows[:, None], columns] == self.part)


def crops_for(shape: tuple[int, ...], mask: NDArray[np.bool_] | None, size: tuple[int, int]) -> list[Crop]:
    """Find crops that hold every hole with as much surrounding again.

    Parameters
    ----------
    shape : tuple of int
        ``(H, W, ...)`` of the picture.
    mask : ndarray, optional
        ``(H, W)`` bool, true inside the holes; without one the crop is the whole picture.
    size : tuple of int
        ``(height, width)`` the network wants; crops are no smaller (unless the picture is) and of its aspect.

    Returns
    -------
    list of Crop
        Holes that are far apart get crops of their own; holes closer to each other than half a network's size share
        one. Crops may overlap; every hole is one crop's own.
    """
    height, width = shape[:2]
    if mask is None:
        return [Crop(0, height, 0, width, 0, np.zeros((1, 1), int), max(height, width))]
    near = max(1, min(size) // 2)
    # Closing on a coarse grid joins neighbouring specks at the cost of a few additions, however large the picture.
    rows, columns = -(-height // near), -(-width // near)
    padded = np.pad(mask, ((0, rows * near - height), (0, columns * near - width)))
    coarse = padded.reshape(rows, near, columns, near).any(axis=(1, 3))
    parts: NDArray[np.integer] = ndimage.label(coarse, structure=np.ones((3, 3)))[0]  # pyright: ignore
    crops = []
    for part, (ys, xs) in enumerate(ndimage.find_objects(parts), start=1):
        own = (parts[ys, xs] == part).repeat(near, axis=0).repeat(near, axis=1)
        inside = padded[ys.start * near : ys.stop * near, xs.start * near : xs.stop * near] & own
        down, across = np.nonzero(inside.any(axis=1))[0], np.nonzero(inside.any(axis=0))[0]
        vertical = int(down[0]) + ys.start * near, int(down[-1]) + ys.start * near + 1
        horizontal = int(across[0]) + xs.start * near, int(across[-1]) + xs.start * near + 1
        grown = _grown(vertical, horizontal, (height, width), size)
        crops.append(Crop(*grown, part, parts, near))
    return crops


def _grown(
    vertical: tuple[int, int], horizontal: tuple[int, int], shape: tuple[int, int], size: tuple[int, int]
) -> tuple[int, int, int, int]:
    """Double a box about its middle, give it the network's aspect, and push it back inside the picture."""
    unit = max(1.0, 2 * (vertical[1] - vertical[0]) / size[0], 2 * (horizontal[1] - horizontal[0]) / size[1])
    top, bottom = _side(vertical, round(unit * size[0]), shape[0])
    left, right = _side(horizontal, round(unit * size[1]), shape[1])
    return top, bottom, left, right


def _side(box: tuple[int, int], wanted: int, length: int) -> tuple[int, int]:
    wanted = min(wanted, length)
    start = min(max((sum(box) - wanted) // 2, 0), length - wanted)
    return start, start + wanted
