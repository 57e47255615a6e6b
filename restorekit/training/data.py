"""Batches for training steps: drawn, degraded and moved to the device ahead of time."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from restorekit.contract import Batch
from restorekit.degradations import Recipe
from restorekit.sources import Sampler

__all__ = ["Batches", "clean_batch", "degraded"]


class Batches:
    """The batches of each step, for one process of several.

    Parameters
    ----------
    sampler : Sampler
        Draws clean pictures.
    recipe : Recipe, optional
        Damages them; without it images and targets are the clean pictures.
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
    ):
        self._sampler = sampler
        self._recipe = recipe
        self._size = batch_size
        self._count = batches_per_step
        self._device = device
        self._share = slice(batch_size * rank // world, batch_size * (rank + 1) // world)
        self._workers = workers

    def from_step(self, first: int, last: int) -> Iterator[tuple[Batch, ...]]:
        """Yield the batches of steps ``first`` to ``last - 1``, prepared in the background."""
        waiting: deque[Future[tuple[Batch, ...]]] = deque()
        upcoming = iter(range(first, last))
        with ThreadPoolExecutor(self._workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                for step in range(first, min(last, first + 2 * self._workers)):
                    waiting.append(pool.submit(self._prepare, next(upcoming, step)))
                while waiting:
                    batches = waiting.popleft().result()
                    following = next(upcoming, None)
                    if following is not None:
                        waiting.append(pool.submit(self._prepare, following))
                    yield tuple(_to(batch, self._device) for batch in batches)
            finally:
                for future in waiting:
                    future.cancel()

    def _prepare(self, step: int) -> tuple[Batch, ...]:
        batches = []
        for number in range(self._count):
            start = (step * self._count + number) * self._size
            indices = range(start, start + self._size)[self._share]
            batches.append(degraded(clean_batch(self._sampler, indices), self._recipe))
        return tuple(batches)


def clean_batch(sampler: Sampler, indices: Sequence[int]) -> Batch:
    """Draw samples as a batch whose images and targets are the clean pictures."""
    pictures, labels, seeds = sampler.batch(indices)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2).float().div_(255)
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


def _to(batch: Batch, device: torch.device) -> Batch:
    def moved(tensor: Tensor | None) -> Tensor | None:
        if tensor is None:
            return None
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        if device.type == "cuda":
            tensor = tensor.pin_memory()
        return tensor.to(device, non_blocking=True)

    images = moved(batch.images)
    assert images is not None
    targets = images if batch.targets is batch.images else moved(batch.targets)
    return Batch(images, moved(batch.masks), moved(batch.labels), targets, moved(batch.seeds), batch.settings)
