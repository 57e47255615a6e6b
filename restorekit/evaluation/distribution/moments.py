"""Mean and covariance of features, gathered batch by batch in float64: memory does not grow with the pictures."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Gaussian", "Moments", "root"]


class Gaussian(Protocol):
    """What a Fréchet distance needs of a distribution."""

    @property
    def mean(self) -> Tensor:
        """``(D,)`` float64."""
        ...

    def covariance(self) -> Tensor:
        """Return ``(D, D)`` float64."""
        ...

    def factor(self) -> Tensor | None:
        """Return ``(R, D)`` float64 with ``factor.T @ factor`` the covariance, where such is known with R < D."""
        ...


class Moments:
    """Count, mean and unbiased covariance of features.

    As long as there are fewer features than dimensions they are kept, centred, which is exact and smaller than a
    covariance; after that only their sums are (Chan, Golub and LeVeque 1979). Any split into batches, merged in any
    order, gives the same moments but for rounding.

    Parameters
    ----------
    dimensions : int
        Length D of a feature.
    """

    def __init__(self, dimensions: int):
        self.dimensions = dimensions
        self.count = 0
        self._mean = torch.zeros(dimensions, dtype=torch.float64)
        self._rows: list[Tensor] = []  # as they came, while they are fewer than the dimensions
        self._scatter: Tensor | None = None  # sum of the outer products of what is centred

    @classmethod
    def of(cls, features: Tensor) -> Moments:
        """Return the moments of ``(N, D)`` features."""
        moments = cls(features.shape[1])
        moments.update(features)
        return moments

    @property
    def mean(self) -> Tensor:
        """``(D,)`` float64; zeros where there is no feature."""
        return self._mean

    def update(self, features: Tensor) -> None:
        """Take in ``(N, D)`` features of any float type and device.

        Raises
        ------
        ValueError
            They have another length, or hold NaN or infinity.
        """
        if features.ndim != 2 or features.shape[1] != self.dimensions:
            raise ValueError(f"features of shape {tuple(features.shape)} are not (N, {self.dimensions})")
        rows = features.detach().to("cpu", torch.float64)
        if not torch.isfinite(rows).all():
            raise ValueError("features hold NaN or infinity")
        if not len(rows):
            return
        if self._scatter is None and self.count + len(rows) < self.dimensions:
            self._keep(rows)
            return
        self._condense()
        mean = rows.mean(dim=0)
        centred = rows - mean
        self._combine(len(rows), mean, centred.T @ centred)

    def merge(self, other: Moments) -> None:
        """Take in the moments of other features, as a worker gathered them."""
        if other.dimensions != self.dimensions:
            raise ValueError(f"moments of {other.dimensions} dimensions cannot join those of {self.dimensions}")
        if other._scatter is None:
            for rows in other._rows:
                self.update(rows)
        else:
            self._condense()
            self._combine(other.count, other._mean, other._scatter)

    def covariance(self) -> Tensor:
        """Return the unbiased ``(D, D)`` float64 covariance.

        Raises
        ------
        ValueError
            There are fewer than two features.
        """
        if self._scatter is not None:
            self._require_two()
            return self._scatter / (self.count - 1)
        factor = self.factor()
        assert factor is not None
        return factor.T @ factor

    def factor(self) -> Tensor | None:
        """Return the centred features over the root of N - 1, as `Gaussian` has it; ``None`` where they were dropped.

        Raises
        ------
        ValueError
            There are fewer than two features.
        """
        self._require_two()
        if self._scatter is not None:
            return None
        return (torch.cat(self._rows) - self._mean) / (self.count - 1) ** 0.5

    def _require_two(self) -> None:
        if self.count < 2:
            raise ValueError(f"a covariance needs at least two features, not {self.count}")

    def _keep(self, rows: Tensor) -> None:
        self._rows.append(rows.clone())
        self.count += len(rows)
        self._mean = self._mean + (rows - self._mean).sum(dim=0) / self.count

    def _condense(self) -> None:
        """Go over from the features themselves to their sums."""
        if self._scatter is None:
            self._scatter = torch.zeros(self.dimensions, self.dimensions, dtype=torch.float64)
            if self._rows:
                centred = torch.cat(self._rows) - self._mean
                self._scatter += centred.T @ centred
                self._rows = []

    def _combine(self, count: int, mean: Tensor, scatter: Tensor) -> None:
        """Join the sums of ``count`` more features."""
        assert self._scatter is not None
        total = self.count + count
        away = mean - self._mean
        self._scatter.add_(scatter).addr_(away, away, alpha=self.count * count / total)
        self._mean = self._mean + away * (count / total)
        self.count = total


def root(covariance: Tensor) -> Tensor:
    """Return ``(R, D)`` with ``root.T @ root`` the covariance, R its numerical rank.

    Parameters
    ----------
    covariance : Tensor
        ``(D, D)`` float64, symmetric; eigenvalues below 0 by no more than rounding count as 0.

    Raises
    ------
    ValueError
        It has an eigenvalue that is clearly negative, so it is no covariance.
    """
    values, vectors = torch.linalg.eigh(covariance)
    # The largest by size: of a matrix that is no covariance it may be negative.
    noise = float(values.abs().max()) * len(values) * torch.finfo(values.dtype).eps if len(values) else 0.0
    # Statistics that were computed in float32 have eigenvalues below 0 by its rounding.
    if len(values) and float(values[0]) < -max(noise, 1e-5 * float(values.abs().max())):
        raise ValueError("the covariance has negative eigenvalues")
    kept = values > noise
    return values[kept].sqrt()[:, None] * vectors[:, kept].T
