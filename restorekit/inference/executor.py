"""Runs one generator over pictures of any size: tile by tile, in batches across pictures, within memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.contract import Batch, Geometry
from restorekit.errors import PictureError
from restorekit.inference.arrays import to_tensor
from restorekit.inference.device import Runtime
from restorekit.inference.halo import measure_halo
from restorekit.inference.tiling import Tile, cut, padded_size, smallest_tile, tile_grid

__all__ = ["DEFAULT_TILE", "Cancelled", "Executor", "Frame", "Patch"]

#: Side of a tile in input pixels, where the user names none. On a CPU larger ones are slower: an activation of 64
#: channels then has more than 32 MiB, which glibc takes from the system anew, page by page, for every layer.
DEFAULT_TILE = 400

#: Halos that were measured, by what identifies a generator.
_HALOS: dict[Hashable, int | None] = {}

#: Below this side a tile that does not fit into memory is given up.
_LEAST_TILE = 32


class Cancelled(Exception):
    """The run was asked to stop."""


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
    """What a generator made of one tile, cut to the rectangle that the tile is trusted for.

    ``rows`` and ``columns`` index the frame's output; ``after`` is ``(C, h, w)`` float32.
    """

    frame: int
    rows: slice
    columns: slice
    after: Tensor


class Executor:
    """Calls a generator on tiles.

    Every batch has the same number of samples, the last one filled up with repetitions, so that what is computed for
    a picture does not depend on the pictures beside it.

    Parameters
    ----------
    call : callable
        A generator's ``restore`` or ``detect``.
    geometry : Geometry
        Its scale, halo and multiples. Frames for a fixed-size network have that size.
    runtime : Runtime
        Device and precision.
    channels : int
        Of the output: 3, or 1 for a detector.
    settings : mapping
        Passed on in ``Batch.settings``.
    tile : int, optional
        Side of a tile, halo included.
    batch_size : int
        Tiles given to the generator at once.
    identity : hashable, optional
        Tells this generator, its weights and settings from all others: then a halo is measured once a process.
    stopped : callable, optional
        Asked before each batch, and by long calls in between; true raises `Cancelled`.
    told : callable, optional
        Is told by long calls which picture they are at, and which share of the call, 0 to 1, is done.
    """

    def __init__(
        self,
        call: Callable[[Batch], Tensor],
        geometry: Geometry,
        runtime: Runtime,
        *,
        channels: int = 3,
        settings: Mapping[str, object] | None = None,
        tile: int | None = None,
        batch_size: int = 1,
        identity: Hashable = None,
        stopped: Callable[[], bool] = lambda: False,
        told: Callable[[str, float], None] = lambda name, done: None,
    ):
        self.geometry = geometry
        self._call = call
        self._runtime = runtime
        self._channels = channels
        self._settings = dict(settings or {})
        self._tile = tile or DEFAULT_TILE
        self._batch_size = 1 if geometry.whole_image and geometry.size is None else batch_size
        self._identity = identity
        self._stopped = stopped
        self._told = told
        self._halo = geometry.halo
        self._whole = geometry.whole_image or geometry.size is not None

    @torch.no_grad()
    def run(self, frames: Sequence[Frame]) -> Iterator[Patch]:
        """Yield patches that cover every frame (of inpainters: every tile with a hole in it).

        When memory runs out, tiles get smaller and *all* patches are yielded again.

        Raises
        ------
        PictureError
            The output is not finite even in fp32, has the wrong shape, or the smallest tile does not fit into memory.
        Cancelled
            ``stopped`` said so.
        """
        while True:
            try:
                yield from self._all_tiles(frames)
                return
            except (torch.OutOfMemoryError, MemoryError) as error:
                self._shrink(frames, error)
            except RuntimeError as error:
                if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
                    raise
                self._shrink(frames, error)

    def _all_tiles(self, frames: Sequence[Frame]) -> Iterator[Patch]:
        waiting: dict[tuple[int, int, int], list[tuple[int, Tile]]] = {}
        for index, frame in enumerate(frames):
            for tile in self._tiles(frame):
                if self._skips(frame, tile):
                    continue
                key = (tile.height, tile.width, frame.bits)
                group = waiting.setdefault(key, [])
                group.append((index, tile))
                if len(group) == self._samples(tile):
                    yield from self._batch(frames, waiting.pop(key))
        for group in waiting.values():
            yield from self._batch(frames, group)

    def _skips(self, frame: Frame, tile: Tile) -> bool:
        if not self.geometry.needs_mask or self.geometry.scale > 1:
            return False
        return frame.mask is None or not cut(frame.mask, tile).any()

    def _samples(self, tile: Tile) -> int:
        """Return the samples in a tile's batch: 1 for what is larger than a tile because it cannot be tiled."""
        untiled = self._whole and self.geometry.size is None
        return 1 if untiled and max(tile.height, tile.width) > self._tile else self._batch_size

    def _tiles(self, frame: Frame) -> list[Tile]:
        multiple = self.geometry.multiple_of
        height, width = padded_size(frame.canvas.shape[0], frame.canvas.shape[1], multiple)
        fits = max(height, width) <= self._tile
        if not fits and not self._whole and self._halo is None:
            self._halo = self._measured_halo()
            self._whole = self._halo is None
        if fits or self._halo is None or self._whole:
            if not fits and not self.geometry.whole_image and self.geometry.size is None:
                frame.warnings.append("the generator looks at the whole picture, so it was not tiled")
            return [Tile(0, 0, height, width, 0, height, 0, width)]
        least = smallest_tile(self._halo, multiple)
        if self._tile < least:
            frame.warnings.append(f"tiles of {self._tile} px are too small for this generator; {least} px were used")
        side = padded_size(max(self._tile, least), 1, multiple)[0]
        # Where tiles go one by one, nothing is gained by one shape for all pictures.
        return tile_grid(height, width, side, self._halo, multiple, even=self._batch_size == 1)

    def _measured_halo(self) -> int | None:
        if self._identity in _HALOS:
            return _HALOS[self._identity]
        halo = measure_halo(self._call, self.geometry, device=self._runtime.device, settings=self._settings)
        if self._identity is not None:
            _HALOS[self._identity] = halo
        return halo

    def _batch(self, frames: Sequence[Frame], group: Sequence[tuple[int, Tile]]) -> Iterator[Patch]:
        if self._stopped():
            raise Cancelled
        device = self._runtime.device
        filled = [*group, *[group[-1]] * (self._samples(group[0][1]) - len(group))]
        images = _stacked([_rgb(to_tensor(cut(frames[i].canvas, tile), device)) for i, tile in filled])
        masks = None
        if any(frames[i].mask is not None for i, _ in filled):
            masks = _stacked([_mask(frames[i], tile, device) for i, tile in filled])
        batch = Batch(
            images.contiguous(memory_format=torch.channels_last),
            masks=masks,
            seeds=torch.tensor([frames[i].seed for i, _ in filled], dtype=torch.int64, device=device),
            settings=self._settings,
            bits=frames[group[0][0]].bits,
            progress=functools.partial(self._heard, frames[group[0][0]].name),
        )
        after = self._finite(batch, [frames[i] for i, _ in group])
        scale = self.geometry.scale
        for sample, (index, tile) in enumerate(group):
            height, width = frames[index].canvas.shape[:2]
            bottom, right = min(tile.bottom, height), min(tile.right, width)
            if tile.top >= bottom or tile.left >= right:
                continue  # nothing but padding
            inside = (slice(tile.top - tile.y, bottom - tile.y), slice(tile.left - tile.x, right - tile.x))
            enlarged = tuple(slice(s.start * scale, s.stop * scale) for s in inside)
            yield Patch(
                frame=index,
                rows=slice(tile.top * scale, bottom * scale),
                columns=slice(tile.left * scale, right * scale),
                after=after[sample][:, enlarged[0], enlarged[1]],
            )

    def _heard(self, name: str, done: float) -> None:
        """Pass a generator's progress on, or end its call."""
        if self._stopped():
            raise Cancelled
        self._told(name, done)

    def _finite(self, batch: Batch, frames: Sequence[Frame]) -> Tensor:
        """Run the generator; a sample that is not finite is computed again in fp32, and refused if that fails too."""
        precision = "fp32" if batch.bits > 8 else self._runtime.precision
        with self._runtime.autocast(precision):
            after = self._shaped(batch, frames[0])
        troubled = [sample for sample in range(len(frames)) if not _is_finite(after[sample])]
        if troubled and precision != "fp32":
            again = self._shaped(batch, frames[0])
            repaired = [sample for sample in troubled if _is_finite(again[sample])]
            after = after.index_copy(0, torch.tensor(repaired, device=after.device, dtype=torch.long), again[repaired])
            for sample in repaired:
                frames[sample].warnings.append(f"the output was not finite in {precision}; computed again in fp32")
            troubled = [sample for sample in troubled if sample not in repaired]
        if troubled:
            problem = "the generator's output is not finite (NaN or infinity)"
            raise PictureError(frames[troubled[0]].name, problem, "nothing was written")
        return after

    def _shaped(self, batch: Batch, frame: Frame) -> Tensor:
        """Call the generator and check the shape of what it returns."""
        samples, _, height, width = batch.images.shape
        scale = self.geometry.scale
        after = self._call(batch).float()
        if after.shape != (samples, self._channels, height * scale, width * scale):
            raise PictureError(
                frame.name,
                f"the generator returned shape {tuple(after.shape)} for {tuple(batch.images.shape)} at scale {scale}",
                "report it to the plugin's author",
            )
        return after

    def _shrink(self, frames: Sequence[Frame], error: BaseException) -> None:
        if self._runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        largest = max(max(frame.canvas.shape[:2]) for frame in frames)
        tile = min(self._tile, largest) // 2 // self.geometry.multiple_of * self.geometry.multiple_of
        least = max(_LEAST_TILE, smallest_tile(self._halo or 0, self.geometry.multiple_of))
        if self._whole or tile < least:
            raise PictureError(
                frames[0].name, "does not fit into memory", "use --device cpu, or a smaller picture"
            ) from error
        self._tile = tile
        for frame in frames:
            frame.warnings.append(f"memory ran out; went on with tiles of {tile} px")


def _stacked(samples: Sequence[Tensor]) -> Tensor:
    return samples[0][None] if len(samples) == 1 else torch.stack(list(samples))


def _is_finite(image: Tensor) -> bool:
    # NaN and infinity survive a sum, which costs a tenth of looking at every value.
    return bool(torch.isfinite(image.sum()))


def _rgb(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1) if image.shape[0] == 1 else image


def _mask(frame: Frame, tile: Tile, device: torch.device) -> Tensor:
    if frame.mask is None:
        return torch.zeros(1, tile.height, tile.width, device=device)
    return torch.from_numpy(cut(frame.mask, tile).astype(np.uint8)).to(device).to(torch.float32)[None]
