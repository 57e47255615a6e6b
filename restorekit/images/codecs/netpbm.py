"""PBM, PGM and PPM: header, any white value; pixels by OpenCV.

Source: Netpbm's ``pbm(5)``, ``pgm(5)`` and ``ppm(5)``.
"""

from __future__ import annotations

import re

import numpy as np

from restorekit.images.codecs.opencv import decode_opencv
from restorekit.images.depth import rescaled, white_of
from restorekit.images.header import Header, Source, Unreadable
from restorekit.images.picture import Coding

__all__ = ["decode_pixels", "encode_pixels", "read_header"]

_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_BITMAP = re.compile(rb"P[14]" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")
_MAP = re.compile(rb"P[2356]" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


def read_header(data: Source) -> Header:
    """Read the header; comments in it may be long, but not endless."""
    found = (_BITMAP if data[1:2] in (b"1", b"4") else _MAP).match(data[:65536])
    if found is None:
        raise Unreadable("is a damaged PPM: its header is broken")
    numbers = [int(number[:9]) for number in found.groups()]
    maxval = numbers[2] if len(numbers) == 3 else 255
    if not 1 <= maxval <= 65535:
        raise Unreadable(f"is a damaged PPM: its white is {maxval}, not 1 to 65535")
    bits = 8 if maxval < 256 else next(bits for bits in (10, 12, 16) if maxval < 1 << bits)
    return Header(
        format="ppm",
        width=numbers[0],
        height=numbers[1],
        channels=3 if data[1:2] in (b"3", b"6") else 1,
        bits=bits,
        coding=Coding(maxval=maxval),
        layout="plain" if data[1:2] in (b"1", b"2", b"3") else "",
    )


def decode_pixels(data: bytes, header: Header) -> np.ndarray:
    """Decode to the whole range of uint8 or uint16."""
    maxval = header.coding.maxval or 255
    image = decode_opencv(data)
    # OpenCV scales plain 8-bit files itself, and no others.
    if maxval in (255, 65535) or (header.layout == "plain" and maxval < 256):
        return image
    if image.max(initial=0) > maxval:
        raise Unreadable(f"is a damaged PPM: it has values above its white, {maxval}")
    return rescaled(image, maxval, white_of(image))


def encode_pixels(pixels: np.ndarray, maxval: int) -> bytes:
    """Encode ``(H, W, 1 or 3)`` values up to ``maxval``."""
    height, width, channels = pixels.shape
    head = f"P{5 if channels == 1 else 6}\n{width} {height}\n{maxval}\n".encode()
    return head + pixels.astype(">u2" if maxval > 255 else np.uint8).tobytes()
