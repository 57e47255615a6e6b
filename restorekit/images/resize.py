"""Resizes pictures as MATLAB's ``imresize`` does: the resampling behind the published super-resolution numbers.

The differences to other libraries are not small: against this one OpenCV's ``INTER_CUBIC`` aliases when shrinking and
costs a x4 super-resolver about a decibel at the end.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import UsageError

__all__ = ["KERNELS", "Kernel", "resize"]

Kernel = Literal["bicubic", "bilinear", "lanczos3", "box", "nearest"]
Array = NDArray[np.float64]

#: Slack in ``ceil(scale * length)``: 1.1 * 10 is 11.000000000000002 in doubles, and still means 11 pixels.
_CEIL_SLACK = 1e-9


class Shape(NamedTuple):
    """A kernel's weight as a function of distance in pixels, and the width outside which it is zero."""

    weight: Callable[[Array], Array]
    width: float


class Taps(NamedTuple):
    """One axis of a resize: output pixel ``i`` is ``sum_p weights[p, i] * input[indices[p, i]]``."""

    indices: Tensor
    weights: Tensor


def resize(
    images: Tensor,
    size: tuple[int, int] | None = None,
    *,
    scale: float | tuple[float, float] | None = None,
    kernel: Kernel = "bicubic",
    antialias: bool = True,
) -> Tensor:
    """Resize pictures like MATLAB's ``imresize``.

    Parameters
    ----------
    images : Tensor
        ``(..., H, W)``, of any floating dtype and range, on any device. Below float32 the sums are done in float32.
    size : tuple of int, optional
        ``(height, width)`` of the result.
    scale : float or tuple of float, optional
        Enlargement, or ``(vertical, horizontal)``; the result has ``ceil(scale * length)`` pixels along each axis.
        Give either ``size`` or ``scale``.
    kernel : {"bicubic", "bilinear", "lanczos3", "box", "nearest"}
        Bicubic is Keys' with a = -0.5; bilinear is the triangle.
    antialias : bool
        Widen the kernel by ``1 / scale`` when shrinking. ``"nearest"`` is never widened.

    Returns
    -------
    Tensor
        ``(..., h, w)``, same dtype and device, differentiable. Bicubic and Lanczos overshoot: clip if that matters.

    Raises
    ------
    UsageError
        Neither or both of ``size`` and ``scale``, one of them not positive, or an unknown kernel.

    References
    ----------
    R. G. Keys, "Cubic convolution interpolation for digital image processing", IEEE Trans. ASSP 29, 1981;
    MATLAB Image Processing Toolbox, ``imresize`` (border pixels are mirrored, the border included).

    Examples
    --------
    >>> resize(torch.ones(1, 3, 10, 14), scale=0.25).shape
    torch.Size([1, 3, 3, 4])
    """
    if not images.is_floating_point():
        raise TypeError(f"resize works on floating point tensors, not {images.dtype}")
    if kernel not in KERNELS:
        raise UsageError(f"kernel {kernel!r}", "is unknown", f"choose one of {', '.join(KERNELS)}")
    lengths = (int(images.shape[-2]), int(images.shape[-1]))
    targets, scales = _targets(lengths, size, scale)
    dtype = images.dtype if images.dtype in (torch.float32, torch.float64) else torch.float32
    resized = images.to(dtype)
    # The stronger reduction first: what follows has fewer pixels to work on.
    for axis in sorted((0, 1), key=lambda axis: scales[axis]):
        if lengths[axis] == targets[axis] and scales[axis] == 1:
            continue
        key = (lengths[axis], targets[axis], scales[axis], kernel, antialias and kernel != "nearest")
        resized = _Resample.apply(resized, key) if axis == 0 else _Resample.apply(resized.mT.contiguous(), key).mT
    return resized.to(images.dtype).contiguous()


def _targets(
    lengths: tuple[int, int], size: tuple[int, int] | None, scale: float | tuple[float, float] | None
) -> tuple[tuple[int, int], tuple[float, float]]:
    """Return output lengths and scales of both axes."""
    if size is not None and scale is None:
        if min(size) < 1:
            raise UsageError(f"size {size[0]}x{size[1]}", "is empty", "give at least 1x1")
        return (int(size[0]), int(size[1])), (size[0] / lengths[0], size[1] / lengths[1])
    if scale is None or size is not None:
        raise UsageError("resize", "needs either a size or a scale", "give exactly one of them")
    vertical, horizontal = scale if isinstance(scale, tuple) else (scale, scale)
    if not (0 < vertical < math.inf and 0 < horizontal < math.inf):
        raise UsageError(f"scale {scale}", "is not positive", "give a number above 0")
    height = math.ceil(vertical * lengths[0] - _CEIL_SLACK)
    width = math.ceil(horizontal * lengths[1] - _CEIL_SLACK)
    return (max(1, height), max(1, width)), (float(vertical), float(horizontal))


class _Resample(torch.autograd.Function):
    """The rows of a picture, tap by tap (whole rows are copied: columns are resampled as rows of the transpose).

    Elementwise sums keep float32 precision where autocast or TF32 would round a matrix product, and the gradient
    gathers through transposed taps, so that it is the same to the last bit on every run (an ``index_add`` is not).
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, key: tuple[Any, ...], transposed: bool = False) -> Tensor:
        ctx.arguments = key, not transposed
        taps = _taps(key, transposed, images.dtype, images.device)
        resampled: Tensor | None = None
        for indices, weights in zip(*taps, strict=True):
            term = images.index_select(-2, indices).mul_(weights[:, None])
            resampled = term if resampled is None else resampled.add_(term)
        assert resampled is not None
        return resampled

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Any, None, None]:
        return _Resample.apply(gradients[0], *ctx.arguments), None, None


@functools.lru_cache(maxsize=128)
def _taps(key: tuple[Any, ...], transposed: bool, dtype: torch.dtype, device: torch.device) -> Taps:
    indices, weights = _contributions(*key)
    if transposed:
        indices, weights = _transpose(indices, weights, length=key[0])
    return Taps(
        torch.from_numpy(np.ascontiguousarray(indices.T)).to(device),
        torch.from_numpy(np.ascontiguousarray(weights.T)).to(device, dtype),
    )


def _contributions(
    length: int, target: int, scale: float, kernel: Kernel, antialias: bool
) -> tuple[NDArray[np.int64], Array]:
    """Return ``(target, taps)`` input indices and weights."""
    weight, width = KERNELS[kernel]
    stretch = min(scale, 1.0) if antialias else 1.0
    # Pixel centres: output pixel i lies at (i + 0.5) / scale - 0.5 on the input's grid.
    centres = (np.arange(target, dtype=np.float64) + 0.5) / scale - 0.5
    left = np.floor(centres - width / stretch / 2)
    indices = left[:, None] + np.arange(math.ceil(width / stretch) + 2)
    weights = weight(stretch * (centres[:, None] - indices))
    weights = weights / weights.sum(axis=1, keepdims=True)
    mirrored = np.mod(indices.astype(np.int64), 2 * length)
    mirrored = np.minimum(mirrored, 2 * length - 1 - mirrored)
    used = np.any(weights != 0, axis=0)
    return mirrored[:, used], weights[:, used]


def _transpose(indices: NDArray[np.int64], weights: Array, length: int) -> tuple[NDArray[np.int64], Array]:
    """Turn "which inputs make output i" into "which outputs hold input i"; short rows are filled with zero weights."""
    outputs = np.repeat(np.arange(len(indices)), indices.shape[1])
    order = np.argsort(indices.ravel(), kind="stable")
    inputs = indices.ravel()[order]
    counts = np.bincount(inputs, minlength=length)
    column = np.arange(len(inputs)) - np.repeat(np.cumsum(counts) - counts, counts)
    back = np.zeros((length, counts.max()), dtype=np.int64)
    back_weights = np.zeros(back.shape)
    back[inputs, column] = outputs[order]
    back_weights[inputs, column] = weights.ravel()[order]
    return back, back_weights


def _cubic(x: Array) -> Array:
    x = np.abs(x)
    near = 1.5 * x**3 - 2.5 * x**2 + 1
    far = -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
    return np.where(x <= 1, near, np.where(x <= 2, far, 0.0))


def _triangle(x: Array) -> Array:
    return np.maximum(1 - np.abs(x), 0.0)


def _lanczos3(x: Array) -> Array:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0.0)


def _box(x: Array) -> Array:
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


#: The kernels by name. MATLAB's "nearest" is a box that is never widened.
KERNELS: dict[str, Shape] = {
    "bicubic": Shape(_cubic, 4.0),
    "bilinear": Shape(_triangle, 2.0),
    "lanczos3": Shape(_lanczos3, 6.0),
    "box": Shape(_box, 1.0),
    "nearest": Shape(_box, 1.0),
}
