"""Results that are kept as they come, so that a measurement can be interrupted, taken in pieces, and looked at."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

__all__ = ["Kept", "Values", "take_turns"]

#: What one turn of a contestant gives: seconds, memory.
Values = Mapping[str, float]


class Kept:
    """Turns by case, round and contestant, in a file of JSON lines.

    Lines that were measured under other conditions stay in the file and count for nothing.

    Parameters
    ----------
    path : Path, optional
        The file; without one, turns are kept in memory alone.
    conditions : mapping
        What has to be the same for results to belong together.
    """

    def __init__(self, path: Path | None, conditions: Mapping[str, Any]):
        self._path = path
        self._conditions = dict(conditions)
        self._turns: list[dict[str, Any]] = []
        if path is not None and path.exists():
            self._turns = [turn for turn in _lines(path) if turn["conditions"] == self._conditions]

    def add(self, case: str, number: float, contestant: str, values: Values) -> None:
        """Keep a turn, on disk before this returns."""
        turn = {"conditions": self._conditions, "case": case, "round": number, "contestant": contestant, **values}
        self._turns.append(turn)
        if self._path is not None:
            with self._path.open("a+b") as file:
                broken = file.tell() > 0 and _last(file) != b"\n"  # its writer was killed
                file.write(b"\n" * broken + json.dumps(turn).encode() + b"\n")

    def beside(self, case: str, contestant: str, reference: str) -> list[tuple[Values, Values]]:
        """Return a contestant's turns, each with that of the reference in the same round."""
        own, theirs = (
            {turn["round"]: turn for turn in self._turns if (turn["case"], turn["contestant"]) == (case, name)}
            for name in (contestant, reference)
        )
        return [(own[number], theirs[number]) for number in own if number in theirs]


def _last(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:  # the last one, of a run that was killed
            print(f"{path}: left out a line that is no JSON", file=sys.stderr)


def take_turns(
    kept: Kept,
    case: str,
    contestants: Mapping[str, Callable[[], Values]],
    reference: str,
    rounds: int,
    until: float | None = None,
) -> None:
    """Let contestants take turns until each has so many rounds beside the reference.

    Whatever is slow on a busy machine is slow for all of a round, so a round that was broken off is not gone on with:
    those that it lacks get another one, with the reference's own turn in it.

    Parameters
    ----------
    kept : Kept
        Has what was measured before, and takes what is.
    case : str
        What they all do.
    contestants : mapping
        What is timed, by name.
    reference : str
        The one that others are compared with.
    rounds : int
        Wanted of each.
    until : float, optional
        No round begins after this time (`time.monotonic`).
    """
    while late := missing(kept, case, contestants, reference, rounds):
        if until is not None and time.monotonic() > until:
            print(f"{case}: time is up; the same command goes on", file=sys.stderr)
            return
        number = time.time()
        for name in (reference, *(name for name in late if name != reference)):
            values = contestants[name]()
            kept.add(case, number, name, values)
            print(f"{case}: {name}: {values['wall']:.2f} s", file=sys.stderr, flush=True)


def missing(kept: Kept, case: str, names: Mapping[str, Any] | Sequence[str], reference: str, rounds: int) -> list[str]:
    """Name those that have fewer rounds than are wanted."""
    return [name for name in names if len(kept.beside(case, name, reference)) < rounds]
