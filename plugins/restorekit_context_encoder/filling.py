"""A smooth first filling of holes: heat that flows in from the rim, and slopes that go on where holes are thin."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["smooth_fill"]

#: Relaxations of Laplace's equation at full size; twice as many at half the size, four times below.
SWEEPS = 8
#: Steps towards the thin plate, and the least eigenvalue of the squared Laplacian that they reach. More steps, or a
#: smaller eigenvalue, gain nothing: a plate is the better guess up to holes of a few pixels only.
BENDS = 8
LEAST = 2.0
#: The largest eigenvalue of the squared five-point Laplacian.
MOST = 64.0


@torch.no_grad()
def smooth_fill(images: Tensor, masks: Tensor) -> Tensor:
    """Fill holes smoothly: no gradients, no linear system, the same work for any hole.

    The known pixels are averaged down to a single one ("pull", Gortler et al. 1996, "The Lumigraph"); on the way back
    each size starts from the one below and is relaxed towards the solution of Laplace's equation. A few steps of
    Chebyshev's iteration for the biharmonic equation follow: they bend a thin hole into the smoothest plate, and leave
    the inside of a large one, where plates overshoot, as it was.

    Parameters
    ----------
    images : Tensor
        ``(N, C, H, W)`` in [0, 1]; what the holes contain is never looked at, be it NaN.
    masks : Tensor
        ``(N, 1, H, W)`` bool, or in {0, 1}; 1 marks holes.

    Returns
    -------
    Tensor
        ``(N, C, H, W)`` float32; known pixels are as they were, others in [0, 1]. A picture without a known pixel
        turns mid-grey.
    """
    hole = masks if masks.dtype == torch.bool else masks > 0.5
    known = torch.where(hole, 0.0, images.float()).contiguous()
    levels = [(known, hole)]
    while max(levels[-1][1].shape[-2:]) > 1:
        levels.append(_halved(*levels[-1]))
    coarsest, hole_there = levels[-1]
    filled = torch.where(hole_there, 0.5, coarsest)
    for depth, (known_there, hole_there) in reversed(list(enumerate(levels[:-1]))):
        height, width = hole_there.shape[-2:]
        guess = F.interpolate(filled, scale_factor=2, mode="bilinear")[..., :height, :width]
        filled = _relaxed(torch.where(hole_there, guess, known_there), hole_there, SWEEPS * min(4, 2**depth))
    return torch.where(hole, _bent(filled, hole).clamp(0, 1), known)


def _halved(known: Tensor, hole: Tensor) -> tuple[Tensor, Tensor]:
    """Average the known ones of each four pixels; where there is none, the coarse pixel is a hole too."""
    share = F.avg_pool2d((~hole).float(), 2, ceil_mode=True)
    total = F.avg_pool2d(known, 2, ceil_mode=True)
    return total / share.clamp_min(1 / 8), share == 0


def _relaxed(values: Tensor, hole: Tensor, sweeps: int) -> Tensor:
    """Move values in holes towards the mean of their neighbours (Jacobi)."""
    for _ in range(sweeps):
        values = torch.where(hole, values + _laplacian(values) / 4, values)
    return values


def _bent(values: Tensor, hole: Tensor) -> Tensor:
    """Move values in holes towards the solution of the biharmonic equation."""
    step = torch.zeros_like(values)
    for momentum, rate in _chebyshev():
        step = momentum * step - rate * torch.where(hole, _laplacian(_laplacian(values)), 0.0)
        values = values + step
    return values


def _chebyshev() -> Iterator[tuple[float, float]]:
    """Yield the coefficients of Chebyshev's semi-iteration (Saad, "Iterative methods", 2003, algorithm 12.1)."""
    middle, radius = (MOST + LEAST) / 2, (MOST - LEAST) / 2
    ratio = radius / middle
    yield 0.0, 1 / middle
    for _ in range(BENDS - 1):
        following = 1 / (2 * middle / radius - ratio)
        yield following * ratio, 2 * following / radius
        ratio = following


def _laplacian(values: Tensor) -> Tensor:
    padded = F.pad(values, (1, 1, 1, 1), mode="replicate")
    around = padded[..., :-2, 1:-1] + padded[..., 2:, 1:-1] + padded[..., 1:-1, :-2] + padded[..., 1:-1, 2:]
    return around - 4 * values
