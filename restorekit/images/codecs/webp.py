"""WebP: chunks, the lossless kind, metadata; pixels by OpenCV, the lossless kind written by Pillow.

Source: RFC 9649.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from restorekit.images.codecs.opencv import decode_opencv, encode_opencv
from restorekit.images.exif import without_prefix
from restorekit.images.header import Header, Source, Unreadable
from restorekit.images.metadata import stored_dpi, stored_orientation
from restorekit.images.picture import Coding, Metadata

__all__ = ["decode_pixels", "encode_pixels", "read_header", "with_metadata"]

_ANIMATION, _XMP, _EXIF, _ALPHA, _ICC = 0x02, 0x04, 0x08, 0x10, 0x20


class Chunk(NamedTuple):
    """A RIFF chunk: its content lies in ``data[start:stop]``."""

    kind: bytes
    start: int
    stop: int


class Bitstream(NamedTuple):
    """What the header of a VP8 or VP8L chunk says."""

    width: int
    height: int
    alpha: bool
    lossless: bool


def read_header(data: Source) -> Header:
    """Read all of a WebP but its pixels."""
    stream: Bitstream | None = None
    canvas: tuple[int, int] | None = None
    alpha = False
    frames = 0
    block = icc = xmp = b""
    for chunk in _chunks(data):
        match chunk.kind:
            case b"VP8X":
                content = data[chunk.start : chunk.stop]
                if len(content) < 10:
                    raise Unreadable("is a damaged WebP: its header is broken")
                canvas = (1 + int.from_bytes(content[4:7], "little"), 1 + int.from_bytes(content[7:10], "little"))
            case b"VP8 " | b"VP8L":
                stream = stream or _bitstream(chunk.kind, data[chunk.start : chunk.start + 10])
            case b"ALPH":
                alpha = True
            case b"ANMF":
                frames += 1
            case b"ICCP":
                icc = data[chunk.start : chunk.stop]
            case b"EXIF":
                block = without_prefix(data[chunk.start : chunk.stop])
            case b"XMP ":
                xmp = data[chunk.start : chunk.stop]
            case _:
                pass
    if stream is None and not (canvas and frames):
        raise Unreadable("is a damaged WebP: it holds no picture")
    if frames:
        alpha = True  # a frame may leave parts of the canvas empty
    width, height = canvas or (stream.width, stream.height) if stream else canvas or (0, 0)
    metadata = Metadata(exif=block, icc=icc, xmp=xmp)
    return Header(
        format="webp",
        width=width,
        height=height,
        alpha=alpha or (stream is not None and stream.alpha),
        frames=max(frames, 1),
        orientation=stored_orientation(metadata),
        metadata=replace(metadata, dpi=stored_dpi(metadata)),
        coding=Coding(lossless=stream is not None and stream.lossless),
    )


def decode_pixels(data: bytes, header: Header) -> np.ndarray:
    """Decode a complete WebP to ``(H, W, 3 or 4)`` uint8."""
    if int.from_bytes(data[4:8], "little") + 8 > len(data) + 1:  # some writers leave out the last padding byte
        raise Unreadable("is a damaged WebP: it is cut off")
    return decode_opencv(data)


def encode_pixels(pixels: np.ndarray, quality: int | None) -> bytes:
    """Encode ``(H, W, 3 or 4)`` uint8; ``quality=None`` is lossless, colours under full transparency included."""
    if quality is None:
        # OpenCV changes colours under full transparency; its newer setting against that is not in every release.
        buffer = BytesIO()
        Image.fromarray(pixels).save(buffer, "WEBP", lossless=True, exact=True, method=2)
        return buffer.getvalue()
    return encode_opencv(".webp", pixels, [cv2.IMWRITE_WEBP_QUALITY, quality])


def with_metadata(data: bytes, metadata: Metadata) -> bytes:
    """Put metadata into a still WebP, in place of what it has."""
    if not (metadata.exif or metadata.icc or metadata.xmp):
        return data
    header = read_header(data)
    flags = header.alpha * _ALPHA | bool(metadata.icc) * _ICC | bool(metadata.exif) * _EXIF | bool(metadata.xmp) * _XMP
    canvas = (header.width - 1).to_bytes(3, "little") + (header.height - 1).to_bytes(3, "little")
    parts = [_chunk(b"VP8X", struct.pack("<I", flags) + canvas)]
    if metadata.icc:
        parts.append(_chunk(b"ICCP", metadata.icc))
    parts += [_chunk(c.kind, data[c.start : c.stop]) for c in _chunks(data) if c.kind in (b"ALPH", b"VP8 ", b"VP8L")]
    if metadata.exif:
        parts.append(_chunk(b"EXIF", metadata.exif))
    if metadata.xmp:
        parts.append(_chunk(b"XMP ", metadata.xmp))
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _chunks(data: Source) -> Iterator[Chunk]:
    """Walk over the chunks up to where the container, or the file, ends."""
    at = 12
    end = min(len(data), int.from_bytes(data[4:8], "little") + 8)
    while at + 8 <= end:
        head = data[at : at + 8]
        size = int.from_bytes(head[4:8], "little")
        chunk = Chunk(head[:4], at + 8, min(at + 8 + size, len(data)))
        yield chunk
        at += 8 + size + size % 2


def _bitstream(kind: bytes, head: bytes) -> Bitstream:
    if kind == b"VP8L" and len(head) >= 5 and head[0] == 0x2F:
        bits = int.from_bytes(head[1:5], "little")
        return Bitstream(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), bool(bits >> 28 & 1), True)
    if kind == b"VP8 " and len(head) >= 10 and head[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", head, 6)
        return Bitstream(width & 0x3FFF, height & 0x3FFF, False, False)
    raise Unreadable("is a damaged WebP: its header is broken")


def _chunk(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)
