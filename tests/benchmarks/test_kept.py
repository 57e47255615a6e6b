"""Measurements taken in pieces: every turn is kept, what shared a round is compared, nothing is measured twice."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPOSITORY / "benchmarks"))
    import kept  # pyright: ignore[reportMissingImports]

    return kept


class Contestants:
    """Two that take a second more each time, and remember in which order they were called."""

    def __init__(self, ends_at: int = 100):
        self.called: list[str] = []
        self._ends_at = ends_at
        self._seconds = itertools.count(1.0)

    def __call__(self) -> dict[str, Callable[[], dict[str, float]]]:
        return {name: lambda name=name: self._turn(name) for name in ("ours", "theirs", "others")}

    def _turn(self, name: str) -> dict[str, float]:
        if len(self.called) == self._ends_at:
            raise KeyboardInterrupt
        self.called.append(name)
        return {"wall": next(self._seconds)}


def turns(kept: ModuleType, path: Path | None, contestants: Contestants, rounds: int, **keywords: object) -> Any:
    held = kept.Kept(path, {"size": 1})
    kept.take_turns(held, "case", contestants(), "ours", rounds, **keywords)
    return held


def test_contestants_take_turns_and_are_compared_within_a_round(kept):
    contestants = Contestants()
    held = turns(kept, None, contestants, 2)
    assert contestants.called == ["ours", "theirs", "others"] * 2
    assert [(own["wall"], ours["wall"]) for own, ours in held.beside("case", "others", "ours")] == [(3, 1), (6, 4)]
    assert held.beside("another case", "others", "ours") == []


def test_an_interrupted_measurement_goes_on_and_a_broken_round_compares_nobody(kept, tmp_path):
    path = tmp_path / "turns.jsonl"
    with pytest.raises(KeyboardInterrupt):
        turns(kept, path, Contestants(ends_at=5), 2)  # in the second round, before the last of three
    with path.open("a") as file:
        file.write('{"case": "ca')  # and killed while it wrote
    again = Contestants()
    held = turns(kept, path, again, 2)
    assert again.called == ["ours", "others"], "only who lacks a round has one, beside ours"
    assert {name: len(held.beside("case", name, "ours")) for name in ("ours", "theirs", "others")} == {
        "ours": 3,
        "theirs": 2,
        "others": 2,
    }
    once_more = Contestants()
    turns(kept, path, once_more, 2)
    assert once_more.called == []


def test_what_was_measured_under_other_conditions_stays_and_does_not_count(kept, tmp_path):
    path = tmp_path / "turns.jsonl"
    turns(kept, path, Contestants(), 1)
    other = Contestants()
    kept.take_turns(kept.Kept(path, {"size": 2}), "case", other(), "ours", 1)
    assert len(other.called) == 3
    assert len(path.read_text().splitlines()) == 6


def test_no_round_begins_when_time_is_up(kept, capsys):
    contestants = Contestants()
    turns(kept, None, contestants, 2, until=time.monotonic() - 1)
    assert contestants.called == []
    assert "time is up" in capsys.readouterr().err
