"""A chain of steps applied to pictures: planners asked, detectors heard, masks, alpha, strength and size honoured."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from restorekit.contract import Batch, Detector, Geometry, Planner, Request, Restorer
from restorekit.errors import PictureError, UsageError
from restorekit.inference.alpha import covered, hidden_pixels, is_uniform
from restorekit.inference.arrays import convert, to_array, to_tensor, unit_of, write_into
from restorekit.inference.device import Runtime, placed
from restorekit.inference.ensemble import ensembled
from restorekit.inference.executor import Cancelled, Executor, Frame
from restorekit.inference.holes import Crop, crops_for
from restorekit.inference.job import Job, Outcome, Target
from restorekit.inference.work import Work, resized, shrunk_mask
from restorekit.registry import Loaded, Registry
from restorekit.specs import Step
from restorekit.weights.networks import networks_of

__all__ = ["Restoration"]


class Restoration:
    """Steps made ready to be applied to any number of pictures.

    Parameters
    ----------
    steps : sequence of Step
        In order. Planners are asked about the picture as it came in.
    registry : Registry
        Where generators are found.
    runtime : Runtime
        Device and precision.
    target : Target
        The output's size; what the steps do not reach, MATLAB-style bicubic resampling does.
    strength : float
        Blends each size-keeping step's result (1) with its input (0).
    tile : int, optional
        Side of a tile in input pixels, halo included.
    batch_size : int
        Tiles given to a generator at once.
    stopped : callable
        Asked between batches; true raises `restorekit.inference.executor.Cancelled`.
    told : callable
        Is told by generators whose calls take long which picture they are at, and which share, 0 to 1, is done.

    Raises
    ------
    UsageError, NotAvailable
        A step names no generator, has settings that are not allowed, or cannot be loaded.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        *,
        registry: Registry,
        runtime: Runtime,
        target: Target | None = None,
        strength: float = 1.0,
        tile: int | None = None,
        batch_size: int = 1,
        stopped: Callable[[], bool] = lambda: False,
        told: Callable[[str, float], None] = lambda name, done: None,
    ):
        if not 0.0 <= strength <= 1.0:
            raise UsageError("--strength", f"{strength} is out of range", "give a number from 0 to 1")
        if tile is not None and tile < 16:
            raise UsageError("--tile", f"{tile} px is too small", "give at least 16, or leave it out")
        self.target = target or Target()
        self.steps = tuple(steps)
        self._registry = registry
        self._runtime = runtime
        self._strength = strength
        self._tile = tile
        self._batch_size = batch_size
        self._stopped = stopped
        self._told = told
        self._loaded: dict[str, Loaded] = {}
        self._executors: dict[str, Executor] = {}
        self._loading = threading.RLock()
        for step in self.steps:
            self._load(step)

    def restore(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Plan and run; one picture that fails does not take the others down."""
        outcomes: list[Outcome | None] = [None] * len(jobs)
        planned: list[tuple[int, Job, tuple[Step, ...]]] = []
        for index, job in enumerate(jobs):
            try:
                planned.append((index, job, self.plan(job)))
            except Exception as error:
                outcomes[index] = Outcome(None, error=error)
        results = self.run([(job, steps) for _, job, steps in planned])
        for (index, _, _), outcome in zip(planned, results, strict=True):
            outcomes[index] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    # Planning

    def plan(self, job: Job) -> tuple[Step, ...]:
        """Ask the planners, and hand the wanted scale to steps that can enlarge and say nothing of how much.

        May be called from several threads at once.
        """
        scale = self.target.factor(*job.picture.pixels.shape[:2])
        steps: list[Step] = []
        for step in self.steps:
            generator = self._load(step).generator
            steps += generator.plan(self._request(job, scale)) if isinstance(generator, Planner) else [step]
        return self._scaled(steps, scale)

    def concurrent(self, steps: Sequence[Step]) -> bool:
        """Whether `run` may be called with these steps from several threads at once, each using one core."""
        return all(self._load(step).spec.concurrent for step in steps)

    def _request(self, job: Job, scale: float) -> Request:
        pixels = job.picture.pixels
        unit = unit_of(pixels)
        image = to_tensor(pixels if unit == 1.0 else pixels / np.float32(unit)).expand(3, -1, -1)
        mask = None if job.mask is None else torch.from_numpy(job.mask.astype(np.float32))[None]
        return Request(job.picture.info, image, mask, scale, self._registry.generators)

    def _scaled(self, steps: Sequence[Step], scale: float) -> tuple[Step, ...]:
        left = scale / math.prod(self._geometry(step).scale for step in steps if not self._scales_freely(step))
        scaled: list[Step] = []
        for step in steps:
            if left > 1 and self._scales_freely(step):
                step = self._enlarging(step, math.ceil(left))
                left /= self._geometry(step).scale
            scaled.append(step)
        return tuple(scaled)

    def _scales_freely(self, step: Step) -> bool:
        loaded = self._load(step)
        said = bool(step.choice) or "scale" in step.settings or bool(loaded.weights_sha256)
        return not said and hasattr(loaded.config, "scale")

    def _enlarging(self, step: Step, scale: int) -> Step:
        """Set the scale, or leave the step as it is where its generator cannot enlarge as much."""
        wanted = dataclasses.replace(step, settings={**step.settings, "scale": str(scale)})
        try:
            self._load(wanted)
        except UsageError:
            return step
        return wanted

    # Running

    def run(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        """Apply planned steps; pictures whose steps are the same go through them together, their tiles in batches."""
        outcomes: list[Outcome | None] = [None] * len(chains)
        groups: dict[tuple[str, ...], list[int]] = {}
        for index, (_, steps) in enumerate(chains):
            groups.setdefault(tuple(map(str, steps)), []).append(index)
        for members in groups.values():
            for index, outcome in zip(members, self._together([chains[i] for i in members]), strict=True):
                outcomes[index] = outcome
        return [outcome for outcome in outcomes if outcome is not None]

    def _together(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        try:
            return self._chain(chains)
        except Cancelled:
            raise
        except Exception as error:
            if len(chains) == 1:
                return [Outcome(None, error=error)]
            return [outcome for chain in chains for outcome in self._together([chain])]

    def _chain(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        works = [Work.begin(job) for job, _ in chains]
        steps = chains[0][1]
        resizing = [work for work in works if self._misses_target(work, steps)]
        for position, step in enumerate(steps):
            last = position == len(steps) - 1 and not resizing
            self._apply(step, works, last)
            for work, (_, own) in zip(works, chains, strict=True):
                work.steps.append(own[position])
        for work in resizing:
            work.reach(self.target.pixels(*work.begun.shape[:2]))
        weights = {str(step): sha256 for step in steps if (sha256 := self._load(step).weights_sha256)}
        return [dataclasses.replace(work.finish(), weights=weights) for work in works]

    def _misses_target(self, work: Work, steps: Sequence[Step]) -> bool:
        height, width = work.begun.shape[:2]
        scale = math.prod(self._geometry(step).scale for step in steps)
        return self.target != Target() and self.target.pixels(height, width) != (height * scale, width * scale)

    # Steps

    def _load(self, step: Step) -> Loaded:
        key = str(step)
        with self._loading:
            if key not in self._loaded:
                loaded = self._registry.load(step)
                if not isinstance(loaded.generator, Restorer | Detector | Planner):
                    raise UsageError(key, "restores nothing", "`restorekit generators` shows what each one is for")
                for network in networks_of(loaded.generator).values():
                    placed(network, self._runtime.device)
                self._loaded[key] = loaded
            return self._loaded[key]

    def _geometry(self, step: Step) -> Geometry:
        return getattr(self._load(step).generator, "geometry", Geometry(whole_image=True))

    def _executor(self, step: Step, call: Callable[[Batch], torch.Tensor], channels: int) -> Executor:
        key = str(step)
        with self._loading:
            if key not in self._executors:
                loaded = self._load(step)
                # Lower precision makes networks fast; arithmetic that is no network would only lose digits.
                plain = dataclasses.replace(self._runtime, precision="fp32")
                self._executors[key] = Executor(
                    ensembled(call, loaded.ensemble),
                    self._geometry(step),
                    self._runtime if networks_of(loaded.generator) else plain,
                    channels=channels,
                    settings=loaded.settings,
                    tile=self._tile,
                    batch_size=self._batch_size,
                    identity=(key, loaded.weights_sha256, str(self._runtime.device)) if loaded.weights_sha256 else None,
                    stopped=self._stopped,
                    told=self._told,
                )
            return self._executors[key]

    def _apply(self, step: Step, works: Sequence[Work], last: bool) -> None:
        generator = self._load(step).generator
        if isinstance(generator, Restorer):
            if generator.geometry.needs_mask:
                _require_masks(step, works)
            if generator.geometry.colours:
                for work in works:
                    work.widen()
            executor = self._executor(step, generator.restore, channels=3)
            if generator.geometry.size is not None:
                self._restore_fixed_size(executor, generator.geometry.size, works, last)
            else:
                self._restore(executor, "inpaint" in self._load(step).spec.tasks, works, last)
        elif isinstance(generator, Detector):
            self._detect(self._executor(step, generator.detect, channels=1), works)
        else:
            raise UsageError(str(step), "a planner asked for another planner", "report it to the plugin's author")

    def _restore(self, executor: Executor, inpaints: bool, works: Sequence[Work], last: bool) -> None:
        scale = executor.geometry.scale
        hidden = [hidden_pixels(work.alpha) for work in works]
        frames = [
            work.frame(covered(work.canvas, unseen), work.mask) for work, unseen in zip(works, hidden, strict=True)
        ]
        restored = self._run(executor, frames, [work.dtype if last else work.between for work in works], inpaints)
        for work, canvas, unseen in zip(works, restored, hidden, strict=True):
            if scale == 1 and unseen is not None:
                kept = work.canvas if work.canvas.dtype == canvas.dtype else convert(work.canvas, canvas.dtype)
                np.copyto(canvas, kept, where=unseen[..., None])
            if scale > 1:
                work.alpha = self._enlarged_alpha(executor, work)
                work.mask = None if work.mask is None else _repeated(work.mask, scale)
            work.canvas = canvas

    def _enlarged_alpha(self, executor: Executor, work: Work) -> NDArray[Any] | None:
        """Enlarge alpha as the picture is: by the generator, as a grey picture."""
        if work.alpha is None or is_uniform(work.alpha):
            return None if work.alpha is None else _repeated(work.alpha, executor.geometry.scale)
        frame = work.frame(work.alpha[..., None], work.mask)
        return self._run(executor, [frame], [work.alpha.dtype], inpaints=False)[0][..., 0]

    def _run(
        self, executor: Executor, frames: Sequence[Frame], dtypes: Sequence[DTypeLike], inpaints: bool
    ) -> list[NDArray[Any]]:
        """Put the executor's patches together; at scale 1 blend with the input, and keep it outside the mask."""
        scale = executor.geometry.scale
        outputs = [_canvas_for(frame, dtype, executor.geometry) for frame, dtype in zip(frames, dtypes, strict=True)]
        for patch in executor.run(frames):
            frame, output = frames[patch.frame], outputs[patch.frame]
            window, after = (patch.rows, patch.columns), patch.after
            if scale == 1 and self._strength < 1:
                after = torch.lerp(to_tensor(frame.canvas[window], after.device), after, self._strength)
            write_into(output[window], after)
            if scale == 1 and inpaints and frame.mask is not None:
                kept = convert(frame.canvas[window], output.dtype)
                np.copyto(output[window], kept, where=~frame.mask[window][..., None])
            del patch, after  # before the next one is computed
        return outputs

    def _restore_fixed_size(self, executor: Executor, size: tuple[int, int], works: Sequence[Work], last: bool) -> None:
        """Crop around each hole (or take the whole picture), resize, restore, resize back and paste."""
        hidden = [hidden_pixels(work.alpha) for work in works]
        seen = [covered(work.canvas, unseen) for work, unseen in zip(works, hidden, strict=True)]
        results = [convert(work.canvas, work.dtype if last else work.between) for work in works]
        crops = [(i, crop) for i, work in enumerate(works) for crop in crops_for(seen[i].shape, work.mask, size)]
        for start in range(0, len(crops), self._batch_size):  # a picture may have thousands of specks
            chosen = crops[start : start + self._batch_size]
            frames = [_crop_frame(works[i], seen[i], crop, size) for i, crop in chosen]
            for patch in executor.run(frames):
                i, crop = chosen[patch.frame]
                restored = to_array(patch.after, seen[i].shape[2], np.float32)
                inside = crop.own(works[i].mask)
                if (unseen := hidden[i]) is not None:
                    inside &= ~unseen[crop.slices]
                self._paste(restored, seen[i][crop.slices], inside, results[i][crop.slices])
        for work, result in zip(works, results, strict=True):
            work.canvas = result

    def _paste(
        self, restored: NDArray[Any], before: NDArray[Any], inside: NDArray[np.bool_], target: NDArray[Any]
    ) -> None:
        pasted = resized(restored, before.shape[:2])[inside].clip(0, 1)
        if self._strength < 1:
            original = convert(before[inside], np.float32)
            pasted = original + np.float32(self._strength) * (pasted - original)
        target[inside] = convert(pasted, target.dtype)

    def _detect(self, executor: Executor, works: Sequence[Work]) -> None:
        found = [np.zeros(work.canvas.shape[:2], bool) for work in works]
        frames = [work.frame(covered(work.canvas, hidden_pixels(work.alpha)), work.mask) for work in works]
        for patch in executor.run(frames):
            found[patch.frame][patch.rows, patch.columns] = (patch.after[0] >= 0.5).cpu().numpy()
        for work, mask in zip(works, found, strict=True):
            work.mask = mask if work.mask is None else work.mask | mask


def _require_masks(step: Step, works: Sequence[Work]) -> None:
    for work in works:
        if work.mask is None:
            raise PictureError(
                work.job.name,
                f"{step.name} needs a mask and there is none",
                "put NAME.mask.png beside the picture, or use --masks DIR, --mask-color HEX or a detector",
            )


def _canvas_for(frame: Frame, dtype: DTypeLike, geometry: Geometry) -> NDArray[Any]:
    if geometry.needs_mask and geometry.scale == 1:  # tiles without a hole are not visited
        return convert(frame.canvas, dtype)
    height, width, channels = frame.canvas.shape
    return np.empty((height * geometry.scale, width * geometry.scale, channels), dtype)


def _crop_frame(work: Work, canvas: NDArray[Any], crop: Crop, size: tuple[int, int]) -> Frame:
    mask = None if work.mask is None else shrunk_mask(work.mask[crop.slices], size)
    return work.frame(resized(canvas[crop.slices], size).clip(0, 1), mask)


def _repeated(plane: NDArray[Any], scale: int) -> NDArray[Any]:
    return plane.repeat(scale, axis=0).repeat(scale, axis=1)
