"""PNG: chunks, checksums, transparency; pixels by OpenCV, grey with alpha by imagecodecs.

Source: Portable Network Graphics (PNG) Specification, third edition, W3C 2025.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import cv2
import imagecodecs
import numpy as np

from restorekit.images.codecs.opencv import decode_opencv, encode_opencv
from restorekit.images.exif import without_prefix
from restorekit.images.header import Header, Source, Unreadable
from restorekit.images.metadata import stored_dpi, stored_orientation
from restorekit.images.picture import Metadata

__all__ = ["decode_pixels", "encode_pixels", "read_header", "with_metadata"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp"

#: What the pixel decoder needs; everything else is kept from it.
_PIXEL_CHUNKS = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
#: What is written again as it is, before and after the palette's place.
_KEPT_CHUNKS = {b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"tEXt", b"zTXt", b"iTXt", b"tIME"}
_LARGEST_TEXT = 1 << 26  # bytes a compressed profile or XMP packet may unpack to

_GREY, _RGB, _PALETTE, _GREY_ALPHA, _RGB_ALPHA = 0, 2, 3, 4, 6
_LAYOUTS = {_GREY: "grey", _RGB: "rgb", _PALETTE: "palette", _GREY_ALPHA: "grey+alpha", _RGB_ALPHA: "rgb+alpha"}


class Chunk(NamedTuple):
    """A chunk: its content lies in ``data[start:stop]``, its checksum behind."""

    kind: bytes
    start: int
    stop: int


def read_header(data: Source) -> Header:
    """Read all of a PNG but its pixels."""
    chunks = list(_chunks(data))
    if not chunks or chunks[0].kind != b"IHDR" or chunks[0].stop - chunks[0].start != 13:
        raise Unreadable("is a damaged PNG: its header is broken")
    width, height, bits, colour, _, _, _ = struct.unpack(">IIBBBBB", data[chunks[0].start : chunks[0].stop])
    if colour not in _LAYOUTS or bits not in (1, 2, 4, 8, 16):
        raise Unreadable("is a damaged PNG: its header is broken")
    frames, transparent = 1, False
    metadata = Metadata()
    kept: list[tuple[bytes, bytes]] = []
    notes: list[str] = []
    for chunk in chunks:
        if chunk.kind in (b"acTL", b"tRNS", b"eXIf", b"pHYs", b"iCCP") or chunk.kind in _KEPT_CHUNKS:
            content = data[chunk.start : chunk.stop]
            match chunk.kind:
                case b"acTL":
                    frames = int.from_bytes(content[:4], "big") or 1
                case b"tRNS":
                    transparent = colour in (_GREY, _RGB, _PALETTE)
                case b"eXIf":
                    metadata = replace(metadata, exif=without_prefix(content))
                case b"pHYs":
                    metadata = replace(metadata, dpi=_density(content))
                case b"iCCP":
                    metadata, note = _with_profile(metadata, content)
                    notes += note
                case b"iTXt" if content.startswith(_XMP_KEYWORD + b"\0"):
                    metadata = replace(metadata, xmp=_text(content))
                case _:
                    kept.append((chunk.kind, content))
    metadata = replace(metadata, chunks=tuple(kept), dpi=stored_dpi(metadata))
    return Header(
        format="png",
        width=width,
        height=height,
        channels=1 if colour in (_GREY, _GREY_ALPHA) else 3,
        alpha=transparent or colour in (_GREY_ALPHA, _RGB_ALPHA),
        bits=16 if bits == 16 else 8,
        frames=frames,
        orientation=stored_orientation(metadata),
        metadata=metadata,
        layout=_LAYOUTS[colour],
        notes=tuple(notes),
    )


def decode_pixels(data: bytes, header: Header) -> np.ndarray:
    """Decode a complete PNG: ``(H, W)`` or ``(H, W, C)`` with C = 2, 3 or 4."""
    chunks = list(_chunks(data))
    if not chunks or chunks[-1].kind != b"IEND":
        raise Unreadable("is a damaged PNG: it is cut off")
    key = b""
    parts = [SIGNATURE]
    for chunk in chunks:
        transparency = chunk.kind == b"tRNS"
        if chunk.kind not in _PIXEL_CHUNKS and not transparency:
            continue
        content = data[chunk.start : chunk.stop]
        if zlib.crc32(chunk.kind + content) != int.from_bytes(data[chunk.stop : chunk.stop + 4], "big"):
            raise Unreadable("is a damaged PNG: a checksum is wrong")
        if transparency and header.layout in ("grey", "rgb"):
            key = content  # OpenCV drops it for grey
        else:
            parts.append(data[chunk.start - 8 : chunk.stop + 4])
    image = decode_opencv(b"".join(parts))
    if header.layout == "grey+alpha" and image.ndim == 3:
        return np.ascontiguousarray(image[..., [0, -1]])
    if header.layout in ("grey", "rgb") and header.alpha:
        return _with_alpha(image, key, data[chunks[0].start + 8])
    return image


def encode_pixels(pixels: np.ndarray) -> bytes:
    """Encode ``(H, W, C)`` uint8 or uint16 with C = 1 to 4, at a compression that costs little time."""
    if pixels.shape[2] == 2:  # OpenCV has no such picture
        return bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels), level=1))
    # On photos this takes a third less time than level 1 with the filters left to libpng, at about the same size.
    settings = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]
    settings += [cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
    return encode_opencv(".png", pixels, settings)


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Put metadata into a PNG, in place of what it has."""
    before: list[bytes] = []
    if metadata.icc:
        before.append(_chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc, 6)))
    if metadata.dpi:
        x, y = (min(max(round(value / 0.0254), 1), (1 << 31) - 1) for value in metadata.dpi)
        before.append(_chunk(b"pHYs", struct.pack(">IIB", x, y, 1)))
    if metadata.exif:
        before.append(_chunk(b"eXIf", metadata.exif))
    if metadata.xmp:
        before.append(_chunk(b"iTXt", _XMP_KEYWORD + b"\0\0\0\0\0" + metadata.xmp))
    excluded = {b"sRGB"} if metadata.icc else set()  # the two exclude each other
    before += [_chunk(*chunk) for chunk in metadata.chunks if chunk[0] in _KEPT_CHUNKS - excluded]
    pixels = [data[c.start - 8 : c.stop + 4] for c in _chunks(data) if c.kind in _PIXEL_CHUNKS]
    return b"".join((SIGNATURE, pixels[0], *before, *pixels[1:]))


def _chunks(data: Source) -> Iterator[Chunk]:
    """Walk over the chunks to the end chunk, or to where the file is cut off."""
    at = len(SIGNATURE)
    while at + 12 <= len(data):
        head = data[at : at + 8]
        chunk = Chunk(head[4:8], at + 8, at + 8 + int.from_bytes(head[:4], "big"))
        if chunk.stop + 4 > len(data):
            return
        yield chunk
        if chunk.kind == b"IEND":
            return
        at = chunk.stop + 4


def _with_alpha(image: np.ndarray, key: bytes, bits: int) -> np.ndarray:
    """Add an alpha channel that is 0 where a pixel has the transparent colour."""
    colours = image if image.ndim == 3 else image[..., None]
    if len(key) < 2 * colours.shape[2]:
        raise Unreadable("is a damaged PNG: its transparent colour is broken")
    full = np.iinfo(image.dtype).max
    value = np.frombuffer(key, ">u2", colours.shape[2]).astype(np.int64)
    if bits < 8:
        value = value * (full // ((1 << bits) - 1))
    opaque = np.any(colours != value, axis=2, keepdims=True)
    return np.concatenate([colours, np.where(opaque, full, 0).astype(image.dtype)], axis=2)


def _with_profile(metadata: Metadata, content: bytes) -> tuple[Metadata, list[str]]:
    """Unpack an iCCP chunk: name, 0, compression method, zlib data."""
    name, _, packed = content.partition(b"\0")
    profile = _unpacked(packed[1:]) if name and packed[:1] == b"\0" else None
    if profile is None:
        return metadata, ["broken colour profile dropped"]
    return replace(metadata, icc=profile), []


def _text(content: bytes) -> bytes:
    """Return an iTXt chunk's text: keyword, 0, flag, method, language, 0, translation, 0, text."""
    compressed, rest = content[len(_XMP_KEYWORD) + 1 : len(_XMP_KEYWORD) + 2], content[len(_XMP_KEYWORD) + 3 :]
    text = rest.split(b"\0", 2)[-1]
    return (_unpacked(text) or b"") if compressed == b"\1" else text.rstrip(b"\0")


def _unpacked(packed: bytes) -> bytes | None:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, _LARGEST_TEXT)
    except zlib.error:
        return None
    return content if unpacker.eof else None


def _density(content: bytes) -> tuple[float, float] | None:
    if len(content) != 9:
        return None
    x, y, unit = struct.unpack(">IIB", content)
    return (x * 0.0254, y * 0.0254) if unit == 1 and x and y else None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
