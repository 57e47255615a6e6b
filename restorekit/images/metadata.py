"""Cleans metadata after reading, and fits it to what is written: orientation, sizes, colour profiles."""

from __future__ import annotations

import re
import struct
from dataclasses import replace

from restorekit.images import exif
from restorekit.images.header import Header
from restorekit.images.picture import Metadata, Picture

__all__ = ["cleaned", "fitted", "icc_space", "stored_dpi", "stored_orientation"]

_XMP_ORIENTATION = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")

#: Colour chunks of PNG that state what the colour channels mean.
_COLOUR_CHUNKS = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI"}


def stored_orientation(metadata: Metadata) -> int:
    """Return the orientation that EXIF, or where it states none XMP, asks for."""
    if metadata.exif:
        value = exif.orientation(metadata.exif)
        if value is not None:
            return value
    found = _XMP_ORIENTATION.search(metadata.xmp)
    return int(found[2]) if found else 1


def stored_dpi(metadata: Metadata) -> tuple[float, float] | None:
    """Return the resolution the container states, else the one EXIF states."""
    return metadata.dpi or (exif.resolution(metadata.exif) if metadata.exif else None)


def cleaned(header: Header) -> tuple[Metadata, tuple[str, ...]]:
    """Return a header's metadata as they apply to the picture in displayed orientation, and notes on what is dropped.

    The orientation is reset to 1 in EXIF and XMP, the thumbnail is dropped, and so are an EXIF block and an ICC profile
    that cannot be read.
    """
    metadata = header.metadata
    notes: list[str] = []
    block, icc = metadata.exif, metadata.icc
    if header.layout == "cmyk":
        icc = b""  # it has done its work
    if block:
        try:
            block = exif.upright(block)
        except exif.BrokenExif:
            block = b""
            notes.append("broken EXIF data dropped")
    if icc and icc_space(icc) is None:
        icc = b""
        notes.append("broken colour profile dropped")
    xmp = _XMP_ORIENTATION.sub(rb"\g<1>1", metadata.xmp)
    return replace(metadata, exif=block, icc=icc, xmp=xmp, dpi=header.info.dpi), tuple(notes)


def fitted(picture: Picture, *, strip: bool) -> tuple[Metadata, tuple[str, ...]]:
    """Return the metadata to write with a picture, and notes on what does not fit it.

    Parameters
    ----------
    picture : Picture
        Its pixels may have another size and other channels than the file they came from.
    strip : bool
        Leave out EXIF, XMP and texts. The colour profile and the resolution stay: without them the picture would look
        different.
    """
    metadata, info = picture.metadata, picture.info
    notes: list[str] = []
    height, width, channels = picture.pixels.shape
    block, icc, chunks = metadata.exif, metadata.icc, metadata.chunks
    if strip:
        metadata = replace(metadata, xmp=b"")
        block = b""
        chunks = tuple(chunk for chunk in chunks if chunk[0] in _COLOUR_CHUNKS)
    stored = (info.height, info.width) if info.orientation >= 5 else (info.width, info.height)
    if block and (width, height) != stored:
        block = exif.resized(block, width, height)
    wanted = "GRAY" if channels == 1 else "RGB"
    space = icc_space(icc) if icc else wanted
    if space != wanted:
        icc = b""
        notes.append(f"colour profile dropped: it is for {space or 'no'} pixels, the picture is {wanted}")
    if channels != info.channels:
        chunks = tuple(chunk for chunk in chunks if chunk[0] not in _COLOUR_CHUNKS)
    return replace(metadata, exif=block, icc=icc, chunks=chunks), tuple(notes)


def icc_space(profile: bytes) -> str | None:
    """Return the colour space an ICC profile is for (``"RGB"``, ``"GRAY"``, ``"CMYK"``), ``None`` for a broken one.

    Source: ICC.1:2022, 7.2 (header) and 7.3 (tag table).
    """
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return None
    (size,) = struct.unpack_from(">I", profile, 0)
    (tags,) = struct.unpack_from(">I", profile, 128)
    if size > len(profile) or 132 + 12 * tags > size or not tags:
        return None
    for index in range(tags):
        at, length = struct.unpack_from(">II", profile, 132 + 12 * index + 4)
        if at + length > size:
            return None
    return profile[16:20].decode("latin-1").strip()
