"""Runs one generator over pictures of any size: tile by tile, in batches across pictures, within memory."""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from restorekit.contract import Batch, Geometry
from restorekit.errors import PictureError
from restorekit.inference.arrays import quantised
from restorekit.inference.batches import Batches, Member
from restorekit.inference.capacity import Memory, Portion, memory_of, portion
from restorekit.inference.device import LAYOUT, Runtime
from restorekit.inference.frames import Finish, Frame, Patch, Region, as_it_is
from restorekit.inference.halo import measure_halo
from restorekit.inference.soundness import BLANK, INFINITE, SOUND, examined, examined_apart, is_blank, is_finite
from restorekit.inference.tiling import Tile, cut
from restorekit.inference.transfer import Transfer, transfer_for

__all__ = ["Cancelled", "Executor", "Frame", "Patch"]

_AGAIN = "computed again in fp32"


class Cancelled(Exception):
    """The run was asked to stop."""


@dataclass(frozen=True, slots=True)
class _Request:
    """What `Executor.run` was asked for."""

    frames: Sequence[Frame]
    finish: Finish
    dtypes: Sequence[DTypeLike] | None


@dataclass(frozen=True, slots=True)
class _Launched:
    """A batch that the generator was given: whose tiles they are, and what became of them, which may be on its way."""

    group: Sequence[Member]
    batch: Batch
    precision: str
    after: Tensor
    arriving: Iterator[Tensor]


class Executor:
    """Calls a generator on tiles.

    On a GPU the next batch is copied and handed over before the results of this one are waited for, see
    `restorekit.inference.transfer`; what is computed is the same.

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
    batch_size : int, optional
        Tiles given to the generator at once. What is not named is chosen, see `restorekit.inference.capacity.portion`.
    identity : hashable, optional
        Tells this generator, its weights and settings from all others: then a halo is measured once a process.
    stopped : callable, optional
        Asked before each batch, and by long calls in between; true raises `Cancelled`.
    told : callable, optional
        Is told by long calls which picture they are at, and which share of the call, 0 to 1, is done.
    transfer : callable
        Given a device, provides how tiles get there and results back.
    memory : callable
        Given a device, provides what its memory is measured by.
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
        batch_size: int | None = None,
        identity: Hashable = None,
        stopped: Callable[[], bool] = lambda: False,
        told: Callable[[str, float], None] = lambda name, done: None,
        transfer: Callable[[torch.device], Transfer] = transfer_for,
        memory: Callable[[torch.device], Memory | None] = memory_of,
    ):
        self.geometry = geometry
        self._call = call
        self._runtime = runtime
        self._channels = channels
        self._settings = dict(settings or {})
        self._stopped = stopped
        self._told = told
        self._transfer = transfer
        self._memory = memory
        self._tile, self._batch_size = tile, batch_size
        self._identity = identity

    @functools.cached_property
    def portion(self) -> Portion:
        """The side of tiles and the size of batches that it begins with; the generator may be called to find out."""
        runtime = self._runtime
        with runtime.autocast(runtime.precision):
            return portion(
                self._call,
                self.geometry,
                runtime.device,
                self._memory(runtime.device),
                settings=self._settings,
                tile=self._tile,
                batch_size=self._batch_size,
            )

    @functools.cached_property
    def _batches(self) -> Batches:
        def measured() -> int | None:
            return measure_halo(self._call, self.geometry, device=self._runtime.device, settings=self._settings)

        return Batches(self.geometry, self.portion, measure=measured, identity=self._identity)

    @torch.no_grad()
    def run(
        self, frames: Sequence[Frame], finish: Finish = as_it_is, dtypes: Sequence[DTypeLike] | None = None
    ) -> Iterator[Patch]:
        """Yield patches that cover every frame (of inpainters: every tile with a hole in it).

        When memory runs out, batches and then tiles get smaller, and *all* patches are yielded again.

        Parameters
        ----------
        frames : sequence of Frame
            The pictures.
        finish : callable
            What is done with each patch where the generator ran.
        dtypes : sequence of dtype, optional
            What each frame's output is kept in: a GPU quantises to it, since bytes travel faster than floats.

        Raises
        ------
        PictureError
            The output is not finite even in fp32, has the wrong shape, or the smallest tile does not fit into memory.
        Cancelled
            ``stopped`` said so.
        """
        request = _Request(frames, finish, dtypes)
        while True:
            try:
                yield from self._all_batches(request)
                return
            except (torch.OutOfMemoryError, MemoryError) as error:
                self._shrink(frames, error)
            except RuntimeError as error:
                if "not enough memory" not in str(error) and "can't allocate memory" not in str(error):
                    raise
                self._shrink(frames, error)

    def _all_batches(self, request: _Request) -> Iterator[Patch]:
        transfer = self._transfer(self._runtime.device)
        launched: deque[_Launched] = deque()
        try:
            for group in self._batches.of(request.frames):
                launched.append(self._launch(request, group, transfer))
                if len(launched) > transfer.ahead:
                    yield from self._land(request, launched.popleft(), transfer)
            while launched:
                yield from self._land(request, launched.popleft(), transfer)
        finally:
            transfer.close()

    def _launch(self, request: _Request, group: Sequence[Member], transfer: Transfer) -> _Launched:
        """Give the generator a batch, and send what it makes of it on its way."""
        if self._stopped():
            raise Cancelled
        frames = request.frames
        batch = self._batch(frames, self._batches.filled(group), transfer)
        precision = "fp32" if batch.bits > 8 else self._runtime.precision
        with self._runtime.autocast(precision):
            after = self._shaped(batch, frames[group[0][0]])
        blanks = precision != "fp32" and self._channels == 3
        arriving = transfer.download(self._leaving(request, group, batch, after, transfer, blanks))
        return _Launched(group, batch, precision, after, arriving)

    def _batch(self, frames: Sequence[Frame], filled: Sequence[Member], transfer: Transfer) -> Batch:
        pixels = [cut(frames[i].canvas, tile) for i, tile in filled]
        masked = any(frames[i].mask is not None for i, _ in filled)
        masks = [_mask(frames[i], tile) for i, tile in filled] if masked else []
        seeds = np.array([frames[i].seed for i, _ in filled], np.int64)
        images, others = transfer.upload(pixels, [*masks, seeds])
        first = frames[filled[0][0]]
        return Batch(
            _stacked([_rgb(image) for image in images]).contiguous(memory_format=LAYOUT),
            masks=_stacked([mask.to(torch.float32)[None] for mask in others[:-1]]) if masked else None,
            seeds=others[-1],
            settings=self._settings,
            bits=first.bits,
            progress=functools.partial(self._heard, first.name),
        )

    def _leaving(
        self, request: _Request, group: Sequence[Member], batch: Batch, after: Tensor, transfer: Transfer, blanks: bool
    ) -> Iterator[Tensor]:
        """Yield what is wrong with each sample of a batch, and then each sample that is more than padding, finished."""
        count, scale = len(group), self.geometry.scale
        yield (examined_apart if transfer.ahead else examined)(batch.images[:count], after[:count], blanks=blanks)
        for sample, (index, tile) in enumerate(group):
            canvas = request.frames[index].canvas
            region = Region.of(tile, canvas, scale)
            if region is None:
                continue
            before = batch.images[(sample, slice(canvas.shape[2]), *region.before)]
            finished = request.finish(before, after[(sample, slice(None), *region.after)])
            if transfer.ahead and request.dtypes is not None:
                finished = quantised(finished, canvas.shape[2], request.dtypes[index])
            yield finished

    def _land(self, request: _Request, launched: _Launched, transfer: Transfer) -> Iterator[Patch]:
        """Wait for a batch's results; what is not sound is computed again."""
        frames, group, arriving = request.frames, launched.group, launched.arriving
        verdict = next(arriving).tolist()
        if any(found != SOUND for found in verdict):
            after = self._mended(launched, verdict, [frames[i] for i, _ in group])
            leaving = self._leaving(request, group, launched.batch, after, transfer, blanks=False)
            arriving = transfer.download(leaving)
            next(arriving)
        for index, tile in group:
            region = Region.of(tile, frames[index].canvas, self.geometry.scale)
            if region is not None:
                yield Patch(index, *region.output, next(arriving))

    def _heard(self, name: str, done: float) -> None:
        """Pass a generator's progress on, or end its call."""
        if self._stopped():
            raise Cancelled
        self._told(name, done)

    def _mended(self, launched: _Launched, verdict: Sequence[int], frames: Sequence[Frame]) -> Tensor:
        """Compute in fp32 what lower precision made infinite or blank; refuse what is infinite even so."""
        precision, after = launched.precision, launched.after
        infinite = [sample for sample, found in enumerate(verdict) if found == INFINITE]
        if precision != "fp32":
            again = self._shaped(launched.batch, frames[0])
            after = after.clone()
            for sample in (*infinite, *(sample for sample, found in enumerate(verdict) if found == BLANK)):
                if not is_finite(again[sample]):
                    continue
                after[sample] = again[sample]
                if sample in infinite:
                    frames[sample].warnings.append(f"the output was not finite in {precision}; {_AGAIN}")
                elif not is_blank(again[sample]):
                    frames[sample].warnings.append(f"the output was blank in {precision}; {_AGAIN}")
            infinite = [sample for sample in infinite if not is_finite(again[sample])]
        if infinite:
            problem = "the generator's output is not finite (NaN or infinity)"
            raise PictureError(frames[infinite[0]].name, problem, "nothing was written")
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
        self._batches.shrink(frames, error)


def _stacked(samples: Sequence[Tensor]) -> Tensor:
    return samples[0][None] if len(samples) == 1 else torch.stack(list(samples))


def _rgb(image: Tensor) -> Tensor:
    return image.expand(3, -1, -1) if image.shape[0] == 1 else image


def _mask(frame: Frame, tile: Tile) -> NDArray[Any]:
    if frame.mask is None:
        return np.zeros((tile.height, tile.width), np.uint8)
    return cut(frame.mask, tile).astype(np.uint8)
