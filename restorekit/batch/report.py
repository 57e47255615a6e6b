"""Writes the report of a batch run: one HTML file that shows what happened to each picture, and opens anywhere.

Pictures, styles and script are inside the file and a content security policy forbids everything else, so it works from
disk, without a network, and still does after the folder has been moved.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from restorekit import images
from restorekit.batch.previews import Preview, preview
from restorekit.errors import RestorekitError
from restorekit.files import replace_file

__all__ = ["Entry", "Preview", "Summary", "preview", "write_report"]

#: Ignored files that are named; the others are only counted.
IGNORED_NAMED = 1000
#: Pictures decoded at the same time where their previews are still to be made.
READERS = 4
#: What cannot be shown as text, or would show a name as another one: control characters get their symbols; bytes of a
#: file name that are no UTF-8 (Python keeps them as halves of surrogate pairs) and marks that turn the direction of
#: writing get the replacement character. Right-to-left names need no marks.
UNPRINTABLE = {code: 0x2400 + code for code in range(0x20) if chr(code) not in "\t\n\r"} | {0x7F: 0x2421}
for first, last in ((0x80, 0x9F), (0x202A, 0x202E), (0x2066, 0x2069), (0xD800, 0xDFFF), (0xFFFE, 0xFFFF)):
    UNPRINTABLE.update(dict.fromkeys(range(first, last + 1), 0xFFFD))


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One picture of the run.

    Parameters
    ----------
    input, output : str
        Names as the run's manifest has them, relative to its roots.
    status : str
        ``"done"``, ``"skipped"`` or ``"failed"``.
    reason : str
        Why it failed, was skipped or left alone, in plain words.
    steps : sequence of mapping
        What was done, in order: ``{"step": ..., "reason": ...}``; empty where the picture was left as it was.
    seconds : float
        Time spent on it.
    notes, warnings : sequence of str
        What is good to know, and what should be looked at.
    input_path, output_path : Path, optional
        The files, to link to them and to take thumbnails from.
    preview : Preview, optional
        Made while the pictures were in memory; saves decoding them again.
    """

    input: str
    output: str
    status: Literal["done", "skipped", "failed"]
    reason: str = ""
    steps: Sequence[Mapping[str, str]] = ()
    seconds: float = 0.0
    notes: Sequence[str] = ()
    warnings: Sequence[str] = ()
    input_path: Path | None = None
    output_path: Path | None = None
    preview: Preview | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """The run as a whole.

    Parameters
    ----------
    title : str
        Heading of the report.
    command : str
        The command line that made the run.
    version, device, precision : str
        Of restorekit, and what it ran on.
    started : str
        When, as it shall be shown.
    seconds : float
        How long the run took.
    done, skipped, failed, ignored : int
        Counts of pictures, and of files that are no pictures.
    ignored_files : sequence of str
        Names of the latter.
    """

    title: str
    command: str
    version: str
    started: str
    seconds: float
    device: str
    precision: str
    done: int
    skipped: int
    failed: int
    ignored: int = 0
    ignored_files: Sequence[str] = ()


class Item(NamedTuple):
    """An entry with what the page shows of it."""

    entry: Entry
    preview: Preview | None
    input_link: str
    output_link: str


class Groups(NamedTuple):
    """The entries in the order of the page, each in one group."""

    failed: list[Item]
    illustrated: list[Item]
    listed: list[Item]
    unchanged: list[Item]
    skipped: list[Item]


def write_report(
    path: Path, summary: Summary, entries: Sequence[Entry], *, thumbnail: int = 480, limit: int = 200
) -> None:
    """Write the report of a run as one self-contained HTML file, complete or not at all.

    Parameters
    ----------
    path : Path
        The file; an older one is replaced.
    summary : Summary
        The run as a whole.
    entries : sequence of Entry
        Its pictures.
    thumbnail : int
        Longest side of the thumbnails in pixels, where they are made here.
    limit : int
        Pictures that are shown; the others are listed by name. Those with a ready preview come first, the most
        changed ones before the others, then an even choice of the rest.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    groups = _grouped(entries, _previews(entries, thumbnail, limit), Path(os.path.abspath(path.parent)))  # noqa: PTH100
    page = _environment().get_template("report.html.j2")
    style, script = (_source(f"report.{kind}") for kind in ("css", "js"))
    chunks = page.generate(
        summary=summary,
        groups=groups,
        counts=_counts(groups),
        ignored_files=summary.ignored_files[:IGNORED_NAMED],
        style=Markup(style),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )
    replace_file(path, (chunk.encode() for chunk in chunks))


def _previews(entries: Sequence[Entry], thumbnail: int, limit: int) -> dict[int, Preview | None]:
    """Return the previews to show by index of their entry; ``None`` for pictures that cannot be read any more."""
    worked_on = [index for index, entry in enumerate(entries) if entry.steps and entry.status != "failed"]
    ready = {index: made for index in worked_on if (made := entries[index].preview) is not None}
    shown: dict[int, Preview | None] = {
        index: ready[index] for index in sorted(ready, key=lambda index: -ready[index].change)[:limit]
    }
    rest = [
        index for index in worked_on if index not in ready and entries[index].input_path and entries[index].output_path
    ]
    # What this run made goes before what an earlier one did.
    for status in ("done", "skipped"):
        candidates = _spread([index for index in rest if entries[index].status == status], limit - len(shown))
        with ThreadPoolExecutor(READERS) as readers:
            made = readers.map(lambda index: _read_preview(entries[index], thumbnail), candidates)
            shown.update(zip(candidates, made, strict=True))
    return shown


def _spread(indices: list[int], count: int) -> list[int]:
    """Choose ``count`` of the indices, evenly spread."""
    count = min(max(count, 0), len(indices))
    return [indices[place * len(indices) // count] for place in range(count)]


def _read_preview(entry: Entry, thumbnail: int) -> Preview | None:
    if entry.input_path is None or entry.output_path is None:
        return None
    try:
        return preview(images.read(entry.input_path), images.read(entry.output_path), thumbnail=thumbnail)
    except (RestorekitError, OSError, MemoryError):
        return None  # moved or damaged since: the run is over, its report shall come all the same


def _grouped(entries: Sequence[Entry], previews: Mapping[int, Preview | None], folder: Path) -> Groups:
    groups = Groups([], [], [], [], [])
    for index, entry in enumerate(entries):
        output = None if entry.status == "failed" else entry.output_path
        item = Item(entry, previews.get(index), _link(entry.input_path, folder), _link(output, folder))
        if entry.status == "failed":
            groups.failed.append(item)
        elif index in previews:
            groups.illustrated.append(item)
        elif entry.status == "skipped":
            groups.skipped.append(item)
        elif entry.steps:
            groups.listed.append(item)
        else:
            groups.unchanged.append(item)
    return groups


def _counts(groups: Groups) -> dict[str, int]:
    """Count what each filter of the page shows."""
    entries = [item.entry for group in groups for item in group]
    statuses = [entry.status for entry in entries]
    return {
        "all": len(entries),
        "done": statuses.count("done"),
        "unchanged": len(groups.unchanged),
        "skipped": statuses.count("skipped"),
        "failed": statuses.count("failed"),
        "warned": sum(bool(entry.warnings) for entry in entries),
    }


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("restorekit.batch"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_printable,
    )
    environment.filters.update(duration=_duration, image=_data_uri)
    return environment


def _source(name: str) -> str:
    """Return a file beside the template with the line ends that a browser, too, gives a script before hashing it."""
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _printable(value: object) -> object:
    return value.translate(UNPRINTABLE) if type(value) is str else value


def _duration(seconds: float) -> str:
    """Write a time span as people read it."""
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 0.995 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def _data_uri(encoded: bytes) -> str:
    kind = "webp" if encoded.startswith(b"RIFF") else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(encoded).decode()}"


def _link(path: Path | None, folder: Path) -> str:
    """Return a URL for the file: relative below the report's folder, so that the whole can be moved."""
    if path is None:
        return ""
    path = Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow the user's links out of the folder
    if path.is_relative_to(folder):
        return "./" + quote(os.fsencode(path.relative_to(folder).as_posix()))
    return path.as_uri()
