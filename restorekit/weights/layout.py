"""The safetensors container, checked before anything in it is believed: sizes, names, dtypes, shapes, offsets.

The safetensors library reads the tensors; it is not asked before this module has found that what a file claims is what
the file holds. On its own it lets through names given twice, names that drive a terminal, shapes whose strides
overflow, and dtypes it cannot hand to torch.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["DTYPES", "Entry", "Layout", "LayoutError", "brief", "header_length", "parse_json", "parse_layout"]

#: Bytes of the little-endian number that a file begins with: the length of its header.
PREFIX = 8

#: Longer headers are refused unread: 4 MiB describe some thirty thousand tensors.
MAX_HEADER = 4 * 2**20

#: What weights may be stored as, with the bytes of one value.
DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}

_MAX_AXES = 8
_MAX_DEPTH = 24
_METADATA = "__metadata__"


class LayoutError(Exception):
    """The bytes are no sound safetensors file; the text says why, without naming the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a tensor is and what it is.

    Parameters
    ----------
    dtype : str
        A key of `DTYPES`.
    shape : tuple of int
        Its axes.
    begin, end : int
        Its bytes, counted from the end of the header.
    """

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def count(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """What a safetensors file holds.

    Parameters
    ----------
    entries : mapping
        From a tensor's name to where it is; together they cover everything behind the header, once.
    metadata : mapping of str to str
        The free part of the header.
    start : int
        Where the header ends.
    """

    entries: Mapping[str, Entry]
    metadata: Mapping[str, str]
    start: int


def header_length(prefix: bytes, file_size: int) -> int:
    """Read how long the header is that follows the first eight bytes.

    Raises
    ------
    LayoutError
        It cannot be so long: the file ends before, or nobody needs that much.
    """
    if len(prefix) < PREFIX:
        raise LayoutError("is empty" if not prefix else "is cut off after its first bytes")
    length = int.from_bytes(prefix, "little")
    if length > file_size - PREFIX:
        raise LayoutError("is cut off, or is no safetensors file")
    if length > MAX_HEADER:
        raise LayoutError(f"has a header of {length} bytes, where {MAX_HEADER} are plenty")
    return length


def parse_layout(header: bytes, file_size: int) -> Layout:
    """Check and take apart a header.

    Parameters
    ----------
    header : bytes
        The JSON between the length and the tensors.
    file_size : int
        Bytes of the whole file.

    Raises
    ------
    LayoutError
        Anything is not as the format wants it.
    """
    table = parse_json(header, "its header")
    if not isinstance(table, dict):
        raise LayoutError("is no safetensors file: its header is no table")
    metadata = table.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
        raise LayoutError("has metadata that are not texts")
    start = PREFIX + len(header)
    entries = {name: _entry(name, value) for name, value in table.items()}
    if not entries:
        raise LayoutError("holds no tensors")
    _require_cover(entries, file_size - start)
    return Layout(entries, metadata, start)


def parse_json(text: bytes | str, what: str) -> Any:
    """Parse JSON from a stranger: no name twice, no NaN or infinity, no lone surrogate, no deep nesting.

    Raises
    ------
    LayoutError
        Says that ``what`` is at fault.
    """
    try:
        decoded = text.decode() if isinstance(text, bytes) else text
        decoded.encode()
        value = json.loads(
            decoded, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_finite, parse_int=_integer
        )
        _require_plain(value)
    except RecursionError:
        raise LayoutError(f"is damaged: {what} is nested too deeply") from None
    except UnicodeError:
        raise LayoutError(f"is damaged: {what} is not UTF-8") from None
    except json.JSONDecodeError as error:
        raise LayoutError(f"is damaged: {what} is no JSON (at character {error.pos})") from None
    except ValueError as error:
        raise LayoutError(f"is damaged: {what} {error}") from None
    return value


def brief(text: str) -> str:
    """Quote a text from a file: on one line, in plain characters, not too long."""
    return ascii(text if len(text) <= 80 else f"{text[:60]}...{text[-15:]}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise ValueError(f"has {brief(name)} twice")
        table[name] = value
    return table


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"has {brief(text)}, which is no number")
    return number


def _integer(text: str) -> int:
    if len(text) > 20:  # nothing counts that far, and long numbers take long to parse
        raise ValueError(f"has {brief(text)}, which is out of range")
    return int(text)


def _require_plain(value: Any) -> None:
    """Refuse what is nested deeper than anyone's configuration, and texts that no file can hold."""
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > _MAX_DEPTH:
            raise RecursionError
        following: list[Any] = []
        for item in level:
            if isinstance(item, str):
                item.encode()
            elif isinstance(item, dict):
                following += item.keys()
                following += item.values()
            elif isinstance(item, list):
                following += item
        level = following


def _entry(name: str, value: Any) -> Entry:
    if not name or len(name) > 512 or not name.isprintable():
        raise LayoutError(f"has a tensor with the name {brief(name)}")
    if not isinstance(value, dict) or set(value) != {"dtype", "shape", "data_offsets"}:
        raise LayoutError(f"describes its tensor {brief(name)} in another way than safetensors does")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise LayoutError(
            f"has tensor {brief(name)} in dtype {brief(str(dtype))}, which is none of {', '.join(DTYPES)}"
        )
    if not _counts(shape) or len(shape) > _MAX_AXES or math.prod(max(axis, 1) for axis in shape) >= 2**60:
        raise LayoutError(f"has tensor {brief(name)} in the shape {brief(str(shape))}")
    if not _counts(offsets) or len(offsets) != 2:
        raise LayoutError(f"has tensor {brief(name)} at {brief(str(offsets))}")
    entry = Entry(dtype, tuple(shape), offsets[0], offsets[1])
    if entry.end - entry.begin != entry.count * DTYPES[dtype]:
        raise LayoutError(f"gives tensor {brief(name)} {entry.end - entry.begin} bytes for {shape} of {dtype}")
    return entry


def _counts(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**60 for value in values)


def _require_cover(entries: Mapping[str, Entry], size: int) -> None:
    """Refuse gaps, overlaps and ends that are not the file's."""
    position = 0
    for name, entry in sorted(entries.items(), key=lambda pair: (pair[1].begin, pair[1].end)):
        if entry.begin != position:
            kind = "overlaps another" if entry.begin < position else "leaves a gap before it"
            raise LayoutError(f"is damaged: tensor {brief(name)} {kind}")
        position = entry.end
    if position != size:
        raise LayoutError("is cut off" if position > size else f"has {size - position} bytes behind its tensors")
