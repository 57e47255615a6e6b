"""Pixels through OpenCV: RGB on our side, BGR on its, and its failures told as ours."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from restorekit.errors import PictureError
from restorekit.images.header import Unreadable

__all__ = ["decode_opencv", "encode_opencv", "encode_opencv_with", "swapped"]

# A file that cannot be decoded is told as a PictureError; OpenCV's own lines on stderr would only disturb.
if "OPENCV_LOG_LEVEL" not in os.environ:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

_TO_RGB = {3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGBA}


def decode_opencv(data: bytes) -> np.ndarray:
    """Decode the first picture as stored: ``(H, W)``, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise Unreadable("cannot be decoded: it is damaged, or too large for OpenCV") from error
    if image is None:
        raise Unreadable("cannot be decoded: it is damaged, or of a kind that OpenCV does not know")
    return swapped(image)


def encode_opencv(suffix: str, pixels: np.ndarray, settings: Sequence[int] = ()) -> bytes:
    """Encode ``(H, W, 1)``, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA."""
    return _bytes_or_error(suffix, lambda: cv2.imencode(suffix, swapped(pixels), list(settings)))


def encode_opencv_with(
    suffix: str, pixels: np.ndarray, settings: Sequence[int], metadata: Mapping[int, bytes]
) -> bytes:
    """Encode as `encode_opencv`, with metadata by OpenCV's ``IMAGE_METADATA_*`` numbers."""
    kinds = [kind for kind, block in metadata.items() if block]
    if not kinds:
        return encode_opencv(suffix, pixels, settings)
    blocks = [np.frombuffer(metadata[kind], np.uint8) for kind in kinds]
    return _bytes_or_error(
        suffix, lambda: cv2.imencodeWithMetadata(suffix, swapped(pixels), kinds, blocks, list(settings))
    )


def _bytes_or_error(suffix: str, encoder: Callable[[], tuple[bool, Any]]) -> bytes:
    try:
        written, buffer = encoder()
    except cv2.error as error:
        raise PictureError(
            "picture", f"could not be encoded as {suffix} ({error.err})", "choose png or tiff"
        ) from error
    if not written:
        raise PictureError("picture", f"could not be encoded as {suffix}", "choose png or tiff")
    return buffer.tobytes()


def swapped(image: np.ndarray) -> np.ndarray:
    """Exchange red and blue."""
    code = _TO_RGB.get(image.shape[2]) if image.ndim == 3 else None
    return np.ascontiguousarray(image) if code is None else cv2.cvtColor(image, code)
