"""What the commands share in printing: JSON and tables to stdout, progress and messages to stderr."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from restorekit.batch.manifest import Record
    from restorekit.batch.plan import Plan

__all__ = ["Progress", "print_json", "print_line", "print_table", "say"]


def say(line: str) -> None:
    """Print a message for people."""
    print(_printable(line, sys.stderr), file=sys.stderr, flush=True)


def print_line(line: str) -> None:
    """Print one line of a result to stdout."""
    print(_printable(line, sys.stdout))


def print_json(value: Any) -> None:
    """Print a value for programs: JSON, alone on stdout."""
    print(json.dumps(value, indent=2))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout, as wide as its content where it is piped."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(_printable(str(cell), sys.stdout)) for cell in row))
    Console(width=None if sys.stdout.isatty() else 240, highlight=False).print(table)


def _printable(text: str, stream: TextIO) -> str:
    """Replace what a stream cannot show: file names may be any bytes, and terminals know few characters."""
    encoding = stream.encoding or "utf-8"
    return text.encode(encoding, errors="replace").decode(encoding)


class Progress:
    """Shows how a run goes on: a live bar on a terminal, a line now and then elsewhere.

    Parameters
    ----------
    verb : str
        What happens to the pictures, such as ``"restored"``.
    every : float
        Seconds between lines where there is no terminal.
    """

    def __init__(self, verb: str, every: float = 10.0):
        self._verb = verb
        self._every = every
        self._total = 0
        self._counts = {"done": 0, "skipped": 0, "failed": 0}
        self._bar: Any = None
        self._task: Any = None
        self._begun = self._told = time.monotonic()

    def planned(self, plan: Plan) -> None:
        """Start the bar."""
        for path, reason in plan.unreadable:
            say(f"failed: {path}: {reason}")
        self._total = len(plan.items)
        self._begun = self._told = time.monotonic()
        if sys.stderr.isatty():
            from rich import progress
            from rich.console import Console

            self._bar = progress.Progress(
                progress.TextColumn("{task.description}"),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[rate]}"),
                progress.TimeRemainingColumn(),
                console=Console(stderr=True),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(self._verb, total=self._total, rate="")

    def finished(self, record: Record) -> None:
        """Count one picture; name it if it failed."""
        self._counts[record.status] += 1
        finished = sum(self._counts.values())
        now = time.monotonic()
        rate = finished / max(now - self._begun, 1e-6)
        if record.status == "failed":
            self.warned(f"failed: {record.input}: {record.reason}")
        if self._bar is not None:
            self._bar.update(self._task, completed=finished, rate=f"{rate:.1f} pictures/s")
        elif now - self._told >= self._every and finished < self._total:
            self._told = now
            left = (self._total - finished) / rate
            say(f"{finished} of {self._total} pictures {self._verb}, {rate:.1f} a second, about {left:.0f} s left")

    def working(self, name: str, done: float) -> None:
        """Tell how far a generator is that takes long over each picture."""
        now = time.monotonic()
        if self._bar is not None:
            self._bar.update(self._task, rate=f"{_printable(name, sys.stderr)}: {done:.0%}")
        elif now - self._told >= self._every:
            self._told = now
            say(f"{name}: {done:.0%}")

    def warned(self, line: str) -> None:
        """Say something that does not wait for the end."""
        if self._bar is None:
            say(line)
        else:
            self._bar.console.print(_printable(line, sys.stderr), markup=False, highlight=False)

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
