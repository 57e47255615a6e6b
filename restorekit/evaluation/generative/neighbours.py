"""Nearest neighbours by Euclidean distance, block by block: the memory needed does not grow with both sets."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Neighbours", "nearest"]

#: Distances held at once.
_HELD = 1 << 24
#: Neighbours looked at beyond those asked for: the fast distances are not exact, so the order is settled afterwards.
_SPARE = 8


@dataclass(frozen=True)
class Neighbours:
    """The nearest of one set for each of another.

    Parameters
    ----------
    distances : Tensor
        ``(N, k)`` float64, rising.
    indices : Tensor
        ``(N, k)`` int64: places in the set that was searched.
    """

    distances: Tensor
    indices: Tensor


def nearest(queries: Tensor, among: Tensor, count: int = 1, *, itself: Tensor | None = None) -> Neighbours:
    """Find the nearest neighbours of feature vectors.

    Parameters
    ----------
    queries : Tensor
        ``(N, D)`` float32.
    among : Tensor
        ``(M, D)`` float32; M at least ``count``.
    count : int
        Neighbours of each.
    itself : Tensor, optional
        ``(N,)`` places of the queries in ``among``, which do not count as their own neighbours.

    Returns
    -------
    Neighbours
        Equal distances are in the order of ``among``; fewer than ``count`` only where there are no more.
    """
    others = len(among) - (itself is not None)
    count, looked_at = min(count, others), min(count + _SPARE, others)
    # Products lose the digits of small differences between large numbers, so they are taken about the middle.
    middle = among.double().mean(dim=0)
    centred = (among.double() - middle).float()
    lengths = centred.square().sum(dim=1)
    block = max(1, _HELD // max(1, len(among)))
    distances, indices = [], []
    for start in range(0, len(queries), block):
        part = queries[start : start + block]
        rough = lengths - 2 * (part.double() - middle).float() @ centred.T
        if itself is not None:
            rough[torch.arange(len(part)), itself[start : start + block]] = torch.inf
        candidates = rough.topk(looked_at, dim=1, largest=False).indices.sort(dim=1).values
        exact = torch.stack([_distances(one, among[own]) for one, own in zip(part, candidates, strict=True)])
        ordered = exact.sort(dim=1, stable=True)
        distances.append(ordered.values[:, :count])
        indices.append(candidates.gather(1, ordered.indices)[:, :count])
    return Neighbours(torch.cat(distances), torch.cat(indices))


def _distances(one: Tensor, others: Tensor) -> Tensor:
    return torch.linalg.vector_norm(others.double() - one.double(), dim=1)
