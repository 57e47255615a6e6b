"""The real pictures that a sampler is measured by: what it learned from, and what was held out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.sources import Sampler, Source, open_source

__all__ = ["Pictures", "Splits", "open_splits", "pixels_of"]

#: Pictures at once.
BATCH = 100


@dataclass(frozen=True)
class Pictures:
    """One split of a set, in a fixed random order, as training draws it but without flips.

    Parameters
    ----------
    source : Source
        The clean pictures.
    split : str
        What the split is called.
    side : int, optional
        Side in pixels that a generator makes and takes: pictures of other sizes are cropped to it at random, as in
        training. ``None`` takes them whole.
    count : int, optional
        The first so many alone.
    """

    source: Source
    split: str
    side: int | None = None
    count: int | None = None

    def __len__(self) -> int:
        return min(self.count or len(self.source), len(self.source))

    @property
    def labels(self) -> NDArray[np.int64]:
        """``(len,)`` class indices, in this order.

        Raises
        ------
        UsageError
            There are none.
        """
        if self.source.labels is None:
            raise UsageError(self.source.name, "has no labels", "leave out the linear probe, or name labelled data")
        return np.concatenate([labels for _, labels, _ in self._drawn() if labels is not None])

    def facts(self) -> dict[str, str | int]:
        """Say which pictures these are, for the protocol of a number."""
        crops = "whole" if self._crop is None else f"random crops of {self._crop} px"
        return {"data": self.source.name, "split": self.split, "pictures": len(self), "seen": crops}

    def batches(self) -> Iterator[Batch]:
        """Yield the pictures as float batches with labels and seeds."""
        for pictures, labels, seeds in self._drawn():
            yield Batch(
                pixels_of(pictures).float().div_(255),
                labels=None if labels is None else torch.from_numpy(labels),
                seeds=torch.from_numpy(seeds),
            )

    def pixels(self) -> Iterator[Tensor]:
        """Yield the pictures as ``(N, 3, H, W)`` uint8."""
        for pictures, _, _ in self._drawn():
            yield pixels_of(pictures)

    def picture(self, number: int) -> NDArray[np.uint8]:
        """Return ``(H, W, 3)`` RGB: the one that has this place in the order."""
        return self._sampler.batch([number])[0][0]

    @property
    def _crop(self) -> int | None:
        pictures = _array(self.source)
        fits = pictures is not None and pictures.shape[1:3] == (self.side, self.side)
        return None if fits else self.side

    @property
    def _sampler(self) -> Sampler:
        return Sampler(self.source, seed=0, crop=self._crop, flip=False)

    def _drawn(self) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.int64] | None, NDArray[np.int64]]]:
        sampler = self._sampler
        for start in range(0, len(self), BATCH):
            try:
                yield sampler.batch(range(start, min(start + BATCH, len(self))))
            except ValueError as error:
                raise UsageError(self.source.name, "holds pictures of several sizes", "crop them to one") from error


@dataclass(frozen=True)
class Splits:
    """A set's pictures to learn from, and those held out where there are some."""

    train: Source
    test: Source | None

    def reference(self, split: str) -> tuple[Source, str]:
        """Return the split that samples are compared with, and its name; ``""`` prefers the test split.

        Raises
        ------
        UsageError
            The data has no such split.
        """
        if split not in ("", "train", "test"):
            raise UsageError("--split", f"{split!r} is unknown", "choose train or test")
        if split == "test" and self.test is None:
            raise UsageError("--split", f"{self.train.name} has no test split", "name held-out pictures with --test")
        return (self.train, "train") if split == "train" or self.test is None else (self.test, "test")


def open_splits(data: Sequence[str], test: Sequence[str] = ()) -> Splits:
    """Open training data and what was held out of it.

    Parameters
    ----------
    data : sequence of str
        See `restorekit.sources.open_source`.
    test : sequence of str
        Held-out pictures in the same forms, for data that has no split of its own.

    Raises
    ------
    UsageError, NotAvailable
        Nothing is there, or it cannot be read.
    """
    train = open_source(data, "train")
    return Splits(train, open_source(test, "test") if test else _held_out(train, data))


def pixels_of(pictures: NDArray[np.uint8]) -> Tensor:
    """Turn ``(N, H, W, 3)`` into a ``(N, 3, H, W)`` tensor."""
    return torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)))


def _held_out(train: Source, data: Sequence[str]) -> Source | None:
    """Return the data's own test split: data without one gives the same pictures under either name."""
    try:
        test = open_source(data, "test")
    except NotAvailable:
        return None
    ours, theirs = _array(train), _array(test)
    return None if ours is None or theirs is None or np.array_equal(ours, theirs) else test


def _array(source: Source) -> NDArray[Any] | None:
    """Return the pictures of a source that holds them in one array."""
    pictures = getattr(source, "pictures", None)
    return pictures if isinstance(pictures, np.ndarray) else None
