"""A chain of steps applied to pictures: planners asked, detectors heard, masks, alpha, strength and size honoured."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from restorekit.contract import Batch, Detector, Geometry, Planner, Request, Restorer
from restorekit.errors import PictureError, UsageError
from restorekit.images import Picture
from restorekit.images.resize import resize
from restorekit.inference.arrays import convert, premultiply, to_array, to_tensor, unit_of, unpremultiply
from restorekit.inference.device import Runtime
from restorekit.inference.executor import Cancelled, Executor, Frame
from restorekit.inference.holes import Box, hole_boxes
from restorekit.registry import Loaded, Registry
from restorekit.specs import Step

__all__ = ["Job", "Outcome", "Restoration", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """The size a restored picture has to have: a factor, or pixels.

    Parameters
    ----------
    scale : float
        Output pixels for each input pixel and axis.
    size : tuple of int, optional
        ``(width, height)``; overrides ``scale``.
    """

    scale: float = 1.0
    size: tuple[int, int] | None = None

    def pixels(self, height: int, width: int) -> tuple[int, int]:
        """Return ``(height, width)`` of the output for an input of this size."""
        if self.size is not None:
            return self.size[1], self.size[0]
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    def factor(self, height: int, width: int) -> float:
        """Return the enlargement that reaches the target on both axes."""
        wanted = self.pixels(height, width)
        return max(wanted[0] / height, wanted[1] / width) if self.size is not None else self.scale


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to restore.

    Parameters
    ----------
    name : str
        For messages.
    picture : Picture
        Decoded.
    mask : ndarray, optional
        ``(H, W)`` bool in displayed orientation; true marks what to repair.
    seed : int
        The only source of randomness.

    Raises
    ------
    PictureError
        The mask is not of the picture's size.
    """

    name: str
    picture: Picture
    mask: NDArray[np.bool_] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        height, width = self.picture.pixels.shape[:2]
        if self.mask is not None and self.mask.shape != (height, width):
            raise PictureError(
                self.name,
                f"its mask has {self.mask.shape[1]} x {self.mask.shape[0]} pixels, the picture {width} x {height}",
                "make the mask for the picture as it is displayed, pixel for pixel",
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a `Job`.

    Parameters
    ----------
    picture : Picture or None
        The result; the very object that went in where nothing was done; ``None`` where it failed.
    steps : tuple of Step
        What was done, with a planner's reasons.
    mask : ndarray, optional
        ``(H, W)`` bool, of the output's size: the given mask and what detectors found.
    warnings : tuple of str
        What the user should know.
    error : RestorekitError, optional
        Why it failed.
    """

    picture: Picture | None
    steps: tuple[Step, ...] = ()
    mask: NDArray[np.bool_] | None = None
    warnings: tuple[str, ...] = ()
    error: Exception | None = None


@dataclass(slots=True)
class _Work:
    """A picture on its way through the chain. ``canvas`` is premultiplied only inside a step."""

    job: Job
    canvas: NDArray[Any]
    alpha: NDArray[Any] | None
    mask: NDArray[np.bool_] | None
    unit: float
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def bits(self) -> int:
        return 8 if self.job.picture.pixels.dtype == np.uint8 else 16

    def frame(self, canvas: NDArray[Any]) -> Frame:
        return Frame(self.job.name, canvas, self.mask, self.job.seed, self.bits, self.warnings)


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
        self._loaded: dict[str, Loaded] = {}
        self._executors: dict[str, Executor] = {}
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

    def plan(self, job: Job) -> tuple[Step, ...]:
        """Ask the planners, and hand the wanted scale to a step that can enlarge and says nothing of how much.

        May be called from several threads at once.
        """
        pixels = job.picture.pixels
        scale = self.target.factor(*pixels.shape[:2])
        steps: list[Step] = []
        for step in self.steps:
            generator = self._load(step).generator
            if not isinstance(generator, Planner):
                steps.append(step)
                continue
            image = to_tensor(pixels / np.float32(unit_of(pixels)) if pixels.dtype.kind == "f" else pixels)
            image = image.expand(3, -1, -1)
            mask = None if job.mask is None else torch.from_numpy(job.mask)[None].float()
            steps += generator.plan(Request(job.picture.info, image, mask, scale, self._registry.generators))
        return tuple(self._scaled(step, scale) for step in steps)

    def concurrent(self, steps: Sequence[Step]) -> bool:
        """Whether `run` may be called with these steps from several threads at once, each using one core."""
        return all(self._load(step).spec.concurrent for step in steps)

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
        works = [_begin(job) for job, _ in chains]
        steps = chains[0][1]
        resized = [self._resizes(work, steps) for work in works]
        for position, step in enumerate(steps):
            last = position == len(steps) - 1 and not any(resized)
            self._apply(step, works, last)
            for work, (_, own) in zip(works, chains, strict=True):
                work.steps.append(own[position])
        for work, needed in zip(works, resized, strict=True):
            if needed:
                self._reach_target(work)
        return [_finish(work) for work in works]

    def _scaled(self, step: Step, scale: float) -> Step:
        loaded = self._load(step)
        open_choice = not step.choice and "scale" not in step.settings and not loaded.spec.weights
        if scale <= 1 or not open_choice or not hasattr(loaded.config, "scale"):
            return step
        return dataclasses.replace(step, settings={**step.settings, "scale": str(math.ceil(scale))})

    # Steps

    def _load(self, step: Step) -> Loaded:
        key = str(step)
        if key not in self._loaded:
            loaded = self._registry.load(step)
            generator = loaded.generator
            if not isinstance(generator, Restorer | Detector | Planner):
                raise UsageError(key, "restores nothing", "`restorekit generators` shows what each one is for")
            if isinstance(generator, torch.nn.Module):
                generator.to(self._runtime.device, memory_format=torch.channels_last)  # pyright: ignore
                generator.eval()
            self._loaded[key] = loaded
        return self._loaded[key]

    def _apply(self, step: Step, works: Sequence[_Work], last: bool) -> None:
        loaded = self._load(step)
        generator = loaded.generator
        if isinstance(generator, Restorer):
            if generator.geometry.needs_mask:
                _require_masks(step, works)
            if generator.geometry.size is not None:
                self._restore_fixed_size(step, works)
            else:
                self._restore(step, works, last)
        elif isinstance(generator, Detector):
            self._detect(step, works)
        else:
            raise UsageError(str(step), "a planner asked for another planner", "report it to the plugin's author")

    def _executor(self, step: Step, call: Callable[[Batch], torch.Tensor], geometry: Geometry) -> Executor:
        key = str(step)
        if key not in self._executors:
            self._executors[key] = Executor(
                call,
                geometry,
                self._runtime,
                settings=self._load(step).settings,
                tile=self._tile,
                batch_size=self._batch_size,
                stopped=self._stopped,
            )
        return self._executors[key]

    def _restore(self, step: Step, works: Sequence[_Work], last: bool) -> None:
        loaded = self._load(step)
        generator = loaded.generator
        assert isinstance(generator, Restorer)
        scale = generator.geometry.scale
        masked = "inpaint" in loaded.spec.tasks and scale == 1
        executor = self._executor(step, generator.restore, generator.geometry)
        plain = [_is_plain(work.alpha) for work in works]
        canvases = [
            work.canvas if simple or work.alpha is None else premultiply(work.canvas, work.alpha)
            for work, simple in zip(works, plain, strict=True)
        ]
        dtypes = [
            work.job.picture.pixels.dtype if last and simple else np.dtype(np.float32)
            for work, simple in zip(works, plain, strict=True)
        ]
        frames = [work.frame(canvas) for work, canvas in zip(works, canvases, strict=True)]
        restored = self._run(executor, frames, dtypes, scale, masked)
        shaped = [i for i, work in enumerate(works) if scale > 1 and not plain[i] and work.alpha is not None]
        alphas = self._run(
            executor,
            [works[i].frame(works[i].alpha[..., None]) for i in shaped],  # pyright: ignore[reportOptionalSubscript]
            [works[i].job.picture.pixels.dtype for i in shaped],
            scale,
            masked,
        )
        for i, alpha in zip(shaped, alphas, strict=True):
            works[i].alpha = alpha[..., 0]
        for work, canvas, simple in zip(works, restored, plain, strict=True):
            hidden = (
                work.canvas.repeat(scale, axis=0).repeat(scale, axis=1) if scale > 1 and not simple else work.canvas
            )
            if work.alpha is not None and simple and scale > 1:
                work.alpha = work.alpha.repeat(scale, axis=0).repeat(scale, axis=1)
            if not simple and work.alpha is not None:
                canvas = unpremultiply(canvas, work.alpha, hidden)
                if masked and work.mask is not None:
                    canvas = np.where(work.mask[..., None], canvas, convert(work.canvas, np.float32))
            work.canvas = canvas
            if work.mask is not None and scale > 1:
                work.mask = work.mask.repeat(scale, axis=0).repeat(scale, axis=1)

    def _run(
        self, executor: Executor, frames: Sequence[Frame], dtypes: Sequence[DTypeLike], scale: int, masked: bool
    ) -> list[NDArray[Any]]:
        outputs = [
            _canvas_for(frame, dtype, scale, executor.geometry) for frame, dtype in zip(frames, dtypes, strict=True)
        ]
        for patch in executor.run(frames):
            after = patch.after
            if scale == 1 and self._strength < 1:
                after = torch.lerp(patch.before, after, self._strength)
            if masked and frames[patch.frame].mask is not None and patch.mask is not None:
                after = torch.where(patch.mask > 0, after, patch.before)
            output = outputs[patch.frame]
            output[patch.rows, patch.columns] = to_array(after, output.shape[2], output.dtype)
        return outputs

    def _restore_fixed_size(self, step: Step, works: Sequence[_Work]) -> None:
        """Crop around each hole (or take the whole picture), resize, restore, resize back and paste."""
        loaded = self._load(step)
        generator = loaded.generator
        assert isinstance(generator, Restorer)
        size = generator.geometry.size
        assert size is not None
        geometry = dataclasses.replace(generator.geometry, size=None, whole_image=False, halo=0)
        executor = self._executor(step, generator.restore, geometry)
        crops: list[tuple[_Work, Box, NDArray[Any] | None]] = []
        frames: list[Frame] = []
        for work in works:
            base = work.canvas if work.alpha is None or _is_plain(work.alpha) else premultiply(work.canvas, work.alpha)
            height, width = base.shape[:2]
            whole = [Box(0, height, 0, width)]
            for box in whole if work.mask is None else hole_boxes(work.mask, size):
                crop = _resized(base[box.slices], size)
                mask = None if work.mask is None else _shrunk_mask(work.mask[box.slices], size)
                crops.append((work, box, base))
                frames.append(Frame(work.job.name, crop, mask, work.job.seed, work.bits, work.warnings))
        dtypes = [np.dtype(np.float32)] * len(frames)
        restored = self._run(executor, frames, dtypes, 1, masked=False)
        for work in works:
            work.canvas = convert(work.canvas, np.float32)
        for (work, box, _), canvas in zip(crops, restored, strict=True):
            target = work.canvas[box.slices]
            pasted = _resized(canvas, target.shape[:2])
            if work.alpha is not None and not _is_plain(work.alpha):
                pasted = unpremultiply(pasted, work.alpha[box.slices], target)
            inside = np.ones(target.shape[:2], bool) if work.mask is None else work.mask[box.slices]
            work.canvas[box.slices] = np.where(inside[..., None], np.clip(pasted, 0, 1), target)

    def _detect(self, step: Step, works: Sequence[_Work]) -> None:
        generator = self._load(step).generator
        assert isinstance(generator, Detector)
        geometry = getattr(generator, "geometry", Geometry(whole_image=True))
        executor = self._executor(step, generator.detect, geometry)
        found = [np.zeros(work.canvas.shape[:2], bool) for work in works]
        for patch in executor.run([work.frame(work.canvas) for work in works]):
            found[patch.frame][patch.rows, patch.columns] = (patch.after[0] >= 0.5).cpu().numpy()
        for work, mask in zip(works, found, strict=True):
            work.mask = mask if work.mask is None else work.mask | mask

    # Size

    def _resizes(self, work: _Work, steps: Sequence[Step]) -> bool:
        height, width = work.canvas.shape[:2]
        if self.target == Target():
            return False
        scale = math.prod(getattr(self._load(step).generator, "geometry", Geometry()).scale for step in steps)
        return self.target.pixels(height, width) != (height * scale, width * scale)

    def _reach_target(self, work: _Work) -> None:
        size = self.target.pixels(*work.job.picture.pixels.shape[:2])
        if work.canvas.shape[:2] == size:
            return
        if work.alpha is None or _is_plain(work.alpha):
            work.canvas = _resized(work.canvas, size)
            work.alpha = None if work.alpha is None else np.full(size, work.alpha.flat[0])
        else:
            colours = _resized(premultiply(work.canvas, work.alpha), size)
            alpha = convert(np.clip(_resized(work.alpha[..., None], size), 0, 1), work.alpha.dtype)[..., 0]
            work.canvas = unpremultiply(colours, alpha, np.clip(_resized(work.canvas, size), 0, 1))
            work.alpha = alpha
        work.mask = None if work.mask is None else _shrunk_mask(work.mask, size)
        work.steps.append(Step("resize", f"{size[1]}x{size[0]}").because("to reach the size asked for"))


def _begin(job: Job) -> _Work:
    picture = job.picture
    unit = unit_of(picture.pixels)
    canvas = picture.pixels if unit == 1.0 else picture.pixels / np.float32(unit)
    return _Work(job, canvas, picture.alpha, job.mask, unit)


def _finish(work: _Work) -> Outcome:
    picture = work.job.picture
    warnings = tuple(dict.fromkeys(work.warnings))
    if work.canvas is picture.pixels:
        return Outcome(picture, tuple(work.steps), work.mask, warnings)
    pixels = convert(work.canvas, picture.pixels.dtype)
    if work.unit != 1.0:
        pixels = pixels * np.float32(work.unit)
    height, width = pixels.shape[:2]
    restored = dataclasses.replace(
        picture,
        pixels=pixels,
        alpha=work.alpha,
        info=dataclasses.replace(picture.info, width=width, height=height),
    )
    return Outcome(restored, tuple(work.steps), work.mask, warnings)


def _require_masks(step: Step, works: Sequence[_Work]) -> None:
    for work in works:
        if work.mask is None:
            raise PictureError(
                work.job.name,
                f"{step.name} needs a mask and there is none",
                "put NAME.mask.png beside the picture, or use --masks DIR, --mask-color HEX or a detector",
            )


def _is_plain(alpha: NDArray[Any] | None) -> bool:
    """Whether alpha has one value throughout and is not 0, so that colours need no premultiplying."""
    return alpha is None or (alpha.size > 0 and bool(alpha.flat[0] != 0) and bool((alpha == alpha.flat[0]).all()))


def _canvas_for(frame: Frame, dtype: DTypeLike, scale: int, geometry: Geometry) -> NDArray[Any]:
    if geometry.needs_mask:  # tiles without a hole are not visited
        return convert(frame.canvas, dtype)
    height, width, channels = frame.canvas.shape
    return np.empty((height * scale, width * scale, channels), dtype)


def _resized(canvas: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Resample ``(H, W, C)`` to ``(height, width)``, as float32."""
    if canvas.shape[:2] == size:
        return convert(canvas, np.float32)
    return resize(to_tensor(canvas)[None], size)[0].permute(1, 2, 0).contiguous().numpy()


def _shrunk_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resample a mask so that whatever touches a hole is part of it."""
    tensor = torch.from_numpy(mask)[None, None].float()
    return torch.nn.functional.adaptive_max_pool2d(tensor, size)[0, 0].numpy() > 0
