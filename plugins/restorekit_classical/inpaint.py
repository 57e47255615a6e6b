"""Filling holes from what surrounds them; what a hole contains is never looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np
from scipy import ndimage, sparse
from scipy.interpolate import LinearNDInterpolator
from scipy.sparse.linalg import cg, splu
from scipy.spatial import QhullError
from skimage.restoration import inpaint_biharmonic

from restorekit.nn import to_float, to_integers
from restorekit.plugin import Geometry, PictureError, Restorer
from restorekit_classical.config import Biharmonic, Diffusion, Interpolation, Marching
from restorekit_classical.picturewise import Image, Mask, Picturewise

__all__ = ["biharmonic", "diffusion", "interpolation", "navier_stokes", "telea"]

#: Fills the True pixels of a box that has known pixels too.
Solver = Callable[[Image, Mask], Image]

_GEOMETRY = Geometry(whole_image=True, needs_mask=True)
#: Unknown pixels up to which a direct solution of Laplace's equation is quicker than an iteration.
_DIRECT = 100_000


def interpolation(config: Interpolation) -> Restorer:
    """Interpolate between the pixels of the rim."""
    return _inpainter(_nearest if config.method == "nearest" else _linear, margin=1)


def telea(config: Marching) -> Restorer:
    """March inwards from the rim (Telea, Journal of Graphics Tools 9(1), 2004)."""
    return _inpainter(partial(_march, config.radius, cv2.INPAINT_TELEA), margin=int(config.radius) + 3)


def navier_stokes(config: Marching) -> Restorer:
    """Carry lines of equal brightness on into the hole (Bertalmio et al., CVPR 2001)."""
    return _inpainter(partial(_march, config.radius, cv2.INPAINT_NS), margin=int(config.radius) + 3)


def biharmonic(config: Biharmonic) -> Restorer:
    """Solve the biharmonic equation in the hole (Damelin and Hoang, 2018)."""
    return _inpainter(partial(_thin_plate, config.largest), margin=3)


def diffusion(config: Diffusion) -> Restorer:
    """Solve Laplace's equation in the hole: the steady state of heat flowing in from the rim."""
    return _inpainter(_laplace, margin=1)


def _inpainter(solve: Solver, margin: int) -> Picturewise:
    return Picturewise(_GEOMETRY, partial(_fill_holes, solve, margin))


def _fill_holes(solve: Solver, margin: int, image: Image, mask: Mask | None) -> Image:
    """Solve each hole in a box of its own, so that the cost follows the damage and not the picture."""
    if mask is None or not mask.any():
        return image
    if mask.all():
        raise PictureError("mask", "covers the whole picture; nothing to repair from", "mark only what is damaged")
    known = np.where(mask[..., None], np.float32(0), image)
    result = known.copy()
    for box, hole in _holes(mask, margin):
        result[box][hole] = solve(known[box], mask[box])[hole]
    return result


def _holes(mask: Mask, margin: int) -> Iterator[tuple[tuple[slice, slice], Mask]]:
    """Yield a box around each group of holes nearer than two margins, and the group's pixels in it."""
    square = np.ones((2 * margin + 1, 2 * margin + 1), np.uint8)
    near = cv2.dilate(mask.astype(np.uint8), square)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near, connectivity=8)
    for label in range(1, count):
        x, y, width, height = (int(value) for value in stats[label, :4])
        box = (slice(y, y + height), slice(x, x + width))
        yield box, mask[box] & (labels[box] == label)


def _nearest(image: Image, mask: Mask) -> Image:
    nearest = np.asarray(ndimage.distance_transform_edt(mask, return_distances=False, return_indices=True))
    return image[tuple(nearest)]


def _linear(image: Image, mask: Mask) -> Image:
    result = _nearest(image, mask).astype(np.float64)
    rim = cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~mask
    unknown = np.argwhere(mask)
    try:
        values = LinearNDInterpolator(np.argwhere(rim), image[rim])(unknown)
    except (QhullError, ValueError):  # too few rim pixels, or all on one line: the nearest ones stand
        return result
    inside = np.isfinite(values[:, 0])  # beyond the rim's convex hull, at the picture's border, there is no triangle
    result[tuple(unknown[inside].T)] = values[inside]
    return result


def _march(radius: float, method: int, image: Image, mask: Mask) -> Image:
    # Sixteen bit and one channel: OpenCV rejects deeper colour, and its Telea on float32 runs out of range (5.0.0).
    channels = [np.ascontiguousarray(channel) for channel in np.moveaxis(to_integers(image, 16), -1, 0)]
    holes = mask.astype(np.uint8)
    return to_float(np.stack([cv2.inpaint(channel, holes, radius, method) for channel in channels], axis=-1))


def _thin_plate(largest: int, image: Image, mask: Mask) -> Image:
    if np.count_nonzero(mask) <= largest or min(mask.shape) < 8:
        return inpaint_biharmonic(image, mask, channel_axis=-1)
    guess = _coarser(partial(_thin_plate, largest), image, mask)
    # The coarse surface misses the rim by a little; the miss is spread over the hole.
    return guess + _laplace((image - guess).astype(np.float32), mask)


def _laplace(image: Image, mask: Mask) -> Image:
    result = image.astype(np.float64)
    matrix, edges = _laplacian(mask)
    right = edges @ result.reshape(-1, image.shape[-1])
    if len(right) <= _DIRECT or min(mask.shape) < 8:
        result[mask] = splu(matrix.tocsc()).solve(right)
        return result
    # From the coarse solution on it takes a few hundred iterations to come within an eighth of an 8-bit step.
    tolerance = 1e-6 * np.sqrt(len(right))
    guess = _coarser(_laplace, image, mask)[mask]
    for channel in range(image.shape[-1]):
        solved, _ = cg(matrix, right[:, channel], x0=guess[:, channel], rtol=0, atol=tolerance, maxiter=500)
        result[mask, channel] = solved
    return result


def _laplacian(mask: Mask) -> tuple[sparse.csr_array, sparse.csr_array]:
    """Return the five-point equations of the unknown pixels: ``(n, n)``, and the known ones' part ``(n, H*W)``."""
    count = np.count_nonzero(mask)
    number = np.full(mask.shape, -1)
    number[mask] = np.arange(count)
    flat = np.arange(mask.size).reshape(mask.shape)
    pairs = [(np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])]
    here, there = [], []
    for a, b in pairs + [(b, a) for a, b in pairs]:
        unknown = mask[a]
        here.append(number[a][unknown])
        there.append(flat[b][unknown])
    rows, pixels = np.concatenate(here), np.concatenate(there)
    degree = np.bincount(rows, minlength=count).astype(np.float64)
    inner = mask.ravel()[pixels]
    columns = number.ravel()[pixels[inner]]
    coupling = sparse.csr_array((np.ones(len(columns)), (rows[inner], columns)), (count, count))
    outer = (np.ones(np.count_nonzero(~inner)), (rows[~inner], pixels[~inner]))
    return sparse.csr_array(sparse.diags_array(degree) - coupling), sparse.csr_array(outer, (count, mask.size))


def _coarser(solve: Solver, image: Image, mask: Mask) -> Image:
    """Solve at half the size, where a coarse pixel is known if any of its pixels is; return at full size."""
    height, width = mask.shape
    half = ((width + 1) // 2, (height + 1) // 2)
    weight = (~mask).astype(np.float32)
    share = cv2.resize(weight, half, interpolation=cv2.INTER_AREA)
    total = cv2.resize(image * weight[..., None], half, interpolation=cv2.INTER_AREA)
    coarse = total / np.maximum(share, np.float32(1e-6))[..., None]
    unknown = share <= 0
    solved = solve(coarse, unknown) if unknown.any() else coarse
    return cv2.resize(solved.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
