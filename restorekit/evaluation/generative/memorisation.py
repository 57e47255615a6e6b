"""Whether a generator repeats what it was taught: its samples' nearest training pictures, beside held-out ones'."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.evaluation.generative.neighbours import Neighbours, nearest

__all__ = ["PERCENTILE", "Memorisation", "copying_score", "memorisation"]

#: Held-out pictures nearer than this many in a hundred of them are called near.
PERCENTILE = 5.0
#: Training pictures shown beside a sample.
SHOWN = 5


@dataclass(frozen=True)
class Memorisation:
    """How near samples are to training pictures.

    Parameters
    ----------
    neighbours : Neighbours
        Of each sample, the nearest training pictures.
    ratios : Tensor
        ``(N,)`` distance of each sample to its nearest training picture, over that one's to its own nearest.
    authenticity : float
        Share of samples that are farther from their nearest training picture than that one is from its own nearest
        (Alaa et al. 2022, "AuthPct" as a share). A generator that copies has a low one.
    nearer : float or None
        Share of samples whose nearest training picture is nearer than the 5th percentile of what held-out pictures
        have: .05 where samples keep the same distance as new pictures do; ``None`` without held-out pictures.
    copying_z : float or None
        Mann-Whitney's U of the samples' distances against the held-out pictures', standardised (Meehan et al. 2020,
        with one cell): far below 0 where samples are nearer to the training pictures than new pictures are.
    """

    neighbours: Neighbours
    ratios: Tensor
    authenticity: float
    nearer: float | None = None
    copying_z: float | None = None

    @property
    def values(self) -> Mapping[str, float]:
        """The numbers that there are, by name."""
        numbers = {"authenticity": self.authenticity, "nearer_than_held_out": self.nearer, "copying_z": self.copying_z}
        return {name: value for name, value in numbers.items() if value is not None}

    @property
    def standard_errors(self) -> Mapping[str, float]:
        """Of the shares, as of a proportion of independent samples; those of the sets themselves are not in it."""
        samples = len(self.neighbours.distances)
        return {name: math.sqrt(p * (1 - p) / samples) for name, p in self.values.items() if name != "copying_z"}

    def suspects(self, count: int) -> list[int]:
        """Return the numbers of the samples that are most likely copies, by ``ratios``, the worst first.

        The plain distance would show the simplest pictures instead: of those there are so many that all are near.
        """
        return self.ratios.argsort(stable=True)[:count].tolist()


def memorisation(samples: Tensor, train: Tensor, held_out: Tensor | None = None) -> Memorisation:
    """Compare samples with training pictures, and with what held-out pictures' distances are.

    Parameters
    ----------
    samples, train, held_out : Tensor
        ``(N, D)`` features; of ``train`` at least 2.
    """
    ours = nearest(samples, train, SHOWN)
    closest, back = ours.indices[:, 0].unique(return_inverse=True)
    own = nearest(train[closest], train, itself=closest).distances[:, 0][back]
    distance = ours.distances[:, 0]
    authenticity = float((own < distance).double().mean())
    # Where training pictures come twice, their own distance is 0: a copy of them still is the worst there is.
    ratios = torch.where(distance == 0, 0.0, distance / own)
    if held_out is None:
        return Memorisation(ours, ratios, authenticity)
    theirs = nearest(held_out, train).distances[:, 0].numpy()
    distances = distance.numpy()
    nearer = float((distances < np.percentile(theirs, PERCENTILE)).mean())
    return Memorisation(ours, ratios, authenticity, nearer, copying_score(distances, theirs))


def copying_score(samples: NDArray[np.float64], held_out: NDArray[np.float64]) -> float:
    """Return Mann-Whitney's U for "a sample is farther than a held-out picture", standardised.

    Parameters
    ----------
    samples, held_out : ndarray
        ``(N,)`` distances to the training pictures.

    References
    ----------
    Meehan, Chaudhuri, Dasgupta 2020, "A non-parametric test to detect data-copying in generative models".
    """
    ordered = np.sort(held_out)
    farther = np.searchsorted(ordered, samples, side="left").sum()
    equal = np.searchsorted(ordered, samples, side="right").sum() - farther
    m, n = len(samples), len(held_out)
    return float((farther + equal / 2 - m * n / 2) / math.sqrt(m * n * (m + n + 1) / 12))
