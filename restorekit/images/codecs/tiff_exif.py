"""EXIF in and out of TIFF files, where it is not a block of its own but spread over the file's directories."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Literal

from restorekit.images import exif

__all__ = ["exif_of_tiff", "order_of", "with_exif"]

_EXIF_IFD, _GPS_IFD, _INTEROP_IFD = 0x8769, 0x8825, 0xA005
_POINTERS = (_EXIF_IFD, _GPS_IFD)
_DESCRIPTION = 0x010E

#: Tags of the first directory that describe the picture and not how the file stores it.
_DESCRIPTIVE = {
    *(0x010D, _DESCRIPTION, 0x010F, 0x0110, 0x0131, 0x0132, 0x013B, 0x013C),  # names, camera, software, date, author
    *(0x4746, 0x4749, 0x8298, *range(0x9C9B, 0x9CA0)),  # rating, copyright, Windows' own
}


def exif_of_tiff(data: bytes, at: int, *, described: bool) -> bytes:
    """Collect a TIFF's EXIF into one block; empty where there is none, or where the file is a BigTIFF.

    Parameters
    ----------
    data : bytes
        The whole file.
    at : int
        Where the picture's directory is.
    described : bool
        Whether the description is the author's; software keeps the array's shape there.
    """
    kept = _DESCRIPTIVE if described else _DESCRIPTIVE - {_DESCRIPTION}
    try:
        directory = exif.read_directory(data, at)
        wanted = [e for e in directory.entries if e.tag in kept or (e.tag in _POINTERS and _target(data, e))]
    except exif.BrokenExif:
        return b""
    head = struct.pack(order_of(data) + "2sHI", data[:2], 42, 8)
    return head + _collected(data, wanted, 8) if wanted else b""


def _collected(data: bytes, entries: Iterable[exif.Entry], base: int, depth: int = 2) -> bytes:
    """Write entries as a directory at ``base``, followed by their values and the directories they point to."""
    order = order_of(data)
    by_tag = {entry.tag: entry for entry in entries}
    table, values = [], b""
    first = base + 2 + 12 * len(by_tag) + 4
    for tag in sorted(by_tag):
        entry = by_tag[tag]
        place = struct.pack(order + "I", first + len(values))
        target = _target(data, entry) if tag in (*_POINTERS, _INTEROP_IFD) and depth else None
        if target:
            values += _collected(data, target.entries, first + len(values), depth - 1)
        elif entry.size > 4:
            values += data[entry.value_at : entry.value_at + entry.size]
            values += b"\0" * (len(values) % 2)
        else:
            place = data[entry.value_at : entry.value_at + 4].ljust(4, b"\0")
        table.append(struct.pack(order + "HHI", tag, entry.kind, entry.length) + place)
    return struct.pack(order + "H", len(table)) + b"".join(table) + bytes(4) + values


def order_of(block: bytes) -> Literal["<", ">"]:
    """Return the byte order that a TIFF must have to hold this block."""
    return ">" if block.startswith(b"MM") else "<"


def with_exif(data: bytes, block: bytes) -> bytes:
    """Append the block to a TIFF of the same byte order, and link its tags into a new first directory.

    A BigTIFF is returned as it is: its directories have another layout.
    """
    if not block or data[2:4] not in (b"*\0", b"\0*"):
        return data
    order = order_of(block)
    own = exif.read_directory(data, exif.first_offset(data))
    base = len(data) + len(data) % 2
    moved = _moved(block, base)
    # Entries are 12 bytes that begin with the tag; the new directory comes last in the file.
    entries = {entry.tag: data[entry.at : entry.at + 12] for entry in own.entries}
    for entry in exif.read_directory(block, exif.first_offset(block)).entries:
        if entry.tag in _DESCRIPTIVE or (entry.tag in _POINTERS and _target(block, entry)):
            entries.setdefault(entry.tag, moved[entry.at : entry.at + 12])
    parts = [data.ljust(base, b"\0"), moved.ljust(len(moved) + len(moved) % 2, b"\0")]
    first = sum(map(len, parts))
    parts += [struct.pack(order + "H", len(entries)), *(entries[tag] for tag in sorted(entries))]
    parts.append(struct.pack(order + "I", own.link))
    joined = bytearray(b"".join(parts))
    struct.pack_into(order + "I", joined, 4, first)
    return bytes(joined)


def _moved(block: bytes, base: int) -> bytes:
    """Add ``base`` to every offset in the block's first, EXIF, GPS and interoperability directories."""
    order = order_of(block)
    changed = bytearray(block)
    seen: set[int] = set()
    waiting = [exif.read_directory(block, exif.first_offset(block))]
    for directory in waiting:
        for entry in directory.entries:
            if entry.size > 4:
                struct.pack_into(order + "I", changed, entry.at + 8, entry.value_at + base)
            elif entry.tag in (*_POINTERS, _INTEROP_IFD):
                target = _target(block, entry)
                if target is not None and target.at not in seen:
                    seen.add(target.at)
                    waiting.append(target)
                    struct.pack_into(order + "I", changed, entry.at + 8, target.at + base)
    return bytes(changed)


def _target(block: bytes, entry: exif.Entry) -> exif.Directory | None:
    """Return the directory that an entry points to, where it can be read."""
    if entry.length != 1 or entry.size != 4:
        return None
    (at,) = struct.unpack_from(order_of(block) + "I", block, entry.value_at)
    try:
        return exif.read_directory(block, at)
    except exif.BrokenExif:
        return None
