"""What goes into an executor and what comes out of it: pictures on their way, and patches of their results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from restorekit.inference.tiling import Tile

__all__ = ["Finish", "Frame", "Patch", "Region", "as_it_is"]

#: Turns ``(C, h, w)`` before and after a generator into the result; both are on the generator's device.
Finish = Callable[[Tensor, Tensor], Tensor]


def as_it_is(before: Tensor, after: Tensor) -> Tensor:
    """Leave what a generator made."""
    return after


@dataclass(slots=True)
class Frame:
    """A picture, or a part of one, on its way through a step.

    Parameters
    ----------
    name : str
        For messages.
    canvas : ndarray
        ``(H, W, 1 or 3)``, uint8, uint16 or float32 in [0, 1].
    mask : ndarray, optional
        ``(H, W)`` bool; true marks what to repair.
    seed : int
        For the generator's randomness.
    bits : int
        Depth of the picture the canvas came from.
    warnings : list of str
        What happened on the way that the user should know.
    """

    name: str
    canvas: NDArray[Any]
    mask: NDArray[np.bool_] | None = None
    seed: int = 0
    bits: int = 8
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Patch:
    """What became of one tile, cut to the rectangle that the tile is trusted for.

    ``rows`` and ``columns`` index the frame's output; ``after`` is ``(C, h, w)``: float32, or the levels of the
    output's dtype where it was quantised before it left a GPU.
    """

    frame: int
    rows: slice
    columns: slice
    after: Tensor


@dataclass(frozen=True, slots=True)
class Region:
    """The rectangle that a tile is trusted for: in the tile, in the tile's output, and in the frame's output."""

    before: tuple[slice, slice]
    after: tuple[slice, slice]
    output: tuple[slice, slice]

    @classmethod
    def of(cls, tile: Tile, canvas: NDArray[Any], scale: int) -> Region | None:
        """Return it for a tile of a canvas; ``None`` where the tile is trusted for nothing but padding."""
        height, width = canvas.shape[:2]
        bottom, right = min(tile.bottom, height), min(tile.right, width)
        if tile.top >= bottom or tile.left >= right:
            return None
        before = (slice(tile.top - tile.y, bottom - tile.y), slice(tile.left - tile.x, right - tile.x))
        output = (slice(tile.top * scale, bottom * scale), slice(tile.left * scale, right * scale))
        rows, columns = (slice(s.start * scale, s.stop * scale) for s in before)
        return cls(before, (rows, columns), output)
