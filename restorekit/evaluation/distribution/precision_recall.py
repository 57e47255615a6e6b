"""Precision and recall of features: how many of ours lie among theirs, and how many of theirs among ours."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["precision_recall"]

#: Rows of a distance matrix that are in memory at once.
_BLOCK = 1024
#: Squared distances below this share of the squared lengths are rounding: the pictures are the same.
_SAME = 1e-12


def precision_recall(ours: Tensor, theirs: Tensor, *, neighbours: int = 3) -> tuple[float, float]:
    """Return the shares of features that lie within the other side's manifold.

    A side's manifold is made of balls around its features, each as large as the distance to the ``neighbours``-th
    nearest other feature of that side.

    Parameters
    ----------
    ours, theirs : Tensor
        ``(N, D)`` and ``(M, D)``: of the restored or generated pictures, and of real ones.
    neighbours : int
        The k of the paper, there 3.

    Returns
    -------
    precision, recall : float
        In [0, 1]: of ours among theirs, of theirs among ours.

    References
    ----------
    Kynkäänniemi et al. 2019, "Improved precision and recall metric for assessing generative models".

    Raises
    ------
    ValueError
        A side has no more features than ``neighbours``.
    """
    if min(len(ours), len(theirs)) <= neighbours:
        raise ValueError(f"{min(len(ours), len(theirs))} features do not have {neighbours} neighbours each")
    ours, theirs = ours.double(), theirs.double()
    return _share_within(ours, theirs, neighbours), _share_within(theirs, ours, neighbours)


def _share_within(points: Tensor, manifold: Tensor, neighbours: int) -> float:
    radii = _squared_radii(manifold, neighbours)
    inside = sum(int((_squared(part, manifold) <= radii).any(dim=1).sum()) for part in points.split(_BLOCK))
    return inside / len(points)


def _squared_radii(points: Tensor, neighbours: int) -> Tensor:
    radii = []
    for start in range(0, len(points), _BLOCK):
        distances = _squared(points[start : start + _BLOCK], points)
        here = torch.arange(len(distances))
        distances[here, start + here] = torch.inf  # nobody is a neighbour of itself
        radii.append(distances.kthvalue(neighbours, dim=1).values)
    return torch.cat(radii)


def _squared(x: Tensor, y: Tensor) -> Tensor:
    lengths = x.square().sum(dim=1)[:, None] + y.square().sum(dim=1)
    distances = torch.addmm(lengths, x, y.T, alpha=-2)
    return torch.where(distances > _SAME * lengths, distances, 0.0)
