"""Maps whole ranges of integers, and floats, onto other whole ranges, rounded."""

from __future__ import annotations

import numpy as np

__all__ = ["rescaled", "white_of"]


def white_of(samples: np.ndarray) -> int:
    """Return the value that stands for white: 1 for floats, the largest one for integers."""
    return 1 if samples.dtype.kind == "f" else int(np.iinfo(samples.dtype).max)


def rescaled(samples: np.ndarray, white: int, to: int) -> np.ndarray:
    """Map ``0 .. white`` onto ``0 .. to``.

    Going to a wider range and back gives the same samples.

    Parameters
    ----------
    samples : ndarray
        uint8 or uint16 up to ``white``; or floats, which are clipped to ``[0, white]``.
    white, to : int
        Up to 65535.

    Returns
    -------
    ndarray
        uint8 where ``to`` is less than 256, else uint16.
    """
    dtype = np.uint8 if to < 256 else np.uint16
    if samples.dtype.kind == "f":
        return np.rint(np.clip(samples, 0.0, white) * np.float64(to / white)).astype(dtype)
    if white == to:
        return samples.astype(dtype, copy=False)
    # 65535 * 65535 + 65535 // 2 still fits: exact, and half the memory of float64.
    return ((samples.astype(np.uint32) * to + white // 2) // white).astype(dtype)
