"""A chain of steps made ready: planners asked, generators loaded, the steps run over pictures in turn."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from restorekit.contract import Batch, Detector, Geometry, Planner, Request, Restorer
from restorekit.errors import UsageError
from restorekit.inference.applying import detect, require_masks, restore, restore_crops
from restorekit.inference.arrays import to_tensor, unit_of
from restorekit.inference.device import Runtime, placed
from restorekit.inference.ensemble import ensembled
from restorekit.inference.executor import Cancelled, Executor
from restorekit.inference.job import Job, Outcome, Target
from restorekit.inference.work import Work
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
    batch_size : int, optional
        Tiles given to a generator at once; what is not named is chosen for each generator and device.
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
        batch_size: int | None = None,
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
            geometry = generator.geometry
            if geometry.needs_mask:
                require_masks(step, works)
            if geometry.colours:
                for work in works:
                    work.widen()
            executor = self._executor(step, generator.restore, channels=3)
            if geometry.size is not None:
                restore_crops(executor, geometry.size, works, self._strength, last)
            else:
                restore(executor, works, self._strength, last, "inpaint" in self._load(step).spec.tasks)
        elif isinstance(generator, Detector):
            side = getattr(generator, "working_side", lambda settings: 0)(self._load(step).settings)
            detect(self._executor(step, generator.detect, channels=1), works, side)
        else:
            raise UsageError(str(step), "a planner asked for another planner", "report it to the plugin's author")
