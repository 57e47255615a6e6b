"""Keeps colours that cannot be seen away from generators, and resamples colours by how much they are seen."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restorekit.inference.arrays import convert

__all__ = ["covered", "hidden_pixels", "is_uniform", "premultiply", "unpremultiply"]

#: Alpha below this share of its maximum counts as hidden: colours there are rough (stored premultiplied, often), and
#: whatever is done to them shows no more than this.
_BARELY = 1 / 16

#: Distance from the visible pixels, in pixels, up to which hidden ones are covered with a mirror image.
_REACH = 32

#: Side of the blocks that nearest visible pixels are looked for in: bounds the memory, and most hold no rim at all.
_BLOCK = 256


def is_uniform(alpha: NDArray[Any] | None) -> bool:
    """Whether alpha has one value throughout, or is not there."""
    return alpha is None or bool((alpha == alpha.flat[0]).all())


def hidden_pixels(alpha: NDArray[Any] | None) -> NDArray[np.bool_] | None:
    """Mark the pixels of ``(H, W)`` that are barely or not visible; ``None`` where there are none."""
    if alpha is None:
        return None
    hidden = (alpha < float(alpha.max()) * _BARELY) | (alpha == 0)
    return hidden if hidden.any() else None


def covered(pixels: NDArray[Any], hidden: NDArray[np.bool_] | None) -> NDArray[Any]:
    """Replace hidden colours, which may be anything, by what a generator can make sense of.

    Next to visible pixels it is their mirror image, so that nothing bleeds across the rim, no edge is there to be
    sharpened, and noise is as strong as inside; farther away it is their mean colour.

    Parameters
    ----------
    pixels : ndarray
        ``(H, W, C)``.
    hidden : ndarray, optional
        ``(H, W)`` bool.

    Returns
    -------
    ndarray
        A copy, or ``pixels`` itself where nothing or everything is hidden.
    """
    if hidden is None or hidden.all():
        return pixels
    mean = np.array(cv2.mean(np.ascontiguousarray(pixels), (~hidden).view(np.uint8))[: pixels.shape[2]])
    result = pixels.copy()
    colour = (mean if pixels.dtype.kind == "f" else np.rint(mean)).astype(pixels.dtype)
    np.copyto(result, colour, where=hidden[..., None])
    for top in range(0, hidden.shape[0], _BLOCK):
        for left in range(0, hidden.shape[1], _BLOCK):
            _mirror(pixels, hidden, result, top, left)
    return result


def _mirror(pixels: NDArray[Any], hidden: NDArray[np.bool_], result: NDArray[Any], top: int, left: int) -> None:
    """Write mirror images over the hidden pixels near visible ones in one block of the result."""
    # A mirror image lies as far inside as the hidden pixel lies outside.
    y0, x0 = max(0, top - 2 * _REACH), max(0, left - 2 * _REACH)
    around = np.s_[y0 : top + _BLOCK + 2 * _REACH, x0 : left + _BLOCK + 2 * _REACH]
    block = np.s_[top - y0 : top - y0 + _BLOCK, left - x0 : left - x0 + _BLOCK]
    pixels, hidden = pixels[around], hidden[around]
    if not hidden[block].any() or hidden.all():
        return
    distance, nearest = ndimage.distance_transform_edt(hidden, return_indices=True)  # pyright: ignore
    near = np.zeros(hidden.shape, bool)
    near[block] = (distance[block] > 0) & (distance[block] <= _REACH)
    ys, xs = np.nonzero(near)
    rim_y, rim_x = nearest[0][ys, xs], nearest[1][ys, xs]
    y, x = np.clip(2 * rim_y - ys, 0, hidden.shape[0] - 1), np.clip(2 * rim_x - xs, 0, hidden.shape[1] - 1)
    thin = hidden[y, x]  # the mirror image of something thin lies on its other side
    result[y0 + ys, x0 + xs] = pixels[np.where(thin, rim_y, y), np.where(thin, rim_x, x)]


def premultiply(pixels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[np.float32]:
    """Multiply ``(H, W, C)`` colours by ``(H, W)`` alpha, as float32."""
    return convert(pixels, np.float32) * convert(alpha, np.float32)[..., None]


def unpremultiply(
    colours: NDArray[np.float32], alpha: NDArray[np.float32], hidden: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Undo `premultiply`; where alpha is not above 0 the ``hidden`` colours are taken."""
    visible = alpha[..., None] > 0
    straight = np.divide(colours, alpha[..., None], out=hidden, where=visible)
    return np.clip(straight, 0, 1, out=straight)
