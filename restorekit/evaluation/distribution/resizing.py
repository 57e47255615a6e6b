"""Brings pictures to the size that a feature network takes, in the ways that published numbers were computed by."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from restorekit.errors import UsageError

__all__ = ["RESIZES", "resizing"]


def _bilinear(images: Tensor, size: int) -> Tensor:
    """Interpolate on [0, 1] without antialiasing, pixel centres aligned: what pytorch-fid does."""
    return F.interpolate(images.float() / 255, (size, size), mode="bilinear", align_corners=False) * 2 - 1


def _tensorflow(images: Tensor, size: int) -> Tensor:
    """Interpolate as TensorFlow 1 did, corners aligned at the top left, no half-pixel centres: the first FID."""
    height, width = images.shape[-2:]
    y0, y1, dy = _corners(height, size, images.device)
    x0, x1, dx = _corners(width, size, images.device)
    images = images.float()
    upper, lower = images[:, :, y0], images[:, :, y1]
    top = upper[..., x0] + (upper[..., x1] - upper[..., x0]) * dx
    bottom = lower[..., x0] + (lower[..., x1] - lower[..., x0]) * dx
    return (top + (bottom - top) * dy[:, None] - 128) / 128


def _corners(length: int, size: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Return which two samples each new one lies between, and how far from the first."""
    places = torch.arange(size, dtype=torch.float32, device=device) * torch.tensor(length / size, dtype=torch.float32)
    first = places.long()
    return first, (first + 1).clamp(max=length - 1), places - first


def _antialiased(images: Tensor, size: int) -> Tensor:
    """Resize with Pillow's antialiased bicubic filter on floats, clipped and not rounded: what clean-fid does."""
    planes = images.to("cpu", torch.float32).numpy()
    resized = np.empty((*planes.shape[:2], size, size), np.float32)
    for index in np.ndindex(*planes.shape[:2]):
        plane = Image.fromarray(np.ascontiguousarray(planes[index]))
        resized[index] = np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC)).clip(0, 255)
    return (torch.from_numpy(resized).to(images.device) - 128) / 128


#: By the names that ``--resize`` takes: each makes ``(N, 3, size, size)`` floats in [-1, 1] of uint8 pictures.
RESIZES: dict[str, Callable[[Tensor, int], Tensor]] = {
    "pytorch-fid": _bilinear,
    "clean": _antialiased,
    "tf1": _tensorflow,
}


def resizing(name: str) -> Callable[[Tensor, int], Tensor]:
    """Return the function that resizes in the named way.

    Parameters
    ----------
    name : {"pytorch-fid", "clean", "tf1"}
        ``pytorch-fid``: bilinear without antialiasing (pytorch-fid); ``clean``: antialiased bicubic (Parmar et al.
        2022, "On aliased resizing and surprising subtleties in GAN evaluation"); ``tf1``: TensorFlow 1's bilinear
        (Heusel et al. 2017; torch-fidelity).

    Returns
    -------
    callable
        Takes ``(N, 3, H, W)`` uint8 and a side in pixels, and returns ``(N, 3, side, side)`` float32 on the same
        device. ``pytorch-fid`` fills [-1, 1]; the others map 128 to 0 as their originals do, so 255 becomes 0.992.

    Raises
    ------
    UsageError
        The name is unknown.
    """
    if name not in RESIZES:
        raise UsageError("--resize", f"{name!r} is unknown", f"choose one of {', '.join(RESIZES)}")
    return RESIZES[name]
