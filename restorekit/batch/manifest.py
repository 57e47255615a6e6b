"""The record of a batch run: JSON Lines, appended and synced, so that a run can be killed at any moment and resumed.

A *header* line opens each run. For each picture an *intent* line is written before its output is renamed into place,
and a *result* line after it: a crash between the two is recognised by the output's checksum. A picture that failed
has a result line only.
"""

from __future__ import annotations

import contextlib
import datetime
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from restorekit.batch.plan import Shard
from restorekit.errors import OutputError

__all__ = [
    "SCHEMA",
    "History",
    "Manifest",
    "Record",
    "manifest_path",
    "read_histories",
    "read_history",
    "read_lines",
    "started",
]

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
    header : mapping
        The line that opened the last run; empty where there was none.
    records : dict
        The last result of each input.
    intents : dict
        By input: renames of which no result is known.
    intact : int
        Bytes of this manifest up to the end of its last whole line.
    """

    header: Mapping[str, Any] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    intents: dict[str, Record] = field(default_factory=dict)
    intact: int = 0
    _recorded: dict[str, datetime.datetime] = field(default_factory=dict)

    @property
    def settings(self) -> Mapping[str, Any] | None:
        """Of the last run; ``None`` where there was none."""
        return self.header.get("settings")

    def absorb(self, other: History) -> None:
        """Add what another manifest of the same folder says; of two results the later run's counts."""
        if not self.header or started(other.header) > started(self.header):
            self.header = other.header
        for name, record in other.records.items():
            if name not in self.records or other._recorded[name] > self._recorded[name]:
                self.records[name] = record
                self._recorded[name] = other._recorded[name]
        self.intents |= other.intents

    def take(self, line: Mapping[str, Any]) -> None:
        """Add one parsed line of a manifest of this schema."""
        kind = line["kind"]
        if kind == "run":
            self.header = line
            return
        record = Record.from_line(line)
        if kind == "intent":
            self.intents[record.input] = record
        elif kind == "result":
            self.records[record.input] = record
            self._recorded[record.input] = started(self.header)
            self.intents.pop(record.input, None)


def started(header: Mapping[str, Any]) -> datetime.datetime:
    """Return when the run of a header began; of no run, before all others."""
    text = header.get("started")
    return (
        datetime.datetime.fromisoformat(text) if text else datetime.datetime.min.replace(tzinfo=datetime.timezone.utc)
    )


def manifest_path(output: Path, shard: Shard | None = None) -> Path:
    """Return where a run's manifest is."""
    return output / f"manifest{(shard or Shard()).suffix}.jsonl"


def read_histories(output: Path, shard: Shard) -> History:
    """Read a shard's manifest in ``output`` and add what the folder's other manifests say."""
    own = manifest_path(output, shard)
    history = read_history(own)
    for path in sorted(output.glob("manifest*.jsonl")) if output.is_dir() else ():
        if path != own:
            history.absorb(read_history(path))
    return history


def read_history(path: Path) -> History:
    """Read a manifest; a torn last line, as a crash leaves it, is passed over.

    Raises
    ------
    OutputError
        The file is no manifest, or was written by a later version.
    """
    history = History()
    for raw, line in read_lines(path):
        if line is not None:
            with contextlib.suppress(TypeError, KeyError, ValueError):  # no record of ours after all
                history.take(line)
        history.intact += len(raw)
    return history


def read_lines(path: Path) -> Iterator[tuple[bytes, Mapping[str, Any] | None]]:
    """Yield a manifest's whole lines as they are and parsed; nothing where there is no file.

    A line torn by a crash and continued by a later run comes as ``None``: it is one line of a manifest, not its end.

    Raises
    ------
    OutputError
        The file is no manifest, or was written by a later version.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return
    except OSError as error:
        raise OutputError(path, f"cannot be read ({error.strerror})", "check its permissions") from error
    first = True
    with file:
        for raw in file:
            if not raw.endswith(b"\n"):
                return
            line = _parsed(raw)
            if first and (line is None or line["kind"] != "run"):
                raise OutputError(path, "is no restorekit manifest", "move it away or choose another -o")
            if line is not None and line["kind"] == "run" and line["schema"] != SCHEMA:
                problem = f"has schema {line['schema']}, this restorekit reads {SCHEMA}"
                raise OutputError(path, problem, "choose another -o")
            yield raw, line
            first = False


def _parsed(raw: bytes) -> Mapping[str, Any] | None:
    try:
        line = json.loads(raw)
        needed = ("schema", "settings") if line["kind"] == "run" else ("input",)
        return line if all(key in line for key in needed) else None
    except (ValueError, TypeError, KeyError):
        return None


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
