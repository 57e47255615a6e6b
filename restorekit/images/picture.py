"""A decoded picture and everything about it that must survive a restoration."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from restorekit.contract import PictureInfo

__all__ = ["Coding", "Metadata", "Picture", "Pixels"]

Pixels = NDArray[np.uint8] | NDArray[np.uint16] | NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    r"""What a file says besides its pixels, ready to be written again.

    Parameters
    ----------
    exif : bytes
        TIFF-structured EXIF block without the ``Exif\0\0`` prefix; orientation reset to 1, stale thumbnail dropped.
    icc : bytes
        ICC colour profile.
    xmp : bytes
        XMP packet.
    dpi : tuple of float, optional
        Horizontal and vertical resolution in dots an inch.
    chunks : tuple of (bytes, bytes)
        What only the same format can hold, kind and content: PNG's colour chunks (``gAMA``, ``cHRM``, ``sRGB``,
        ``cICP``) and texts; JPEG's IPTC block (``APP13``) and comments (``COM``).
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None
    chunks: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """How the input file was coded, so that the same format can be written in the same way.

    Parameters
    ----------
    quality : int, optional
        JPEG: quality on libjpeg's scale, estimated from the quantisation tables.
    lossless : bool
        WebP: the lossless kind (VP8L).
    compression : str
        TIFF: name of the lossless compression; ``""`` where it was lossy or unknown.
    maxval : int, optional
        PPM: the value that stands for white.
    cicp : tuple of int, optional
        AVIF: colour primaries and transfer function (ITU-T H.273).
    """

    quality: int | None = None
    lossless: bool = False
    compression: str = ""
    maxval: int | None = None
    cicp: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Pixels in displayed orientation, with their metadata.

    Parameters
    ----------
    pixels : ndarray
        ``(H, W, C)`` with C = 1 (grey) or 3 (RGB, in this order). uint8 and uint16 fill their whole range, also where
        the file holds 10 or 12 bits; float files are float32.
    alpha : ndarray, optional
        ``(H, W)`` of the same dtype, straight (not premultiplied).
    info : PictureInfo
        What the header said.
    metadata : Metadata
        What is written again.
    coding : Coding
        How the input file was coded.
    notes : tuple of str
        What decoding had to change, for the manifest: ``"CMYK converted to RGB, its profile dropped"``.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    info: PictureInfo
    metadata: Metadata = field(default_factory=Metadata)
    coding: Coding = field(default_factory=Coding)
    notes: tuple[str, ...] = ()
