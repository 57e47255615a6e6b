"""Hard thresholding of the DCT of every 8x8 block at every offset: the core of `sliding-dct` and `deblock`."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["HALO", "shrink"]

_BLOCK = 8
#: Pixels beyond which nothing matters: the blocks that hold a pixel reach this far.
HALO = _BLOCK - 1
#: Rows that are treated at once: 64 coefficients a pixel would not fit the memory for a large picture.
_ROWS = 128


def shrink(images: Tensor, threshold: Tensor, gain: Tensor | None = None) -> Tensor:
    """Denoise by zeroing small DCT coefficients and averaging the overlapping blocks.

    A block counts the more, the fewer coefficients it needs (Guleryuz, Asilomar 2007; Dabov et al., IEEE TIP 16(8),
    2007, equation 10).

    Parameters
    ----------
    images : Tensor
        ``(N, 1, H, W)``.
    threshold : Tensor
        ``(64,)``, for the coefficients in row order, in the images' units for an orthonormal transform.
    gain : Tensor, optional
        ``(N, 1, H, W)``: by how much the threshold is higher at each pixel; a block takes its lowest.

    Returns
    -------
    Tensor
        ``(N, 1, H, W)``.
    """
    if not (images.abs() > 1e-6).any():  # the chroma of a grey picture
        return images
    height = images.shape[2]
    padded = _padded(images)
    gains = None if gain is None else _padded(gain)
    bands = []
    for top in range(0, height, _ROWS):
        bottom = min(top + _ROWS, height)
        rows = slice(top, bottom + 2 * HALO)
        bands.append(_shrink_band(padded[:, :, rows], threshold, None if gains is None else gains[:, :, rows]))
    return torch.cat(bands, dim=2)


def _padded(plane: Tensor) -> Tensor:
    return F.pad(plane, (HALO, HALO, HALO, HALO), mode="replicate")


def _shrink_band(padded: Tensor, threshold: Tensor, gains: Tensor | None) -> Tensor:
    basis = _basis().to(padded)
    coefficients = F.conv2d(padded, basis)
    limits = threshold.to(padded).view(1, -1, 1, 1)
    if gains is not None:
        limits = limits * -F.max_pool2d(-gains, _BLOCK, stride=1)
    kept = coefficients.abs() > limits
    kept[:, 0] = True  # a block's mean always stays
    weight = kept.sum(dim=1, keepdim=True).to(padded).reciprocal()
    total = F.conv_transpose2d(coefficients.mul_(kept).mul_(weight), basis)
    share = F.conv_transpose2d(weight, torch.ones_like(basis[:1]))
    return (total / share)[:, :, HALO:-HALO, HALO:-HALO]


def _basis() -> Tensor:
    """Return the ``(64, 1, 8, 8)`` orthonormal DCT-II basis."""
    k = torch.arange(_BLOCK, dtype=torch.float64)
    rows = torch.cos((2 * k[None] + 1) * k[:, None] * math.pi / (2 * _BLOCK)) * math.sqrt(2 / _BLOCK)
    rows[0] /= math.sqrt(2)
    return torch.einsum("ui,vj->uvij", rows, rows).reshape(_BLOCK**2, 1, _BLOCK, _BLOCK)
