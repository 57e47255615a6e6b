"""Measures the noise and the JPEG compression of a picture from its pixels alone, in milliseconds."""

from __future__ import annotations

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

__all__ = ["jpeg_quality", "noise_sigma", "quantisation_table"]

_PATCH = 8
#: Patches and blocks that are looked at: more are sampled on a regular grid, so that huge pictures cost no more.
_PATCHES = 6000
_BLOCKS = 1500
#: Rows looked at together, so that memory does not grow with the picture.
_BAND = 128
#: Patches below which a variance is too uncertain to act on.
_FEWEST = 200
#: The mean variance of the weaker half of the frequencies falls short of the noise's by chance.
_WEAKEST = 1.07
#: Kurtosis up to which high frequencies are taken for noise alone.
_KURTOSIS = 3.5
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

# ITU-T T.81, tables K.1 and K.2.
_STEPS = {
    "luma": (
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ),
    "chroma": (
        *(17, 18, 24, 47, 99, 99, 99, 99, 18, 21, 26, 66, 99, 99, 99, 99, 24, 26, 56, 99, 99, 99, 99, 99),
        *(47, 66, 99, 99, 99, 99, 99, 99, *([99] * 32)),
    ),
}


def quantisation_table(quality: int, kind: Literal["luma", "chroma"] = "luma") -> NDArray[np.float32]:
    """Return the ``(8, 8)`` quantisation steps of a JPEG quality, 1 to 100, as libjpeg scales them (0..255 units)."""
    percent = 5000 // quality if quality < 50 else 200 - 2 * quality
    steps = (np.array(_STEPS[kind]).reshape(8, 8) * percent + 50) // 100
    return np.clip(steps, 1, 255).astype(np.float32)


def noise_sigma(image: NDArray[np.float32]) -> float:
    """Estimate the standard deviation of a picture's noise.

    In the calmest patches the high frequencies of an 8x8 DCT hold noise alone, and the weakest of those frequencies
    hold the least texture (after Ponomarenko et al., ICASSP 2007). Patches that are clipped to black or white, or hold
    one value only, have lost their noise and are passed over.

    Parameters
    ----------
    image : ndarray
        ``(H, W, 3)`` RGB in [0, 1].

    Returns
    -------
    float
        In units of 1/255, root mean square over the channels; 0 where a picture is too small to tell.
    """
    if min(image.shape[:2]) < 2 * _PATCH:
        return 0.0
    channels = np.moveaxis(image, -1, 0)
    if np.array_equal(channels[0], channels[1]) and np.array_equal(channels[0], channels[2]):
        channels = channels[:1]
    return float(np.sqrt(np.mean([_noise_variance(channel) for channel in channels])))


def _noise_variance(channel: NDArray[np.float32]) -> float:
    patches = _sampled(channel, _PATCHES, step=3) * 255
    clipped = np.count_nonzero((patches < 0.5) | (patches > 254.5), axis=1)
    patches = patches[(clipped <= _PATCH) & (np.ptp(patches, axis=1) > 0)]
    if len(patches) < _FEWEST:
        return 0.0
    coefficients = _dct(patches)
    structure = np.square(coefficients[:, :4, :4]).sum(axis=(1, 2)) - np.square(coefficients[:, 0, 0])
    # Chosen by low frequencies and measured in high ones: for noise the two are independent, so the choice is fair.
    calm = np.argsort(structure, kind="stable")[: max(_FEWEST, len(patches) // 10)]
    powers = np.square(coefficients[calm, 4:, 4:])
    variances = np.maximum(powers.mean(axis=0), 1e-9)
    kurtosis = np.mean(np.square(powers).mean(axis=0) / np.square(variances))
    weakest = np.sort(variances, axis=None)[: variances.size // 2].mean()
    # Noise has a kurtosis of 3, texture of 4 to 9: some patches hold much of it, most hold little.
    return float(_WEAKEST * weakest * min(1, _KURTOSIS / kurtosis) ** 2)


def jpeg_quality(image: NDArray[np.float32]) -> int | None:
    """Estimate the quality at which a picture was compressed as JPEG, be it stored in another format since.

    Parameters
    ----------
    image : ndarray
        ``(H, W, 3)`` RGB in [0, 1].

    Returns
    -------
    int or None
        1 to 95 on libjpeg's scale; ``None`` where no trace of compression is found.
    """
    if min(image.shape[:2]) < 4 * _PATCH:
        return None
    top, left = _grid_phase(image), _grid_phase(image.swapaxes(0, 1))
    phases = [(0, 0)] if (top, left) == (0, 0) else [(0, 0), (top, left)]
    for phase in phases:
        quality = _quality_from_coefficients(image[phase[0] :, phase[1] :])
        if quality is not None:
            return quality
    return None


def _luma(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    return pixels @ _LUMA * 255 - 128


def _grid_phase(image: NDArray[np.float32]) -> int:
    """Return the row, 0 to 7, at which the block grid most likely begins."""
    bands = range(0, len(image) - 1, _BAND)
    jump = np.concatenate([np.abs(np.diff(_luma(image[y : y + _BAND + 1]), axis=0)).mean(axis=1) for y in bands])
    smooth = (jump[:-2] + jump[2:]) / 2
    excess = jump[1:-1] - smooth  # excess[i] belongs to the step from row i + 1 to row i + 2
    means = [excess[phase::_PATCH].mean() for phase in range(_PATCH)]
    return (int(np.argmax(means)) + 2) % _PATCH


def _quality_from_coefficients(image: NDArray[np.float32]) -> int | None:
    channels = [_sampled(image[..., channel], _BLOCKS, step=_PATCH) for channel in range(3)]
    coefficients = _dct(_luma(np.stack(channels, axis=-1)))
    row, column = np.nonzero(_low_frequencies())
    values = np.abs(coefficients[:, row, column])
    scores = {quality: _periodicity(values, table[row, column]) for quality, table in _tables().items()}
    best = max(scores.values())
    if best < 0.4:
        return None
    # The steps of a lower quality may be multiples of a higher one's, never the other way round.
    lowest = min(quality for quality, score in scores.items() if score > 0.75 * best)
    return max(range(lowest, min(lowest + 4, max(scores))), key=lambda quality: scores[quality])


def _periodicity(values: NDArray[np.float32], steps: NDArray[np.float32]) -> float:
    """Return how well the coefficients sit on multiples of the steps: 1 exactly, about 0 by chance."""
    ratio = values / steps
    used = ratio > 0.5
    if np.count_nonzero(used) < 100:
        return 0.0
    return float(np.cos(2 * np.pi * ratio[used]).mean())


@cache
def _tables() -> dict[int, NDArray[np.float32]]:
    return {quality: quantisation_table(quality) for quality in range(3, 96)}


@cache
def _low_frequencies() -> NDArray[np.bool_]:
    """Return where a coefficient is neither the mean nor usually quantised to nothing."""
    order = np.add.outer(np.arange(8), np.arange(8))
    return (order > 0) & (order <= 4)


def _dct(patches: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(dctn(patches.reshape(-1, _PATCH, _PATCH), axes=(1, 2), norm="ortho"))


def _sampled(plane: NDArray[np.float32], most: int, step: int) -> NDArray[np.float32]:
    """Return up to about ``most`` flattened 8x8 patches from a regular grid whose pitch is a multiple of ``step``."""
    rows, columns = plane.shape[0] - _PATCH + 1, plane.shape[1] - _PATCH + 1
    pitch = step * max(1, int(np.ceil(np.sqrt(rows * columns / most) / step)))
    windows = np.lib.stride_tricks.sliding_window_view(plane, (_PATCH, _PATCH))[::pitch, ::pitch]
    return windows.reshape(-1, _PATCH**2)
