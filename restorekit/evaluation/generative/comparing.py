"""Sets a saved benchmark of samplers beside a new one, and says where their numbers do not mean the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restorekit.errors import UsageError
from restorekit.evaluation.benchmarking.comparing import read_benchmark as read_any
from restorekit.evaluation.generative.result import GenerativeBenchmark, Row
from restorekit.evaluation.protocol import differences

__all__ = ["Line", "compared", "protocol_differences", "read_benchmark"]

#: Facts that are told of a generator, and are not how it was measured.
_RESULTS = {"probe_features", "probe_penalty"}


@dataclass(frozen=True)
class Line:
    """One number, then and now.

    Parameters
    ----------
    generator, metric : str
        What it is of.
    before, now : float
        The number.
    """

    generator: str
    metric: str
    before: float
    now: float


def read_benchmark(path: Path) -> dict[str, Any]:
    """Read what a benchmark of samplers saved.

    Raises
    ------
    UsageError
        The file cannot be read, or holds something else.
    """
    record = read_any(path)
    if not all(isinstance(row.get("protocol"), dict) for row in record["rows"]):
        way_out = "give a file that `restorekit benchmark --save` wrote for generators that make pictures"
        raise UsageError(path, "is no benchmark of generators that make pictures", way_out)
    return record


def protocol_differences(result: GenerativeBenchmark, earlier: Mapping[str, Any]) -> list[str]:
    """List why numbers of two benchmarks mean different things, once each.

    Every measure states the same facts each time, so one that only one of the benchmarks states belongs to a measure
    that the other does not have.
    """
    found: list[str] = []
    for row, old in _pairs(result, earlier):
        then = {**earlier["protocol"], **old["protocol"]}
        unshared = row.facts.keys() ^ then.keys()
        lists = {name for name in row.facts if name.endswith("_metrics")}
        found += differences(row.facts, then, ignoring=unshared | lists | _RESULTS)
    return list(dict.fromkeys(found))


def compared(result: GenerativeBenchmark, earlier: Mapping[str, Any]) -> list[Line]:
    """Return the numbers that both benchmarks have, generator by generator.

    Rows belong together by name; two benchmarks of one generator each are of the same one under two names, or of two
    that somebody wants to compare.

    Raises
    ------
    UsageError
        There are none.
    """
    lines = [
        Line(row.generator, name, old[name], value)
        for row, old in _pairs(result, earlier)
        for name, value in row.values.items()
        if isinstance(old.get(name), (int, float))
    ]
    if not lines:
        raise UsageError("--compare", "the two benchmarks have no number in common", "ask for the same metrics")
    return lines


def _pairs(result: GenerativeBenchmark, earlier: Mapping[str, Any]) -> Iterator[tuple[Row, Mapping[str, Any]]]:
    rows = [row for row in result.rows if not row.error]
    theirs = [row for row in earlier["rows"] if not row.get("error")]
    if len(rows) == len(theirs) == 1:
        yield rows[0], theirs[0]
        return
    named = {row["generator"]: row for row in theirs}
    for row in rows:
        if row.generator in named:
            yield row, named[row.generator]
