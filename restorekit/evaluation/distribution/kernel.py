"""The kernel distance of two sets of features: KID where they are Inception's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

__all__ = ["KernelDistance", "kernel_distance", "subset_size_for", "unbiased_mmd"]

#: Rows of a kernel matrix that are in memory at once.
_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """A kernel distance over random subsets.

    Parameters
    ----------
    mean : float
        Over the subsets; it may be a little below 0, since the estimate is unbiased.
    standard_error : float
        Standard deviation over the subsets, over the root of their number: how well ``mean`` is known *of these
        pictures*. NaN for a single subset.
    subsets, subset_size : int
        How many, and pictures of each side in one.
    """

    mean: float
    standard_error: float
    subsets: int
    subset_size: int


def subset_size_for(count: int) -> int:
    """Return how many pictures a subset has by default: 1000 (Bińkowski et al.), or half of fewer than 2000."""
    return min(1000, max(2, count // 2))


def kernel_distance(
    ours: Tensor, theirs: Tensor, *, subsets: int = 100, subset_size: int | None = None, seed: int = 0
) -> KernelDistance:
    """Return the squared maximum mean discrepancy with a cubic kernel, averaged over random subsets.

    Parameters
    ----------
    ours, theirs : Tensor
        ``(N, D)`` and ``(M, D)``, at least two each.
    subsets : int
        How many are drawn, each without replacement.
    subset_size : int, optional
        Pictures of each side in a subset; by default `subset_size_for` the smaller side.
    seed : int
        Of the draws.

    References
    ----------
    Bińkowski et al. 2018, "Demystifying MMD GANs": kernel ``(x.y / D + 1)^3``, unbiased.

    Raises
    ------
    ValueError
        A side has fewer than two features or fewer than a subset.
    """
    least = min(len(ours), len(theirs))
    size = subset_size_for(least) if subset_size is None else subset_size
    if not 2 <= size <= least:
        raise ValueError(f"subsets of {size} cannot be drawn from {least} features")
    rng = np.random.default_rng(seed)
    drawn = [(_draw(rng, len(ours), size), _draw(rng, len(theirs), size)) for _ in range(subsets)]
    values = _of_subsets(ours.double(), theirs.double(), drawn)
    error = float(values.std()) / math.sqrt(subsets) if subsets > 1 else math.nan
    return KernelDistance(float(values.mean()), error, subsets, size)


def unbiased_mmd(ours: Tensor, theirs: Tensor) -> float:
    """Return the unbiased squared discrepancy of all features, as `kernel_distance` of one subset that has them all."""
    ours, theirs = ours.double(), theirs.double()
    return float(_mmd(ours, theirs, ours.new_ones(len(ours), 1), theirs.new_ones(len(theirs), 1)))


def _draw(rng: np.random.Generator, count: int, size: int) -> Tensor:
    return torch.from_numpy(rng.choice(count, size, replace=False))


def _of_subsets(ours: Tensor, theirs: Tensor, drawn: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Return ``(S,)`` discrepancies of the drawn subsets, by the cheaper of two ways that agree but for rounding."""
    size = len(drawn[0][0])
    if len(ours) ** 2 + len(theirs) ** 2 + len(ours) * len(theirs) > 3 * size**2 * len(drawn):
        ones = ours.new_ones(size, 1)
        return torch.cat([_mmd(ours[first], theirs[second], ones, ones) for first, second in drawn])
    # Every kernel value once, and each subset a weighted sum of them.
    chosen_ours, chosen_theirs = ours.new_zeros(len(ours), len(drawn)), theirs.new_zeros(len(theirs), len(drawn))
    for column, (first, second) in enumerate(drawn):
        chosen_ours[first, column] = 1
        chosen_theirs[second, column] = 1
    return _mmd(ours, theirs, chosen_ours, chosen_theirs)


def _mmd(x: Tensor, y: Tensor, chosen_x: Tensor, chosen_y: Tensor) -> Tensor:
    """Return ``(S,)`` discrepancies of the rows whose weights are 1 in the columns of ``chosen``."""
    n, m = chosen_x.sum(dim=0), chosen_y.sum(dim=0)
    within_x = (_sums(x, x, chosen_x, chosen_x) - _diagonal(x) @ chosen_x) / (n * (n - 1))
    within_y = (_sums(y, y, chosen_y, chosen_y) - _diagonal(y) @ chosen_y) / (m * (m - 1))
    return within_x + within_y - 2 * _sums(x, y, chosen_x, chosen_y) / (n * m)


def _sums(x: Tensor, y: Tensor, chosen_x: Tensor, chosen_y: Tensor) -> Tensor:
    """Return the sums of kernel values over the chosen pairs, one for each column."""
    total = x.new_zeros(chosen_x.shape[1])
    for rows, chosen in zip(x.split(_BLOCK), chosen_x.split(_BLOCK), strict=True):
        kernel = (rows @ y.T / x.shape[1] + 1) ** 3
        total += (chosen * (kernel @ chosen_y)).sum(dim=0)
    return total


def _diagonal(x: Tensor) -> Tensor:
    return (x.square().sum(dim=1) / x.shape[1] + 1) ** 3
