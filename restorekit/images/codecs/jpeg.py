"""JPEG: segments, completeness, quality; pixels by OpenCV, CMYK by Pillow.

Source: ITU-T T.81 (JPEG), T.871 (JFIF), EXIF 2.32, XMP part 3, ICC.1 annex B.4.
"""

from __future__ import annotations

import functools
import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np

from restorekit.images.codecs.cmyk import cmyk_note, rgb_from_cmyk_jpeg
from restorekit.images.codecs.opencv import decode_opencv, encode_opencv
from restorekit.images.codecs.photoshop import PHOTOSHOP, iptc_only
from restorekit.images.exif import without_prefix
from restorekit.images.header import Header, Source, Unreadable
from restorekit.images.metadata import stored_dpi, stored_orientation
from restorekit.images.picture import Coding, Metadata

__all__ = ["decode_pixels", "encode_pixels", "estimated_quality", "read_header", "require_end", "with_metadata"]

_EOI, _SOS, _DQT, _APP0, _APP1, _APP2, _APP13, _COM = 0xD9, 0xDA, 0xDB, 0xE0, 0xE1, 0xE2, 0xED, 0xFE
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_READABLE_FRAMES = {
    0xC0,
    0xC1,
    0xC2,
    0xC9,
    0xCA,
}  # baseline, extended, progressive; the last two with arithmetic coding
_ALONE = {0x01, *range(0xD0, 0xD9)}
_IN_SCANS = {0xC4, 0xCC, _SOS, _DQT, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)}

_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0"
_XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
_KEPT = {b"APP13": _APP13, b"COM": _COM}
_LARGEST = 0xFFFF - 2  # a segment's length counts its own two bytes

# In entropy-coded data 0xFF is followed by 0 or is a restart marker.
_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)

# ITU-T T.81, table K.1, row by row; a DQT segment has it in zigzag order.
_LUMINANCE = np.array(
    [
        *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
        *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
        *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
    ]
)


def _zigzag(index: int) -> tuple[int, int]:
    row, column = divmod(index, 8)
    return row + column, row if (row + column) % 2 else column


_ZIGZAG_LUMINANCE = _LUMINANCE[sorted(range(64), key=_zigzag)]


class Segment(NamedTuple):
    """A marker segment: its payload lies in ``data[start:stop]``."""

    marker: int
    start: int
    stop: int


def read_header(data: Source) -> Header:
    """Read a JPEG's header: everything before its first scan."""
    frame: bytes | None = None
    block = xmp = b""
    dpi: tuple[float, float] | None = None
    quality: int | None = None
    profile: dict[int, bytes] = {}
    kept: list[tuple[bytes, bytes]] = []
    notes: tuple[str, ...] = ()
    for segment in _segments(data):
        if segment.marker in _FRAMES:
            if segment.marker not in _READABLE_FRAMES:
                raise Unreadable("is a lossless or hierarchical JPEG", "convert it to PNG or TIFF first")
            frame = data[segment.start : segment.stop]
        elif segment.marker in (_APP0, _APP1, _APP2, _APP13, _COM, _DQT):
            payload = data[segment.start : segment.stop]
            if segment.marker == _APP0 and payload[:5] == b"JFIF\0":
                dpi = dpi or _density(payload)
            elif segment.marker == _DQT:
                quality = quality or _quality_of(payload)
            elif segment.marker == _COM:
                kept.append((b"COM", payload))
            elif payload.startswith(PHOTOSHOP):
                kept += [(b"APP13", iptc)] if (iptc := iptc_only(payload)) else []
            elif payload.startswith(_EXIF):
                block = block or without_prefix(payload)
            elif payload.startswith(_XMP):
                xmp = xmp or payload[len(_XMP) :]
            elif payload.startswith(_XMP_EXTENSION):
                notes = ("extended XMP data dropped",)
            elif payload.startswith(_ICC) and len(payload) > 14:
                profile.setdefault(payload[12], payload[14:])
    if frame is None or len(frame) < 6:
        raise Unreadable("is a damaged JPEG: it holds no picture")
    precision, height, width, components = struct.unpack_from(">BHHB", frame)
    if precision != 8:
        raise Unreadable(f"is a JPEG of {precision} bits a sample", "convert it to 16-bit PNG or TIFF first")
    if components not in (1, 3, 4):
        raise Unreadable(f"is a JPEG of {components} components", "convert it to PNG or TIFF first")
    icc = b"".join(profile[number] for number in sorted(profile))
    metadata = Metadata(exif=block, xmp=xmp, icc=icc, dpi=dpi, chunks=tuple(kept))
    if components == 4:
        notes += (cmyk_note(icc),)
    return Header(
        format="jpeg",
        width=width,
        height=height,
        channels=1 if components == 1 else 3,
        orientation=stored_orientation(metadata),
        metadata=replace(metadata, dpi=stored_dpi(metadata)),
        coding=Coding(quality=quality),
        layout="cmyk" if components == 4 else "",
        notes=notes,
    )


def decode_pixels(data: bytes, header: Header) -> np.ndarray:
    """Decode a complete JPEG; one that ends early is refused, for libjpeg would fill its rest with grey."""
    require_end(data)
    if header.layout == "cmyk":
        return rgb_from_cmyk_jpeg(data, header.metadata.icc)
    return decode_opencv(data)


def encode_pixels(pixels: np.ndarray, quality: int) -> bytes:
    """Encode ``(H, W, 1 or 3)`` uint8; from quality 90 on colours keep their full resolution (4:4:4)."""
    sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444 if quality >= 90 else cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420
    return encode_opencv(
        ".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    )


def with_metadata(data: bytes, metadata: Metadata) -> tuple[bytes, tuple[str, ...]]:
    """Put metadata into a JPEG that has none but its JFIF segment; what no segment can hold is noted."""
    notes: list[str] = []
    segments: list[bytes] = [_segment(_APP0, _jfif(metadata.dpi))]
    for name, prefix, payload in (("EXIF", _EXIF, metadata.exif), ("XMP", _XMP, metadata.xmp)):
        if len(prefix) + len(payload) > _LARGEST:
            notes.append(f"{name} data dropped: JPEG holds at most 64 KB of them")
        elif payload:
            segments.append(_segment(_APP1, prefix + payload))
    room = _LARGEST - len(_ICC) - 2
    parts = [metadata.icc[at : at + room] for at in range(0, len(metadata.icc), room)]
    if len(parts) > 255:
        notes.append("colour profile dropped: JPEG holds at most 16 MB of it")
        parts = []
    segments += [_segment(_APP2, _ICC + bytes((i, len(parts))) + part) for i, part in enumerate(parts, start=1)]
    segments += [_segment(_KEPT[kind], content) for kind, content in metadata.chunks if kind in _KEPT]
    rest = 4 + struct.unpack_from(">H", data, 4)[0] if data[2:4] == b"\xff\xe0" else 2
    return b"".join((data[:2], *segments, data[rest:])), tuple(notes)


def estimated_quality(table: np.ndarray) -> int:
    """Return the libjpeg quality, 1 to 100, whose luminance table is nearest to this one (64 values in zigzag order).

    Source: libjpeg's ``jpeg_quality_scaling``.
    """
    return 1 + int(np.abs(_quality_tables() - table).sum(axis=1).argmin())


@functools.cache
def _quality_tables() -> np.ndarray:
    """Return libjpeg's luminance tables of qualities 1 to 100, ``(100, 64)``."""
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return np.clip((_ZIGZAG_LUMINANCE * scales[:, None] + 50) // 100, 1, 255)


def _segments(data: Source, at: int = 2) -> Iterator[Segment]:
    """Walk over the segments up to the first scan, which is the last one given."""
    while True:
        head = data[at : at + 4]
        if len(head) < 2:
            raise Unreadable("is a damaged JPEG: it ends within its header")
        if head[0] != 0xFF:  # libjpeg skips stray bytes between segments too
            window = data[at : at + 65536]
            step = window.find(b"\xff")
            if step < 0:
                raise Unreadable("is a damaged JPEG: its header is broken")
            at += step
        elif head[1] == 0xFF:
            at += 1
        elif head[1] in _ALONE or head[1] == 0:
            at += 2
        elif head[1] == _EOI:
            return
        else:
            length = int.from_bytes(head[2:4], "big")
            segment = Segment(head[1], at + 4, at + 2 + length)
            if len(head) < 4 or length < 2 or segment.stop > len(data):
                raise Unreadable("is a damaged JPEG: it ends within its header")
            yield segment
            if segment.marker == _SOS:
                return
            at = segment.stop


def require_end(data: bytes) -> None:
    """Follow the scans to the end marker; whatever comes after it does not belong to the picture."""
    at = max((segment.stop for segment in _segments(data)), default=2)
    while True:
        found = _MARKER_IN_SCAN.search(data, at)
        if found is None:
            raise Unreadable("is a damaged JPEG: it is cut off")
        marker = data[found.start() + 1]
        if marker == _EOI:
            return
        if marker not in _IN_SCANS:
            raise Unreadable("is a damaged JPEG: its data are broken")
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        at = found.end() + max(length, 2)


def _density(payload: bytes) -> tuple[float, float] | None:
    if len(payload) < 12:
        return None
    unit, x, y = struct.unpack_from(">BHH", payload, 7)
    scale = {1: 1.0, 2: 2.54}.get(unit)
    return (x * scale, y * scale) if scale and x and y else None


def _jfif(dpi: tuple[float, float] | None) -> bytes:
    """Return a JFIF payload with a density: dots an inch, or dots a centimetre where these are nearer."""
    unit, x, y = 0, 1, 1
    if dpi is not None:
        unit = min((1, 2), key=lambda unit: sum(abs(_rounded(value, unit) - value) for value in dpi))
        scale = 1.0 if unit == 1 else 2.54
        x, y = (min(max(round(value / scale), 1), 0xFFFF) for value in dpi)
    return struct.pack(">5sHBHHBB", b"JFIF\0", 0x0101, unit, x, y, 0, 0)


def _rounded(dpi: float, unit: int) -> float:
    scale = 1.0 if unit == 1 else 2.54
    return round(dpi / scale) * scale


def _quality_of(payload: bytes) -> int | None:
    """Estimate the quality from a DQT payload, where it begins with table 0."""
    if payload[:1] == b"\0" and len(payload) >= 65:
        return estimated_quality(np.frombuffer(payload, np.uint8, 64, 1).astype(int))
    if payload[:1] == b"\x10" and len(payload) >= 129:
        return estimated_quality(np.frombuffer(payload, ">u2", 64, 1).astype(int))
    return None


def _segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload
