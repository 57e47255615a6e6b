"""AVIF: header, colour and metadata by Pillow's libavif; pixels by OpenCV, which keeps 10 and 12 bits.

Pillow tells the orientation that the ``irot`` and ``imir`` boxes ask for, and profile and XMP, which OpenCV loses;
OpenCV gives the samples as stored, which Pillow cuts to 8 bits.

Source: AV1 Image File Format 1.1; AV1-ISOBMFF 1.2 (``av1C``); ISO/IEC 23008-12 (``colr``).
"""

from __future__ import annotations

from dataclasses import replace
from io import BytesIO

import cv2
import imagecodecs
import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile

from restorekit.images.codecs.opencv import decode_opencv, encode_opencv_with
from restorekit.images.depth import rescaled
from restorekit.images.exif import without_prefix
from restorekit.images.header import Header, Source, Unreadable
from restorekit.images.metadata import stored_dpi
from restorekit.images.picture import Coding, Metadata

__all__ = ["decode_pixels", "encode_pixels", "read_header"]

_SPEED = 8  # of 10; slower ones gain little at the qualities used here
_WRITTEN_CICP = (1, 13)  # BT.709 primaries, sRGB transfer: what OpenCV writes
_UNSPECIFIED = (2, 2)


def read_header(data: Source) -> Header:
    """Read an AVIF's boxes; nothing is decoded."""
    content = data[:]
    try:
        image = AvifImageFile(BytesIO(content))
    except Exception as error:  # libavif's messages name no cause that would help
        raise Unreadable("is a damaged AVIF") from error
    bits, grey = _coding(content)
    exif = without_prefix(image.info.get("exif", b""))
    metadata = Metadata(exif=exif, icc=image.info.get("icc_profile", b""), xmp=image.info.get("xmp", b""))
    return Header(
        format="avif",
        width=image.width,
        height=image.height,
        channels=1 if grey else 3,
        alpha=image.mode in ("RGBA", "LA"),
        bits=bits,
        frames=image.n_frames,
        orientation=_orientation(exif),
        metadata=replace(metadata, dpi=stored_dpi(metadata)),
        coding=Coding(cicp=_cicp(content)),
    )


def decode_pixels(data: bytes, header: Header) -> np.ndarray:
    """Decode to the whole range of uint8 or uint16: ``(H, W)`` or ``(H, W, C)`` with C = 2, 3 or 4."""
    image = (_grey_with_alpha if header.channels == 1 and header.alpha else decode_opencv)(data)
    return image if header.bits == 8 else rescaled(image, (1 << header.bits) - 1, 65535)


def encode_pixels(pixels: np.ndarray, bits: int, quality: int, metadata: Metadata, coding: Coding) -> bytes:
    """Encode ``(H, W, C)`` samples of ``bits`` bits with C = 1, 3 or 4, and their metadata; quality 100 is lossless."""
    settings = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, quality, cv2.IMWRITE_AVIF_SPEED, _SPEED]
    blocks = {
        cv2.IMAGE_METADATA_EXIF: metadata.exif,
        cv2.IMAGE_METADATA_ICCP: metadata.icc,
        cv2.IMAGE_METADATA_XMP: metadata.xmp,
    }
    data = encode_opencv_with(".avif", pixels, settings, blocks)
    return _with_cicp(data, coding.cicp) if coding.cicp else data


def _grey_with_alpha(data: bytes) -> np.ndarray:
    """Decode what OpenCV cannot represent."""
    try:
        return np.asarray(imagecodecs.avif_decode(data))
    except Exception as error:
        raise Unreadable("is a damaged AVIF") from error


def _coding(content: bytes) -> tuple[int, bool]:
    """Read bits a sample, and whether there is no colour, from the first picture's ``av1C`` box."""
    at = content.find(b"av1C")
    if at < 0 or at + 7 > len(content):
        raise Unreadable("is a damaged AVIF: it does not say how it is coded")
    flags = content[at + 6]
    bits = (12 if flags & 0x20 else 10) if flags & 0x40 else 8
    return bits, bool(flags & 0x10)


def _cicp(content: bytes) -> tuple[int, int] | None:
    """Read colour primaries and transfer function, where they are not sRGB's."""
    at = content.find(b"colrnclx")
    if at < 0 or at + 12 > len(content):
        return None
    cicp = (int.from_bytes(content[at + 8 : at + 10], "big"), int.from_bytes(content[at + 10 : at + 12], "big"))
    return None if cicp in (_WRITTEN_CICP, _UNSPECIFIED) else cicp


def _with_cicp(data: bytes, cicp: tuple[int, int]) -> bytes:
    """State the colour primaries and transfer function that the samples have."""
    at = data.find(b"colrnclx")
    if at < 0:
        return data
    return data[: at + 8] + b"".join(value.to_bytes(2, "big") for value in cicp) + data[at + 12 :]


def _orientation(exif: bytes) -> int:
    """Read the orientation from the block that Pillow has brought into line with the boxes."""
    value = Image.Exif()
    value.load(exif)
    found = value.get(0x0112, 1)
    return found if isinstance(found, int) and 1 <= found <= 8 else 1
