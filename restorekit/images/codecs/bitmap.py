"""BMP and still GIF: headers by Pillow; BMP pixels by OpenCV, GIF pixels by Pillow."""

from __future__ import annotations

import struct

import numpy as np
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile

from restorekit.images.codecs.opencv import decode_opencv, encode_opencv
from restorekit.images.header import Header, Source, Unreadable, as_file
from restorekit.images.picture import Metadata

__all__ = ["decode_bmp", "decode_gif", "encode_bmp", "read_bmp_header", "read_gif_header"]


def read_bmp_header(data: Source) -> Header:
    """Read a BMP's header."""
    try:
        image = BmpImageFile(as_file(data))
    except Exception as error:  # Pillow's parsers raise many kinds
        raise Unreadable("is a damaged BMP: its header is broken, or of a kind that is not known") from error
    dpi = image.info.get("dpi")
    return Header(
        format="bmp",
        width=image.width,
        height=image.height,
        channels=1 if image.mode in ("1", "L") else 3,
        alpha=image.mode == "RGBA",
        metadata=Metadata(dpi=dpi if dpi and min(dpi) > 0 else None),
    )


def decode_bmp(data: bytes, header: Header) -> np.ndarray:
    """Decode a BMP to ``(H, W)`` or ``(H, W, 3)`` uint8."""
    return decode_opencv(data)


def encode_bmp(pixels: np.ndarray, dpi: tuple[float, float] | None) -> bytes:
    """Encode ``(H, W, 1 or 3)`` uint8."""
    data = encode_opencv(".bmp", pixels)
    if dpi is None:
        return data
    density = struct.pack("<ii", *(min(max(round(value / 0.0254), 1), (1 << 31) - 1) for value in dpi))
    return data[:38] + density + data[46:]  # biXPelsPerMeter, biYPelsPerMeter


def read_gif_header(data: Source) -> Header:
    """Read a GIF's header and count its frames."""
    try:
        image = GifImageFile(as_file(data))
        frames = image.n_frames
    except Exception as error:
        raise Unreadable("is a damaged GIF") from error
    grey = image.mode == "L"
    return Header(
        format="gif",
        width=image.width,
        height=image.height,
        channels=1 if grey else 3,
        alpha="transparency" in image.info,
        frames=frames,
    )


def decode_gif(data: bytes, header: Header) -> np.ndarray:
    """Decode a still GIF to ``(H, W, C)`` uint8."""
    try:
        image = GifImageFile(as_file(data))
        image.load()
        mode = ("L" if header.channels == 1 else "RGB") + ("A" if header.alpha else "")
        return np.asarray(image.convert(mode))
    except Exception as error:
        raise Unreadable("is a damaged GIF") from error
