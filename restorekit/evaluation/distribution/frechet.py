"""The Fréchet distance of two Gaussians: FID where the features are Inception's."""

from __future__ import annotations

import torch
from torch import Tensor

from restorekit.evaluation.distribution.moments import Gaussian, root

__all__ = ["frechet_distance", "trace_of_root"]

#: Least ratio of the smallest squared pivot to the largest at which a covariance is taken for regular.
_REGULAR = 1e-10


def frechet_distance(a: Gaussian, b: Gaussian) -> float:
    """Return ``|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^(1/2))`` (Dowson and Landau 1982; Heusel et al. 2017).

    Parameters
    ----------
    a, b : Gaussian
        `Moments`, or statistics from a file.

    Returns
    -------
    float
        At least 0: what rounding leaves below it, some 1e-9 of the traces, counts as 0.

    Raises
    ------
    ValueError
        Their dimensions differ, or one has fewer than two features.

    Notes
    -----
    The trace of the root is the sum of the singular values of ``F1 F2^T`` for any ``F^T F = S``. With fewer features
    than dimensions the centred features are such an F, which is exact and fast, however singular the covariances are.

    Examples
    --------
    >>> from restorekit.evaluation.distribution.moments import Moments
    >>> ours = torch.tensor([[0.0, 0.0], [2.0, 0.0], [0.0, 2.0], [2.0, 2.0]])
    >>> round(frechet_distance(Moments.of(ours), Moments.of(ours + 3)), 9)
    18.0
    """
    if a.mean.shape != b.mean.shape:
        raise ValueError(f"features of {len(a.mean)} and {len(b.mean)} dimensions cannot be compared")
    between = float((a.mean - b.mean).square().sum())
    within = _trace(a) + _trace(b) - 2 * trace_of_root(a, b)
    return max(0.0, between + within)


def trace_of_root(a: Gaussian, b: Gaussian) -> float:
    """Return ``tr((S1 S2)^(1/2))``, never negative.

    For regular covariances it is the sum of the roots of the eigenvalues of the symmetric ``L1^T S2 L1``, ``L1`` the
    Cholesky factor of S1: one symmetric eigenvalue problem, where a matrix square root takes a Schur decomposition.
    """
    one, other = a.factor(), b.factor()
    if one is None and other is None:
        first, second = a.covariance(), b.covariance()
        lower = _regular(first)
        if lower is not None and _regular(second) is not None:
            return float(torch.linalg.eigvalsh(lower.T @ second @ lower).clamp(min=0).sqrt().sum())
        one, other = root(first), root(second)
    one = _root(a) if one is None else one
    other = _root(b) if other is None else other
    return float(torch.linalg.svdvals(one @ other.T).sum()) if one.numel() and other.numel() else 0.0


def _root(gaussian: Gaussian) -> Tensor:
    covariance = gaussian.covariance()
    lower = _regular(covariance)
    return root(covariance) if lower is None else lower.T


def _regular(covariance: Tensor) -> Tensor | None:
    """Return the lower Cholesky factor, ``None`` where the matrix is singular but for rounding."""
    lower, failed = torch.linalg.cholesky_ex(covariance)
    if int(failed):
        return None
    pivots = lower.diagonal()
    return lower if float(pivots.min()) ** 2 > _REGULAR * float(pivots.max()) ** 2 else None


def _trace(gaussian: Gaussian) -> float:
    factor = gaussian.factor()
    return float(gaussian.covariance().trace() if factor is None else factor.square().sum())
