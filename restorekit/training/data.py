"""Batches for training steps: drawn, augmented, degraded and moved to the device ahead of time."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

from restorekit.contract import Batch, Restorer, Trainable
from restorekit.degradations import Recipe, parse
from restorekit.errors import UsageError
from restorekit.registry import Loaded
from restorekit.sources import Sampler, Source, is_paired
from restorekit.sources.resident import Resident, can_reside
from restorekit.training.augment import gray_again, grayed, jittered, mixed, partners, positions
from restorekit.training.config import RunConfig
from restorekit.training.distributed import Group

__all__ = ["Augmentation", "Batches", "batches_for", "clean_batch", "degraded", "recipe_for"]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is done to clean pictures besides cropping, mirroring and turning them.

    Parameters
    ----------
    jitter : float
        Strength of colour and light jitter, 0 to 1.
    mixup : float
        Beta distribution's parameter of mixup; 0 for none. Mixed pictures have no labels.
    gray : float
        Share of the pictures whose colours are taken, 0 to 1. They stay grey when they are damaged.
    """

    jitter: float = 0.0
    mixup: float = 0.0
    gray: float = 0.0


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Samples as they come from the source; partners of mixup after them, where they are others' samples.

    ``pixels`` are ``(N, H, W, 3)`` uint8, of pairs ``(N, H, W, 6)``, or ``(N, 5)`` int64 places in a resident set.
    """

    pixels: Tensor
    seeds: Tensor
    labels: Tensor | None
    mixed_with: Tensor | None


class Batches:
    """The batches of each step, for one process of several.

    Parameters
    ----------
    sampler : Sampler
        Draws clean pictures, or pairs.
    recipe : Recipe, optional
        Damages them, on the host; without it images and targets are the clean pictures (or the two of each pair), which
        are then made of bytes on the device.
    batch_size : int
        Over all processes.
    batches_per_step : int
        What the trainable asks for.
    device : torch.device
        Where batches go.
    rank, world : int
        This process, and how many there are; each gets an equal, contiguous share of every batch.
    workers : int
        Threads that prepare batches.
    augmentation : Augmentation
        Of the clean pictures.
    resident : Resident, optional
        The sampler's pictures where they live on the device; only without a recipe.
    """

    def __init__(
        self,
        sampler: Sampler,
        recipe: Recipe | None,
        *,
        batch_size: int,
        batches_per_step: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
        workers: int = 2,
        augmentation: Augmentation | None = None,
        resident: Resident | None = None,
    ):
        if resident is not None and recipe is not None:
            raise ValueError("degradations work on the host, and so do the pictures that they damage")
        self._sampler = sampler
        self._recipe = recipe
        self._size = batch_size
        self._count = batches_per_step
        self._device = device
        self._share = slice(batch_size * rank // world, batch_size * (rank + 1) // world)
        self._workers = workers
        self._augmentation = augmentation or Augmentation()
        self._resident = resident
        self._on_host = recipe is not None or device.type == "cpu"

    def from_step(self, first: int, last: int) -> Iterator[tuple[Batch, ...]]:
        """Yield the batches of steps ``first`` to ``last - 1``, prepared in the background."""
        waiting: deque[Future[list[Batch | _Drawn]]] = deque()
        upcoming = iter(range(first, last))
        with ThreadPoolExecutor(self._workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                for step in range(first, min(last, first + 2 * self._workers)):
                    waiting.append(pool.submit(self._prepare, next(upcoming, step)))
                while waiting:
                    prepared = waiting.popleft().result()
                    following = next(upcoming, None)
                    if following is not None:
                        waiting.append(pool.submit(self._prepare, following))
                    yield tuple(self._finished(part) for part in prepared)
            finally:
                for future in waiting:
                    future.cancel()

    def _prepare(self, step: int) -> list[Batch | _Drawn]:
        """Do what needs no device."""
        prepared: list[Batch | _Drawn] = []
        for number in range(self._count):
            drawn = self._drawn((step * self._count + number) * self._size)
            done = self._damaged(self._clean(drawn)) if self._on_host else drawn
            prepared.append(_pinned(done) if self._device.type == "cuda" else done)
        return prepared

    def _finished(self, prepared: Batch | _Drawn) -> Batch:
        """Move to the device, and do there what was left to do."""
        moved = _moved(prepared, self._device)
        batch = moved if isinstance(moved, Batch) else self._clean(moved)
        return _channels_last(batch)

    def _drawn(self, start: int) -> _Drawn:
        own = list(range(start, start + self._size)[self._share])
        indices, mixed_with = own, None
        if self._augmentation.mixup:
            others = partners(self._sampler.seed, start, self._size)[self._share].tolist()
            indices = [*own, *sorted(set(others) - set(own))]
            mixed_with = torch.tensor(positions(others, indices))
        if self._resident is not None:
            pixels, labels, seeds = self._resident.places(indices)
        else:
            pictures, labels, seeds = self._sampler.batch(indices)
            pixels = torch.from_numpy(pictures)
        return _Drawn(pixels, torch.from_numpy(seeds), None if labels is None else torch.from_numpy(labels), mixed_with)

    def _damaged(self, clean: Batch) -> Batch:
        damaged = degraded(clean, self._recipe)
        if self._recipe is None or damaged.seeds is None:
            return damaged
        return dataclasses.replace(damaged, images=gray_again(damaged.images, damaged.seeds, self._augmentation.gray))

    def _clean(self, drawn: _Drawn) -> Batch:
        pixels = drawn.pixels if self._resident is None else self._resident.pictures(drawn.pixels)
        # Both pictures of a pair are changed in the same way.
        pair = [jittered(each, drawn.seeds, self._augmentation.jitter) for each in _floats(pixels).split(3, dim=1)]
        seeds, labels = drawn.seeds, drawn.labels
        if drawn.mixed_with is not None:
            own = slice(len(drawn.mixed_with))
            seeds, labels = seeds[own], None
            pair = [mixed(each[own], each[drawn.mixed_with], seeds, self._augmentation.mixup) for each in pair]
        pair = [grayed(each, seeds, self._augmentation.gray) for each in pair]
        return Batch(pair[0], targets=pair[-1], labels=labels, seeds=seeds)


def batches_for(
    run: RunConfig, source: Source, trainer: Trainable, recipe: Recipe | None, device: torch.device, group: Group
) -> Batches:
    """Return the batches of a run; what is small lives on the device, where the run allows it.

    Raises
    ------
    UsageError
        Pictures are to be mixed whose labels are learned.
    """
    if run.mixup and source.labels is not None and getattr(trainer, "uses_labels", True):
        raise UsageError("run.mixup", "mixes pictures, and these have labels to learn from", "set run.mixup=0")
    sampler = Sampler(source, run.seed, run.crop, run.flip, run.rotate, run.shrink)
    wanted = run.resident == "on" or (run.resident == "auto" and device.type == "cuda")
    return Batches(
        sampler,
        recipe,
        batch_size=run.batch_size,
        batches_per_step=trainer.batches_per_step,
        device=device,
        rank=group.rank,
        world=group.world,
        workers=run.workers,
        augmentation=Augmentation(run.jitter, run.mixup, run.gray),
        resident=Resident(sampler, device) if wanted and recipe is None and can_reside(sampler, device) else None,
    )


def recipe_for(trainer: Trainable, source: Source, loaded: Loaded) -> Recipe | None:
    """Return what damages a source's clean pictures for a trainer; pairs are left as they are.

    Raises
    ------
    UsageError
        The trainer's degradation is none, or it has no use for pairs.
    """
    degradation = getattr(trainer, "degradation", None)
    if not is_paired(source):
        return None if degradation is None else parse(degradation())
    name = loaded.spec.name
    if degradation is None:
        raise UsageError("--data", f"holds pairs, and {name} learns from single pictures", "name one of its folders")
    if isinstance(loaded.generator, Restorer) and loaded.generator.geometry.scale > 1:
        raise UsageError("--data", f"holds pairs of one size, and {name} enlarges", "name the folder target alone")
    return None


def clean_batch(sampler: Sampler, indices: Sequence[int]) -> Batch:
    """Draw samples as a batch whose images and targets are the clean pictures."""
    pictures, labels, seeds = sampler.batch(indices)
    images = _floats(torch.from_numpy(pictures))
    return Batch(
        images,
        targets=images,
        labels=None if labels is None else torch.from_numpy(labels),
        seeds=torch.from_numpy(seeds),
    )


def degraded(batch: Batch, recipe: Recipe | None) -> Batch:
    """Damage a clean batch; each sample by its own seed."""
    if recipe is None or batch.seeds is None:
        return batch
    damaged = recipe(batch.images, batch.seeds)
    return Batch(damaged.images, damaged.masks, batch.labels, batch.targets, batch.seeds)


def _floats(pixels: Tensor) -> Tensor:
    """Turn ``(N, H, W, C)`` bytes into ``(N, C, H, W)`` in [0, 1].

    The divisor is a tensor on the device: by a number, GPUs multiply with its rounded inverse, which is not the same.
    """
    return pixels.permute(0, 3, 1, 2).float().div_(torch.full((), 255.0, device=pixels.device))


_Samples = TypeVar("_Samples", bound="Batch | _Drawn")


def _pinned(samples: _Samples) -> _Samples:
    """Copy to memory that a GPU reads by itself."""
    return _each(samples, Tensor.pin_memory)


def _moved(samples: _Samples, device: torch.device) -> _Samples:
    return _each(samples, lambda tensor: tensor.to(device, non_blocking=True))


def _channels_last(batch: Batch) -> Batch:
    return _each(batch, lambda t: t.contiguous(memory_format=torch.channels_last) if t.ndim == 4 else t)


def _each(samples: _Samples, function: Callable[[Tensor], Tensor]) -> _Samples:
    """Apply a function to all tensors; one that serves as two fields stays one."""
    done: dict[int, Tensor] = {}
    changed: dict[str, Tensor] = {}
    for field in dataclasses.fields(samples):
        value = getattr(samples, field.name)
        if isinstance(value, Tensor):
            if id(value) not in done:
                done[id(value)] = function(value)
            changed[field.name] = done[id(value)]
    return dataclasses.replace(samples, **changed)
