"""A mixture of normal distributions, fitted by expectation maximisation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from restorekit.nn.chance import normals, uniforms

__all__ = ["Mixture"]

_ROUNDS = 200
#: Gain of the mean log-likelihood, in nats, below which a fit ends.
_GAIN = 1e-4
#: Part of the data's mean variance that is added to every variance, so that no component shrinks to a point.
_FLOOR = 1e-3


class Mixture(nn.Module):
    """Weights, means and Cholesky factors of the covariances, as buffers; at first one standard normal distribution.

    Parameters
    ----------
    components : int
        Normal distributions, K.
    dimensions : int
        Of the space, D.
    """

    logits: Tensor
    means: Tensor
    factors: Tensor

    def __init__(self, components: int, dimensions: int):
        super().__init__()
        self.register_buffer("logits", torch.zeros(components))
        self.register_buffer("means", torch.zeros(components, dimensions))
        self.register_buffer("factors", torch.eye(dimensions).repeat(components, 1, 1))

    @torch.no_grad()
    def fit(self, points: Tensor, variances: Tensor | None = None, seed: int = 0) -> float:
        """Fit to points, or to normal distributions about them.

        Parameters
        ----------
        points : Tensor
            ``(N, D)``.
        variances : Tensor, optional
            ``(N, D)`` of each point's own uncertainty: their mean within a component widens it, so that the mixture
            is of the aggregate and not of the centres.
        seed : int
            Chooses the centres that the fit starts from.

        Returns
        -------
        float
            The mean log-likelihood of the points in nats, under components not widened.
        """
        points = points.double()
        floor = _FLOOR * points.var(dim=0, correction=0).mean().clamp_min(1e-12)
        shares = _nearest(points, _spread(points, len(self.logits), seed))
        before, likelihood = -math.inf, -math.inf
        weights = means = covariances = points  # bound by the first round
        for _ in range(_ROUNDS):
            weights, means, covariances = _maximised(points, shares, floor)
            joint = _log_densities(points, means, torch.linalg.cholesky(covariances)) + weights.log()
            likelihood = float(torch.logsumexp(joint, dim=1).mean())
            shares = torch.softmax(joint, dim=1)
            if likelihood - before < _GAIN:
                break
            before = likelihood
        if variances is not None:
            own = shares.T @ variances.double() / shares.sum(dim=0)[:, None].clamp_min(1e-9)
            covariances = covariances + torch.diag_embed(own)
        self.logits.copy_(weights.log())
        self.means.copy_(means)
        self.factors.copy_(torch.linalg.cholesky(covariances))
        return likelihood

    def log_density(self, points: Tensor) -> Tensor:
        """Return ``(N,)`` log-densities in nats of ``(N, D)`` points."""
        weights = torch.log_softmax(self.logits.double(), dim=0)
        densities = _log_densities(points.double(), self.means.double(), self.factors.double())
        return torch.logsumexp(densities + weights, dim=1)

    def sample(self, seeds: Tensor, stream: int = 0) -> Tensor:
        """Return ``(N, D)`` draws, each a function of its own seed."""
        dimensions = self.means.shape[1]
        ends = torch.softmax(self.logits.double(), dim=0).cumsum(dim=0)
        draw = uniforms(seeds, 1, 2 * stream)[:, 0].to(ends.device)
        chosen = torch.searchsorted(ends, draw, right=True).clamp(max=len(ends) - 1)
        noise = normals(seeds, dimensions, 2 * stream + 1).to(self.means)
        return self.means[chosen] + (self.factors[chosen] @ noise[:, :, None])[:, :, 0]


def _maximised(points: Tensor, shares: Tensor, floor: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the weights, means and covariances that fit best where each point belongs in shares to components."""
    counts = shares.sum(dim=0).clamp_min(1e-9)
    means = shares.T @ points / counts[:, None]
    covariances = []
    for share, mean, count in zip(shares.T, means, counts, strict=True):
        centred = points - mean
        covariances.append((centred * share[:, None]).T @ centred / count)
    ridge = floor * torch.eye(points.shape[1], dtype=points.dtype, device=points.device)
    return counts / counts.sum(), means, torch.stack(covariances) + ridge


def _log_densities(points: Tensor, means: Tensor, factors: Tensor) -> Tensor:
    """Return ``(N, K)``."""
    columns = []
    for mean, factor in zip(means, factors, strict=True):
        solved = torch.linalg.solve_triangular(factor, (points - mean).T, upper=False)
        columns.append(-solved.square().sum(dim=0) / 2 - factor.diagonal().log().sum())
    return torch.stack(columns, dim=1) - points.shape[1] / 2 * math.log(2 * math.pi)


def _spread(points: Tensor, count: int, seed: int) -> Tensor:
    """Choose centres far from each other (k-means++, Arthur and Vassilvitskii 2007)."""
    draws = uniforms(torch.tensor([seed]), count)[0].to(points.device)
    centres = [points[int(draws[0] * len(points))]]
    for draw in draws[1:]:
        nearest = torch.cdist(points, torch.stack(centres)).square().amin(dim=1)
        ends = nearest.cumsum(dim=0)
        chosen = int(torch.searchsorted(ends, draw * ends[-1], right=True))
        centres.append(points[min(chosen, len(points) - 1)])
    return torch.stack(centres)


def _nearest(points: Tensor, centres: Tensor) -> Tensor:
    """Give each point to its nearest centre, after some rounds of moving these (k-means): ``(N, K)`` in {0, 1}."""
    nearest = torch.cdist(points, centres).argmin(dim=1)
    for _ in range(10):
        shares = nn.functional.one_hot(nearest, len(centres)).to(points)
        counts = shares.sum(dim=0)[:, None]
        centres = torch.where(counts > 0, shares.T @ points / counts.clamp_min(1), centres)
        nearest = torch.cdist(points, centres).argmin(dim=1)
    return nn.functional.one_hot(nearest, len(centres)).to(points)
