"""How sure a mean is: bootstrap intervals over pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["RESAMPLES", "average", "interval"]

#: Bootstrap samples; with these the ends of an interval move by about 1 % of its width from seed to seed.
RESAMPLES = 10_000
#: Values drawn at once: bounds the memory, whatever the number of pictures.
_DRAWN_AT_ONCE = 4_000_000


def average(values: Sequence[float]) -> float:
    """Return the mean of the finite values, or infinity where there are none.

    The PSNR of equal pictures is infinite: one of them would hide all the others, so a mean leaves them out, and
    whoever shows it says how many.

    Raises
    ------
    ValueError
        There is no value, or one of them is no number.
    """
    finite = _finite(values)
    return float(finite.mean()) if finite.size else math.inf


def interval(values: Sequence[float], confidence: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """Return the bootstrap percentile interval of the mean.

    Paired differences of two methods on the same pictures, given as values, make a paired interval.

    Parameters
    ----------
    values : sequence of float
        One a picture; infinite ones are left out, as in `average`.
    confidence : float, optional
        In (0, 1).
    seed : int, optional
        Of the resampling: the same values in the same order give the same interval.

    Returns
    -------
    tuple of float
        Its ends; NaN for fewer than two finite values, which tell nothing about their spread.

    Raises
    ------
    ValueError
        There is no value, or one of them is no number.

    References
    ----------
    Efron & Tibshirani 1993, "An introduction to the bootstrap", chapter 13.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"a confidence of {confidence} is not between 0 and 1")
    finite = _finite(values)
    if finite.size < 2:
        return math.nan, math.nan
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWN_AT_ONCE // finite.size)
    means = np.concatenate(
        [
            finite[generator.integers(finite.size, size=(min(rows, RESAMPLES - begun), finite.size))].mean(axis=1)
            for begun in range(0, RESAMPLES, rows)
        ]
    )
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _finite(values: Sequence[float]) -> np.ndarray:
    array = np.asarray(values, np.float64)
    if not array.size:
        raise ValueError("there is no value to average")
    if np.isnan(array).any():
        raise ValueError("a value is not a number")
    return array[np.isfinite(array)]
