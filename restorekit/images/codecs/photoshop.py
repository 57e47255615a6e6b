"""Photoshop's resource blocks, in which JPEG files carry IPTC texts (caption, author, keywords).

Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks".
"""

from __future__ import annotations

import struct

__all__ = ["PHOTOSHOP", "iptc_only"]

PHOTOSHOP = b"Photoshop 3.0\0"
_IPTC = 0x0404


def iptc_only(payload: bytes) -> bytes:
    """Return the payload of an APP13 segment with its IPTC block alone; empty where it has none.

    The other blocks describe how the file was stored: thumbnail, print settings, resolution.
    """
    at = len(PHOTOSHOP)
    while payload[at : at + 4] == b"8BIM" and at + 12 <= len(payload):
        (kind,) = struct.unpack_from(">H", payload, at + 4)
        name = payload[at + 6]
        content = at + 6 + (name + 2) // 2 * 2 + 4  # the name with its length byte fills whole words
        if content > len(payload):
            break
        (size,) = struct.unpack_from(">I", payload, content - 4)
        end = content + size + size % 2
        if kind == _IPTC and content + size <= len(payload):
            return PHOTOSHOP + payload[at:content] + payload[content : content + size] + b"\0" * (size % 2)
        at = end
    return b""
