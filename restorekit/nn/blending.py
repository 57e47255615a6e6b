"""Joins what was put into a hole to the picture around it, without a seam."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu
from torch import Tensor

from restorekit.contract import Batch
from restorekit.nn.arrays import each_picture

__all__ = ["poisson_blend"]


def poisson_blend(filled: Tensor, images: Tensor, masks: Tensor) -> Tensor:
    """Keep the gradients of ``filled`` inside the holes and the values of ``images`` around them.

    The difference of the two at the rim is carried into the hole by Laplace's equation. A direct solution: meant for
    the small pictures of fixed-size networks.

    Parameters
    ----------
    filled, images : Tensor
        ``(N, 3, H, W)`` in [0, 1].
    masks : Tensor
        ``(N, 1, H, W)``; 1 inside the holes.

    Returns
    -------
    Tensor
        ``(N, 3, H, W)`` float32 in [0, 1]; ``images`` outside the holes. A picture that is all hole is ``filled``.

    References
    ----------
    Perez, Gangnet, Blake 2003, "Poisson image editing".
    """
    # What lies under a hole does not matter, so the difference's boundary values are all that is read.
    differences = each_picture(_carried_in, replace(Batch(images - filled), masks=masks))
    return (filled + differences).clamp(0, 1)


def _carried_in(difference: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> NDArray[np.floating]:
    if mask is None or not mask.any():
        return difference
    if mask.all():
        return np.zeros_like(difference)
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(np.count_nonzero(mask))
    here, there = _neighbours(mask)
    rows, neighbours = number.ravel()[here], number.ravel()[there]
    inner = neighbours >= 0
    size = (np.count_nonzero(mask),) * 2
    degrees = np.bincount(rows, minlength=size[0]).astype(np.float64)
    coupling = sparse.csc_array((np.ones(np.count_nonzero(inner)), (rows[inner], neighbours[inner])), size)
    matrix = sparse.csc_array(sparse.diags_array(degrees) - coupling)
    flat = difference.reshape(-1, difference.shape[2]).astype(np.float64)
    right = np.zeros((size[0], difference.shape[2]))
    np.add.at(right, rows[~inner], flat[there[~inner]])
    result = difference.copy()
    result[mask] = splu(matrix).solve(right)
    return result


def _neighbours(mask: NDArray[np.bool_]) -> tuple[NDArray[np.integer], NDArray[np.integer]]:
    """Return flat indices of hole pixels, and of the neighbour in each direction that they have."""
    flat = np.arange(mask.size).reshape(mask.shape)
    sides = [(np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])]
    pairs = [(flat[a][mask[a]], flat[b][mask[a]]) for a, b in sides + [(b, a) for a, b in sides]]
    return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])
