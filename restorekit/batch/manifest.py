"""The record of a batch run: JSON Lines, appended and synced, so that a run can be killed at any moment and resumed.

A *header* line opens each run. For each picture an *intent* line is written before its output is renamed into place,
and a *result* line after it: a crash between the two is recognised by the output's checksum. A picture that failed
has a result line only.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from restorekit.errors import OutputError

__all__ = ["SCHEMA", "History", "Manifest", "Record", "read_history"]

#: Version of the manifest's lines; a header with another number is not resumed from.
SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What became of one picture: a result line.

    Parameters
    ----------
    input, output : str
        Relative to the input root and to OUT, with ``/``.
    status : str
        ``"done"``, ``"failed"``; ``"skipped"`` only in what a run reports, never in the file.
    reason : str
        Why it failed, was skipped or left alone.
    steps : sequence of mapping
        ``{"step", "reason", "plugin"}``, in order; empty for a byte-for-byte copy.
    input_sha256, output_sha256, mask_sha256 : str
        Hexadecimal checksums of the files.
    weights_sha256 : mapping
        From a step, as it is written, to the checksum of the weights file that it ran with.
    settings : mapping
        The run's settings that decide the output's bytes.
    seconds : float
        From decoding to encoding.
    warnings : sequence of str
        What the user should know.
    input_size, input_mtime_ns, output_size : int
        To see without reading a file whether it changed.
    """

    input: str
    output: str
    status: str
    reason: str = ""
    steps: Sequence[Mapping[str, str]] = ()
    input_sha256: str = ""
    output_sha256: str = ""
    mask_sha256: str = ""
    weights_sha256: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: Sequence[str] = ()
    input_size: int = 0
    input_mtime_ns: int = 0
    output_size: int = 0

    @classmethod
    def from_line(cls, line: Mapping[str, Any]) -> Record:
        """Build from a parsed line; fields of later versions are passed over."""
        known = cls.__dataclass_fields__
        return cls(**{key: value for key, value in line.items() if key in known})


@dataclass(slots=True)
class History:
    """What earlier runs into the same folder recorded.

    Parameters
    ----------
    settings : mapping or None
        Of the last run; ``None`` where there was none.
    records : dict
        The last result of each input.
    intents : dict
        By input: renames of which no result is known.
    intact : int
        Bytes of this manifest up to the end of its last whole line.
    """

    settings: Mapping[str, Any] | None = None
    records: dict[str, Record] = field(default_factory=dict)
    intents: dict[str, Record] = field(default_factory=dict)
    intact: int = 0

    def absorb(self, other: History) -> None:
        """Add what another shard recorded."""
        self.settings = self.settings or other.settings
        self.records |= other.records
        self.intents |= other.intents


def read_history(path: Path) -> History:
    """Read a manifest; a torn last line, as a crash leaves it, is passed over.

    Raises
    ------
    OutputError
        The file is no manifest, or was written by a later version.
    """
    history = History()
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return history
    except OSError as error:
        raise OutputError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    for raw in data.splitlines(keepends=True):
        if not raw.endswith(b"\n"):
            break
        try:
            line = json.loads(raw)
            _take(history, line)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            # A line torn by a crash and continued by a later run is one line of a manifest, not the end of it.
            if history.intact == 0:
                raise OutputError(path, "is no restorekit manifest", "move it away or choose another -o") from error
        history.intact += len(raw)
    return history


def _take(history: History, line: Mapping[str, Any]) -> None:
    kind = line["kind"]
    if kind == "run":
        if line["schema"] != SCHEMA:
            raise OutputError(
                "manifest", f"has schema {line['schema']}, this restorekit reads {SCHEMA}", "choose another -o"
            )
        history.settings = line["settings"]
    elif kind == "intent":
        record = Record.from_line(line)
        history.intents[record.input] = record
    elif kind == "result":
        record = Record.from_line(line)
        history.records[record.input] = record
        history.intents.pop(record.input, None)


class Manifest:
    """Appends lines to a manifest; each `append` is on disk when it returns.

    Parameters
    ----------
    path : Path
        The file; created when missing.
    intact : int
        Bytes to keep; what a crash tore off behind them is cut away.
    """

    def __init__(self, path: Path, intact: int):
        self.path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
            os.ftruncate(self._fd, intact)
            os.lseek(self._fd, 0, os.SEEK_END)
        except OSError as error:
            raise _cannot_write(path, error) from error

    def open_run(self, header: Mapping[str, Any]) -> None:
        """Write the line that opens a run."""
        self.append([{"kind": "run", "schema": SCHEMA, **header}])

    def intend(self, records: Iterable[Record]) -> None:
        """Record outputs that are about to be renamed into place."""
        self.append([{"kind": "intent", **asdict(record)} for record in records])

    def conclude(self, records: Iterable[Record]) -> None:
        """Record results."""
        self.append([{"kind": "result", **asdict(record)} for record in records])

    def append(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """Write lines and sync them; either all are kept or, when the disk is full, none.

        Raises
        ------
        OutputError
            The file cannot be written.
        """
        if not lines:
            return
        data = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines).encode()
        start = os.lseek(self._fd, 0, os.SEEK_CUR)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fsync(self._fd)
        except OSError as error:
            os.ftruncate(self._fd, start)
            os.lseek(self._fd, start, os.SEEK_SET)
            raise _cannot_write(self.path, error) from error

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _cannot_write(path: Path, error: OSError) -> OutputError:
    return OutputError(path, f"cannot be written ({error.strerror})", "free some space or check the permissions")
