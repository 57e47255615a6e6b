"""Decides which tiles a generator is given together, and makes batches and tiles smaller when memory runs out."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from restorekit.contract import Geometry
from restorekit.errors import PictureError
from restorekit.inference.capacity import LEAST_TILE, Portion
from restorekit.inference.frames import Frame
from restorekit.inference.tiling import Tile, cut, padded_size, smallest_tile, tile_grid

__all__ = ["Batches", "Member"]

#: Halos that were measured, by what identifies a generator.
_HALOS: dict[Hashable, int | None] = {}

#: The number of a frame, and one of its tiles.
Member = tuple[int, Tile]


class Batches:
    """Tiles of frames in batches of one shape.

    Every batch has the same number of samples, the last one filled up with repetitions, so that what is computed for
    a picture does not depend on the pictures beside it.

    Parameters
    ----------
    geometry : Geometry
        The generator's scale, halo and multiples. Frames for a fixed-size network have that size.
    portion : Portion
        Side of a tile, halo included, and how many the generator is given at once.
    measure : callable
        Measures a halo that is not declared, where it is needed.
    identity : hashable, optional
        Tells this generator, its weights and settings from all others: then a halo is measured once a process.
    """

    def __init__(
        self,
        geometry: Geometry,
        portion: Portion,
        *,
        measure: Callable[[], int | None],
        identity: Hashable = None,
    ):
        self._geometry = geometry
        self._tile = portion.tile
        self._batch_size = 1 if geometry.whole_image and geometry.size is None else portion.batch_size
        self._even = self._batch_size == 1  # where tiles go one by one, one shape for all pictures gains nothing
        self._measure = measure
        self._identity = identity
        self._halo = geometry.halo
        self._whole = geometry.whole_image or geometry.size is not None

    def of(self, frames: Sequence[Frame]) -> Iterator[list[Member]]:
        """Yield tiles that cover every frame (of inpainters: every tile with a hole in it), in groups of one shape."""
        waiting: dict[tuple[int, int, int], list[Member]] = {}
        for index, frame in enumerate(frames):
            for tile in self._tiles(frame):
                if self._skips(frame, tile):
                    continue
                key = (tile.height, tile.width, frame.bits)
                group = waiting.setdefault(key, [])
                group.append((index, tile))
                if len(group) == self._samples(tile):
                    yield waiting.pop(key)
        yield from waiting.values()

    def filled(self, group: Sequence[Member]) -> list[Member]:
        """Repeat a group's last tile until there are as many as in every batch."""
        return [*group, *[group[-1]] * (self._samples(group[0][1]) - len(group))]

    def shrink(self, frames: Sequence[Frame], error: BaseException) -> None:
        """Make batches, then tiles half as large.

        Raises
        ------
        PictureError
            The smallest tile does not fit into memory.
        """
        if self._batch_size > 1:
            self._batch_size //= 2
            for frame in frames:
                frame.warnings.append(f"memory ran out; went on with batches of {self._batch_size}")
            return
        largest = max(max(frame.canvas.shape[:2]) for frame in frames)
        multiple = self._geometry.multiple_of
        tile = min(self._tile, largest) // 2 // multiple * multiple
        least = max(LEAST_TILE, smallest_tile(self._halo or 0, multiple))
        if self._whole or tile < least:
            raise PictureError(
                frames[0].name, "does not fit into memory", "use --device cpu, or a smaller picture"
            ) from error
        self._tile = tile
        for frame in frames:
            frame.warnings.append(f"memory ran out; went on with tiles of {tile} px")

    def _skips(self, frame: Frame, tile: Tile) -> bool:
        if not self._geometry.needs_mask or self._geometry.scale > 1:
            return False
        return frame.mask is None or not cut(frame.mask, tile).any()

    def _samples(self, tile: Tile) -> int:
        """Return the samples in a tile's batch: 1 for what is larger than a tile because it cannot be tiled."""
        untiled = self._whole and self._geometry.size is None
        return 1 if untiled and max(tile.height, tile.width) > self._tile else self._batch_size

    def _tiles(self, frame: Frame) -> list[Tile]:
        multiple = self._geometry.multiple_of
        height, width = padded_size(frame.canvas.shape[0], frame.canvas.shape[1], multiple)
        fits = max(height, width) <= self._tile
        if not fits and not self._whole and self._halo is None:
            self._halo = self._measured_halo()
            self._whole = self._halo is None
        if fits or self._halo is None or self._whole:
            if not fits and not self._geometry.whole_image and self._geometry.size is None:
                frame.warnings.append("the generator looks at the whole picture, so it was not tiled")
            return [Tile(0, 0, height, width, 0, height, 0, width)]
        least = smallest_tile(self._halo, multiple)
        if self._tile < least:
            frame.warnings.append(f"tiles of {self._tile} px are too small for this generator; {least} px were used")
        side = padded_size(max(self._tile, least), 1, multiple)[0]
        return tile_grid(height, width, side, self._halo, multiple, even=self._even)

    def _measured_halo(self) -> int | None:
        if self._identity in _HALOS:
            return _HALOS[self._identity]
        halo = self._measure()
        if self._identity is not None:
            _HALOS[self._identity] = halo
        return halo
