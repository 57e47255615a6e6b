"""The geometry of tiles: which parts of a picture are restored together, and which pixels each tile is trusted for."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Tile", "cut", "padded_size", "smallest_tile", "tile_grid"]


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle given to a restorer, and the part of its output that is kept.

    All in input pixels of the padded picture: the tile covers rows ``y`` to ``y + height``; rows ``top`` to
    ``bottom`` of the *picture* are taken from it. Columns likewise.
    """

    y: int
    x: int
    height: int
    width: int
    top: int
    bottom: int
    left: int
    right: int


def padded_size(height: int, width: int, multiple_of: int) -> tuple[int, int]:
    """Round a size up to multiples.

    >>> padded_size(5, 8, 4)
    (8, 8)
    """
    return -(-height // multiple_of) * multiple_of, -(-width // multiple_of) * multiple_of


def smallest_tile(halo: int, multiple_of: int) -> int:
    """Return the smallest side of a tile that still keeps a strip of pixels inside its halo."""
    # One multiple may be lost to rounding the stride down; one has to remain to advance by.
    return padded_size(2 * halo + 2 * multiple_of, 1, multiple_of)[0]


def tile_grid(height: int, width: int, tile: int, halo: int, multiple_of: int = 1, *, even: bool = False) -> list[Tile]:
    """Cover a picture with overlapping tiles of one shape.

    A picture that is no larger than a tile is one tile. Otherwise every tile has side ``tile`` on that axis, the last
    one shifted inward instead of padded, so that at the picture's border a tile sees what the whole picture would.

    Parameters
    ----------
    height, width : int
        Of the picture, already padded to multiples of ``multiple_of``.
    tile : int
        Side in pixels, halo included; a multiple of ``multiple_of`` and at least ``smallest_tile(halo, multiple_of)``.
    halo : int
        Pixels at a tile's inner edges that are not trusted.
    multiple_of : int
        Tile origins are multiples of it.
    even : bool
        Take as many tiles, but none larger than needed: 768 px are two tiles of 391 px rather than of 512 px (with a
        halo of 7), which is a quarter less work. Pictures of other sizes then have tiles of other shapes.

    Returns
    -------
    list of Tile
        Row by row. The kept rectangles cover the picture exactly once.
    """
    rows = _axis(height, tile, halo, multiple_of, even)
    columns = _axis(width, tile, halo, multiple_of, even)
    return [
        Tile(y, x, h, w, top, bottom, left, right)
        for y, h, top, bottom in rows
        for x, w, left, right in columns
    ]  # fmt: skip


def _axis(length: int, tile: int, halo: int, multiple_of: int, even: bool) -> list[tuple[int, int, int, int]]:
    if length <= tile:
        return [(0, length, 0, length)]
    if tile < smallest_tile(halo, multiple_of) or tile % multiple_of or length % multiple_of:
        raise ValueError(f"a tile of {tile} px does not suit a halo of {halo} and multiples of {multiple_of}")
    overlap = padded_size(2 * halo, 1, multiple_of)[0]
    stride = tile - overlap
    if even:
        count = 1 + math.ceil((length - tile) / stride)
        tile = padded_size(math.ceil((length + (count - 1) * overlap) / count), 1, multiple_of)[0]
        stride = tile - overlap
    origins = [*range(0, length - tile, stride), length - tile]
    # Where two neighbours overlap, each is trusted up to the middle: both are at least a halo away from it.
    edges = [0, *((a + tile + b) // 2 for a, b in itertools.pairwise(origins)), length]
    return [(origin, tile, *kept) for origin, kept in zip(origins, itertools.pairwise(edges), strict=True)]


def cut(image: NDArray[Any], tile: Tile) -> NDArray[Any]:
    """Take a tile out of ``(H, W, ...)``; beyond the right and bottom border the picture is mirrored."""
    height, width = image.shape[:2]
    if tile.y + tile.height <= height and tile.x + tile.width <= width:
        return image[tile.y : tile.y + tile.height, tile.x : tile.x + tile.width]
    rows = _mirrored(np.arange(tile.y, tile.y + tile.height), height)
    columns = _mirrored(np.arange(tile.x, tile.x + tile.width), width)
    return image[rows[:, None], columns]


def _mirrored(index: NDArray[Any], length: int) -> NDArray[Any]:
    """Fold indices back into ``0 .. length - 1`` as in a hall of mirrors, the border pixel not repeated."""
    if length == 1:
        return np.zeros_like(index)
    folded = index % (2 * length - 2)
    return np.minimum(folded, 2 * length - 2 - folded)
