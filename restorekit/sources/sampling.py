"""Draws training samples as pure functions of (seed, sample index): order, crops, flips.

Nothing here has a state, so a run that is resumed at any step, or spread over any number of processes, sees exactly
what an uninterrupted run in one process sees.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["Sampler", "Source", "sample_seeds", "uniforms"]

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Source(Protocol):
    """Clean pictures by number."""

    name: str

    def __len__(self) -> int:
        """How many samples make an epoch; large pictures may count several times."""
        ...

    @property
    def labels(self) -> NDArray[np.int64] | None:
        """``(len,)`` class indices, where the data has them."""
        ...

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return ``(H, W, 3)`` RGB; of pairs ``(H, W, 6)``, what is given and what it should become."""
        ...


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64-bit words: the finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    values = (values ^ (values >> np.uint64(30))) * _MIX[0]
    values = (values ^ (values >> np.uint64(27))) * _MIX[1]
    return values ^ (values >> np.uint64(31))


def sample_seeds(seed: int, indices: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return one non-negative 63-bit seed for each global sample index."""
    with np.errstate(over="ignore"):
        start = _mixed(np.array([seed], np.uint64) + _GOLDEN)
        mixed = _mixed(start + indices.astype(np.uint64) * _GOLDEN)
    return (mixed >> np.uint64(1)).astype(np.int64)


def uniforms(seeds: NDArray[np.int64], count: int) -> NDArray[np.float64]:
    """Return ``(len(seeds), count)`` uniform draws in [0, 1), each row a function of its own seed."""
    with np.errstate(over="ignore"):
        counters = (np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN)[None]
        words = _mixed(_mixed(seeds.astype(np.uint64))[:, None] + counters)
    return (words >> np.uint64(11)).astype(np.float64) / (1 << 53)


@dataclass(frozen=True)
class Sampler:
    """Makes clean batches from a source.

    Parameters
    ----------
    source : Source
        The pictures.
    seed : int
        Of everything that is drawn.
    crop : int, optional
        Side of the square crops in pixels; ``None`` takes pictures whole (they must have one size).
    flip, rotate : bool
        Mirror left-right, and turn by quarter turns, at random.
    shrink : float
        Pictures are shrunk before they are cropped, each time by another factor between this and 1, as far as the crop
        still fits: crops of large photographs then hold detail of every size.
    """

    source: Source
    seed: int
    crop: int | None = None
    flip: bool = True
    rotate: bool = False
    shrink: float = 1.0

    def batch(self, indices: Sequence[int]) -> tuple[NDArray[np.uint8], NDArray[np.int64] | None, NDArray[np.int64]]:
        """Draw the samples with these global indices.

        Parameters
        ----------
        indices : sequence of int
            Step * batch size + place: counted over the whole training.

        Returns
        -------
        pictures : ndarray
            ``(N, H, W, 3)`` uint8, of pairs ``(N, H, W, 6)``.
        labels : ndarray or None
            ``(N,)`` class indices.
        seeds : ndarray
            ``(N,)`` int64: each sample's own, for its degradation and noise.
        """
        numbers = np.asarray(indices, np.int64)
        seeds = sample_seeds(self.seed, numbers)
        draws = uniforms(seeds, 5)
        chosen = self.chosen(indices)
        pictures = [self._crop(self.source.picture(int(n)), draw) for n, draw in zip(chosen, draws, strict=True)]
        labels = None if self.source.labels is None else self.source.labels[chosen]
        return np.stack(pictures), labels, seeds

    def chosen(self, indices: Sequence[int]) -> NDArray[np.int64]:
        """Return the numbers of the pictures that samples are drawn from: each epoch in an order of its own."""
        length = len(self.source)
        return np.array([_permutation(self.seed, int(i) // length, length)[int(i) % length] for i in indices], np.int64)

    def _crop(self, picture: NDArray[np.uint8], draw: NDArray[np.float64]) -> NDArray[np.uint8]:
        if self.crop is not None:
            height, width = picture.shape[:2]
            if min(height, width) < self.crop:
                pad = ((0, max(0, self.crop - height)), (0, max(0, self.crop - width)), (0, 0))
                picture = np.pad(picture, pad, mode="symmetric")
                height, width = picture.shape[:2]
            factor = self.shrink + (1 - self.shrink) * draw[4]
            side = min(round(self.crop / factor), height, width)
            y, x = int(draw[0] * (height - side + 1)), int(draw[1] * (width - side + 1))
            picture = picture[y : y + side, x : x + side]
            if side > self.crop:
                picture = _shrunk(picture, self.crop)
        if self.flip and draw[2] < 0.5:
            picture = picture[:, ::-1]
        return np.rot90(picture, int(draw[3] * 4)) if self.rotate else picture


def _shrunk(picture: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Average over areas, three channels at a time."""
    parts: list[NDArray[np.uint8]] = []
    for first in range(0, picture.shape[2], 3):
        part = np.ascontiguousarray(picture[..., first : first + 3])
        parts.append(np.asarray(cv2.resize(part, (side, side), interpolation=cv2.INTER_AREA), np.uint8))
    return np.concatenate(parts, axis=2)


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, epoch: int, length: int) -> NDArray[np.int64]:
    bits = np.random.Philox(key=np.array([seed, epoch], np.uint64))
    return np.random.Generator(bits).permutation(length)
