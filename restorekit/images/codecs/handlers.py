"""Which module reads the header and decodes the pixels of each format."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from restorekit.images.codecs import avif, bitmap, jpeg, netpbm, png, tiff, webp
from restorekit.images.header import Header, Source

__all__ = ["HANDLERS", "Handler"]


class Handler(NamedTuple):
    """A format's reader: the header first, then the samples as ``(H, W)`` or ``(H, W, C)``, alpha last, as stored."""

    read_header: Callable[[Source], Header]
    decode_pixels: Callable[[bytes, Header], np.ndarray]


HANDLERS = {
    "jpeg": Handler(jpeg.read_header, jpeg.decode_pixels),
    "png": Handler(png.read_header, png.decode_pixels),
    "webp": Handler(webp.read_header, webp.decode_pixels),
    "tiff": Handler(tiff.read_header, tiff.decode_pixels),
    "avif": Handler(avif.read_header, avif.decode_pixels),
    "bmp": Handler(bitmap.read_bmp_header, bitmap.decode_bmp),
    "ppm": Handler(netpbm.read_header, netpbm.decode_pixels),
    "gif": Handler(bitmap.read_gif_header, bitmap.decode_gif),
}
