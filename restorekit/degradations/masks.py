"""Shapes of holes: what is missing from a picture, apart from what it is filled with."""

from __future__ import annotations

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from restorekit.degradations.damage import Chance
from restorekit.degradations.ranges import Range

__all__ = ["Hole", "center_hole", "irregular_hole", "random_hole"]

#: ``(H, W)`` uint8 in {0, 1}; 1 is missing.
Hole = NDArray[np.uint8]

#: Draws one more shape of at most a given size (1 is the ordinary one) into a hole.
_Shape = Callable[[Hole, float, Chance], None]


def center_hole(size: tuple[int, int], coverage: Range, chance: Chance) -> Hole:
    """Draw a hole in the middle with the picture's proportions.

    Parameters
    ----------
    size : tuple of int
        ``(H, W)`` of the picture.
    coverage : Range
        Share of the picture's area; Pathak et al., "Context Encoders", 2016, take 1/4.
    chance : numpy.random.Generator
        Its randomness.
    """
    height, width = size
    side = math.sqrt(coverage.draw(chance))
    rows, columns = max(1, round(height * side)), max(1, round(width * side))
    top, left = (height - rows) // 2, (width - columns) // 2
    hole = np.zeros(size, np.uint8)
    hole[top : top + rows, left : left + columns] = 1
    return hole


def irregular_hole(size: tuple[int, int], coverage: Range, chance: Chance) -> Hole:
    """Draw brush strokes until their share of the area is within ``coverage``.

    Strokes turn and vary in width as in Yu et al., "Free-Form Image Inpainting with Gated Convolution", 2019.
    Parameters as in `center_hole`.
    """
    return _cover(size, coverage, chance, _brush_stroke)


def random_hole(size: tuple[int, int], coverage: Range, chance: Chance) -> Hole:
    """Draw rectangles until their share of the area is within ``coverage``. Parameters as in `center_hole`."""
    return _cover(size, coverage, chance, _rectangle)


def _cover(size: tuple[int, int], coverage: Range, chance: Chance, draw: _Shape) -> Hole:
    area = size[0] * size[1]
    enough = max(1, round(coverage.draw(chance) * area))
    most = max(enough, math.floor(coverage.high * area))
    hole, covered, reach = np.zeros(size, np.uint8), 0, 1.0
    while covered < enough:
        trial = hole.copy()
        draw(trial, reach, chance)
        count = cv2.countNonZero(trial)
        if count <= most and count > covered:
            hole, covered = trial, count
        else:
            # Too much (or nothing new): go on with smaller shapes, and at last pixel by pixel.
            reach *= 0.6
        if reach < 0.02:
            _grow(hole, enough - covered, chance)
            covered = enough
    return hole


def _grow(hole: Hole, pixels: int, chance: Chance) -> None:
    """Widen the hole's edge by so many pixels."""
    if not hole.any():
        hole[chance.integers(hole.shape[0]), chance.integers(hole.shape[1])] = 1
        pixels -= 1
    while pixels > 0:
        edge = np.flatnonzero(cv2.dilate(hole, np.ones((3, 3), np.uint8)) > hole)
        hole.flat[edge[:pixels]] = 1
        pixels -= len(edge[:pixels])


def _brush_stroke(hole: Hole, reach: float, chance: Chance) -> None:
    height, width = hole.shape
    side = min(height, width)
    turns = 1 + round(reach * chance.integers(2, 9))
    brush = max(1, round(reach * side * chance.uniform(0.03, 0.12)))
    direction = chance.uniform(0, 2 * math.pi)
    x, y = chance.uniform(0, width), chance.uniform(0, height)
    for turn in range(turns):
        # Every other turn goes back by and large, so that a stroke stays together.
        direction += chance.uniform(-1.0, 1.0) + (math.pi if turn % 2 else 0.0)
        length = reach * side * chance.uniform(0.05, 0.35)
        end_x = min(max(x + length * math.cos(direction), 0.0), width - 1.0)
        end_y = min(max(y + length * math.sin(direction), 0.0), height - 1.0)
        cv2.line(hole, (int(x), int(y)), (int(end_x), int(end_y)), 1, brush)
        cv2.circle(hole, (int(end_x), int(end_y)), brush // 2, 1, -1)
        x, y = end_x, end_y


def _rectangle(hole: Hole, reach: float, chance: Chance) -> None:
    height, width = hole.shape
    rows = max(1, round(reach * height * chance.uniform(0.1, 0.45)))
    columns = max(1, round(reach * width * chance.uniform(0.1, 0.45)))
    top, left = int(chance.integers(height - rows + 1)), int(chance.integers(width - columns + 1))
    hole[top : top + rows, left : left + columns] = 1
