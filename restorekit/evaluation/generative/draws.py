"""Samples straight from a generator into whatever measures them: nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.contract import Sampler
from restorekit.errors import UsageError
from restorekit.evaluation.generative.pictures import pixels_of
from restorekit.sampling import Drawing
from restorekit.sources.sampling import sample_seeds

__all__ = ["Draws", "balanced_labels", "latent_distributions"]

#: Samples handed on at once.
CHUNK = 256


@dataclass(frozen=True)
class Draws:
    """The samples that a generator is judged by, each a function of the seed and its number.

    Parameters
    ----------
    drawing : Drawing
        Draws them.
    count : int
        How many; at least 2.
    seed : int
        Of the latents.
    latents : str
        Which of the generator's latent distributions; ``""`` for its own choice.
    labels : sequence of int
        The class of each, for a generator of classes.

    Raises
    ------
    UsageError
        There are too few, or the generator has no such distribution.
    """

    drawing: Drawing
    count: int
    seed: int = 0
    latents: str = ""
    labels: Sequence[int] = ()

    def __post_init__(self) -> None:
        if self.count < 2:
            raise UsageError("-n", f"{self.count} samples have no distribution", "draw 2 or more; papers draw 10,000")
        known = latent_distributions(self.drawing.loaded.generator)
        if self.latents and self.latents not in known:
            name = self.drawing.loaded.spec.name
            raise UsageError("--latents", f"this {name} has no {self.latents!r}", f"it has {', '.join(known)}")

    @property
    def side(self) -> int | None:
        """Side of the samples in pixels; ``None`` where they are not square."""
        height, width = self.pictures([0]).shape[1:3]
        return height if height == width else None

    def facts(self) -> dict[str, str | int | float]:
        """Say how the samples were drawn."""
        return {
            "samples": self.count,
            "seed": self.seed,
            "latents": self.latents or next(iter(latent_distributions(self.drawing.loaded.generator))),
            "truncation": self.drawing.truncation,
        }

    def pictures(self, numbers: Sequence[int]) -> NDArray[np.uint8]:
        """Return ``(len(numbers), H, W, 3)`` RGB, rounded as when they are written."""
        draw = latent_distributions(self.drawing.loaded.generator)
        chosen = draw[self.latents] if self.latents else next(iter(draw.values()))
        seeds = torch.from_numpy(sample_seeds(self.seed, np.asarray(numbers, np.int64)))
        latents = chosen(seeds.to(self.drawing.runtime.device)) * self.drawing.truncation
        return self.drawing.pictures(latents, [self.labels[number] for number in numbers] if self.labels else ())

    def pixels(self) -> Iterator[Tensor]:
        """Yield all samples as ``(N, 3, H, W)`` uint8."""
        with torch.no_grad():
            for start in range(0, self.count, CHUNK):
                yield pixels_of(self.pictures(range(start, min(start + CHUNK, self.count))))


def latent_distributions(generator: object) -> Mapping[str, Callable[[Tensor], Tensor]]:
    """Return the distributions that a generator can draw latents from, its own choice first.

    One that names none has what its ``latents`` draws from, as ``"prior"``.
    """
    assert isinstance(generator, Sampler)
    named = getattr(generator, "latent_distributions", None)
    return named() if named is not None else {"prior": generator.latents}


def balanced_labels(shares: Sequence[int], count: int) -> list[int]:
    """Share samples out to classes in given proportions.

    Parameters
    ----------
    shares : sequence of int
        How often each class occurs in the data.
    count : int
        Samples.

    Returns
    -------
    list of int
        ``count`` class indices, mixed evenly: each class has its share to within one sample (largest remainders).
    """
    exact = np.asarray(shares, np.float64) * count / np.sum(shares)
    counts = np.floor(exact).astype(int)
    rest = np.argsort(-(exact - counts), kind="stable")[: count - counts.sum()]
    counts[rest] += 1
    places = np.concatenate([(np.arange(n) + 0.5) / n for n in counts if n])
    return np.repeat(np.arange(len(counts)), counts)[np.argsort(places, kind="stable")].tolist()
