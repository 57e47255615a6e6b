"""Keeps colours that cannot be seen away from generators, and resamples colours by how much they are seen."""

from __future__ import annotations

from typing import Any

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

#: Rows that nearest visible pixels are looked for at once: bounds the memory.
_BAND = 512


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
    visible = ~hidden[..., None]
    mean = np.mean(pixels, axis=(0, 1), where=visible, dtype=np.float64)
    result = np.where(visible, pixels, (mean if pixels.dtype.kind == "f" else np.rint(mean)).astype(pixels.dtype))
    for top in range(0, len(pixels), _BAND):
        # A mirror image lies as far inside as the hidden pixel lies outside.
        window = slice(max(0, top - 2 * _REACH), top + _BAND + 2 * _REACH)
        own = slice(top, top + _BAND)
        if hidden[own].any():
            offset = top - window.start
            _mirror(pixels[window], hidden[window], result[own], offset)
    return result


def _mirror(pixels: NDArray[Any], hidden: NDArray[np.bool_], result: NDArray[Any], offset: int) -> None:
    """Write mirror images over the hidden pixels near visible ones into rows ``offset`` and following."""
    if hidden.all():
        return
    distance, nearest = ndimage.distance_transform_edt(hidden, return_indices=True)  # pyright: ignore
    near = (distance > 0) & (distance <= _REACH)
    near[:offset] = near[offset + len(result) :] = False
    ys, xs = np.nonzero(near)
    rim_y, rim_x = nearest[0][ys, xs], nearest[1][ys, xs]
    y, x = np.clip(2 * rim_y - ys, 0, len(hidden) - 1), np.clip(2 * rim_x - xs, 0, hidden.shape[1] - 1)
    thin = hidden[y, x]  # the mirror image of something thin lies on its other side
    result[ys - offset, xs] = pixels[np.where(thin, rim_y, y), np.where(thin, rim_x, x)]


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
