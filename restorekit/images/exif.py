"""Reads and changes single tags of an EXIF block in place, so that everything else, MakerNotes too, stays as it is."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["BrokenExif", "is_readable", "orientation", "resized", "resolution", "upright", "without_prefix"]

PREFIX = b"Exif\0\0"

_ORIENTATION = 0x0112
_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x011A, 0x011B, 0x0128
_IMAGE_SIZE = (0x0100, 0x0101)
_PIXEL_SIZE = (0xA002, 0xA003)
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202
_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
_SHORT, _LONG, _RATIONAL = 3, 4, 5
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}


class BrokenExif(ValueError):
    """The block is no readable TIFF structure."""


class Entry(NamedTuple):
    """One tag: where its 12-byte entry is, and where its value lies (in bytes from the block's start)."""

    tag: int
    kind: int
    length: int
    at: int
    value_at: int
    size: int


class Directory(NamedTuple):
    """One IFD: its entries, where its link to the next IFD is written, and that link."""

    at: int
    entries: tuple[Entry, ...]
    link_at: int
    link: int


def without_prefix(block: bytes) -> bytes:
    r"""Remove the ``Exif\0\0`` that some writers put before the TIFF header."""
    while block.startswith(PREFIX):
        block = block[len(PREFIX) :]
    return block


def is_readable(block: bytes) -> bool:
    """Tell whether the block's first directory can be read."""
    try:
        read_directory(block, first_offset(block))
    except BrokenExif:
        return False
    return True


def orientation(block: bytes) -> int | None:
    """Return the orientation, 1 to 8; ``None`` where the block states none that is valid."""
    value = _integer(block, _find(_first(block), _ORIENTATION))
    return value if value is not None and 1 <= value <= 8 else None


def resolution(block: bytes) -> tuple[float, float] | None:
    """Return the resolution in dots an inch, where the block states one."""
    directory = _first(block)
    x, y = (_rational(block, _find(directory, tag)) for tag in (_X_RESOLUTION, _Y_RESOLUTION))
    unit = _integer(block, _find(directory, _RESOLUTION_UNIT))
    if not x or not y or unit not in (None, 2, 3):
        return None
    scale = 2.54 if unit == 3 else 1.0
    return x * scale, y * scale


def upright(block: bytes) -> bytes:
    """Set the orientation to 1 and drop the thumbnail, which shows the picture before its restoration."""
    changed = bytearray(block)
    directory = read_directory(block, first_offset(block))
    entry = _find(directory, _ORIENTATION)
    if entry is not None:
        _put_integer(changed, entry, 1)
    return _without_thumbnail(changed, directory) if directory.link else bytes(changed)


def resized(block: bytes, width: int, height: int) -> bytes:
    """State a new picture size wherever the block states one."""
    changed = bytearray(block)
    for directory, tags in ((_first(block), _IMAGE_SIZE), (_sub(block, _EXIF_IFD), _PIXEL_SIZE)):
        for tag, value in zip(tags, (width, height), strict=True):
            entry = _find(directory, tag)
            if entry is not None:
                _put_integer(changed, entry, value)
    return bytes(changed)


def byte_order(block: bytes | bytearray) -> str:
    """Return ``"<"`` or ``">"``."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(bytes(block[:4]))
    if order is None:
        raise BrokenExif("no TIFF header")
    return order


def first_offset(block: bytes) -> int:
    """Return where the first directory starts."""
    order = byte_order(block)
    if len(block) < 8:
        raise BrokenExif("cut off")
    return struct.unpack_from(order + "I", block, 4)[0]


def read_directory(block: bytes, at: int) -> Directory:
    """Read the directory at an offset, leaving out entries whose values lie outside the block."""
    order = byte_order(block)
    if at < 8 or at + 2 > len(block):
        raise BrokenExif("a directory lies outside the block")
    (count,) = struct.unpack_from(order + "H", block, at)
    link_at = at + 2 + 12 * count
    if link_at > len(block):
        raise BrokenExif("a directory is cut off")
    # The link to the next directory is missing from some writers' last directory.
    link = struct.unpack_from(order + "I", block, link_at)[0] if link_at + 4 <= len(block) else 0
    return Directory(at, tuple(_entries(block, order, at, count)), link_at, link)


def _entries(block: bytes, order: str, at: int, count: int) -> Iterator[Entry]:
    for index in range(count):
        place = at + 2 + 12 * index
        tag, kind, number = struct.unpack_from(order + "HHI", block, place)
        size = _SIZES.get(kind, 1) * number
        value_at = place + 8 if size <= 4 else struct.unpack_from(order + "I", block, place + 8)[0]
        if value_at + size <= len(block):
            yield Entry(tag, kind, number, place, value_at, size)


def _without_thumbnail(block: bytearray, directory: Directory) -> bytes:
    """Cut the link to the second directory, blank it with its thumbnail, and drop the blank end."""
    order = byte_order(block)
    struct.pack_into(order + "I", block, directory.link_at, 0)
    used = list(_used(bytes(block), directory))
    for start, stop in _thumbnail_ranges(bytes(block), directory.link):
        # Two directories may share values: blank only what nothing else uses.
        if all(stop <= first or start >= last for first, last in used):
            block[start:stop] = bytes(stop - start)
    end = max(len(block.rstrip(b"\0")), *(last for _, last in used))
    return bytes(block[:end])


def _used(block: bytes, directory: Directory, depth: int = 2) -> Iterator[tuple[int, int]]:
    yield 0, 8
    yield directory.at, directory.link_at + 4
    for entry in directory.entries:
        yield entry.value_at, entry.value_at + entry.size
        if entry.tag in (_EXIF_IFD, _GPS_IFD, _INTEROP_IFD) and depth:
            try:
                yield from _used(block, read_directory(block, _integer(block, entry) or 0), depth - 1)
            except BrokenExif:
                continue


def _thumbnail_ranges(block: bytes, at: int) -> Iterator[tuple[int, int]]:
    try:
        second = read_directory(block, at)
    except BrokenExif:
        return
    yield second.at, min(second.link_at + 4, len(block))
    for entry in second.entries:
        yield entry.value_at, entry.value_at + entry.size
    start, length = (_integer(block, _find(second, tag)) for tag in (_THUMBNAIL, _THUMBNAIL_LENGTH))
    if start and length:
        yield min(start, len(block)), min(start + length, len(block))


def _first(block: bytes) -> Directory | None:
    try:
        return read_directory(block, first_offset(block))
    except BrokenExif:
        return None


def _sub(block: bytes, tag: int) -> Directory | None:
    at = _integer(block, _find(_first(block), tag))
    try:
        return None if at is None else read_directory(block, at)
    except BrokenExif:
        return None


def _find(directory: Directory | None, tag: int) -> Entry | None:
    return next((entry for entry in directory.entries if entry.tag == tag), None) if directory else None


def _integer(block: bytes, entry: Entry | None) -> int | None:
    if entry is None or entry.length != 1 or entry.kind not in (_SHORT, _LONG, 13):
        return None
    code = "H" if entry.kind == _SHORT else "I"
    return struct.unpack_from(byte_order(block) + code, block, entry.value_at)[0]


def _rational(block: bytes, entry: Entry | None) -> float | None:
    if entry is None or entry.length != 1 or entry.kind != _RATIONAL:
        return None
    above, below = struct.unpack_from(byte_order(block) + "II", block, entry.value_at)
    return above / below if below else None


def _put_integer(block: bytearray, entry: Entry, value: int) -> None:
    """Write a SHORT or LONG into its entry; a SHORT that is too small becomes a LONG."""
    if entry.length != 1 or entry.kind not in (_SHORT, _LONG):
        return
    order = byte_order(block)
    kind = _LONG if value > 0xFFFF else entry.kind
    struct.pack_into(order + "H", block, entry.at + 2, kind)
    struct.pack_into(order + ("H" if kind == _SHORT else "I"), block, entry.at + 8, value)
