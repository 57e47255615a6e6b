"""Sets a saved benchmark beside a new one: row by row, and only where the numbers mean the same."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from restorekit.errors import UsageError
from restorekit.evaluation.benchmarking.result import MACHINE_FACTS, Benchmark
from restorekit.evaluation.comparison import Comparison, compare
from restorekit.evaluation.protocol import Facts, differences

__all__ = ["compare_rows", "protocol_differences", "read_benchmark", "require_same_protocol"]

_WAY_OUT = "give a file that `restorekit benchmark --save` wrote"


def read_benchmark(path: Path) -> dict[str, Any]:
    """Read what ``benchmark --save`` or ``--json`` wrote.

    Raises
    ------
    UsageError
        The file cannot be read, or holds something else.
    """
    try:
        record = json.loads(path.read_bytes())
        sound = isinstance(record["protocol"], dict) and all(
            isinstance(row["generator"], str) and isinstance(row.get("pictures", []), list) for row in record["rows"]
        )
    except OSError as error:
        raise UsageError(path, f"cannot be read ({error.strerror})", "check the path") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UsageError(path, "is no benchmark", _WAY_OUT) from error
    if not sound:
        raise UsageError(path, "is no benchmark", _WAY_OUT)
    return record


def protocol_differences(ours: Facts, earlier: Mapping[str, Any]) -> list[str]:
    """List why numbers of two benchmarks mean different things; time and memory are left aside.

    What concerns a metric that only one of them has does not matter; it is named like the metric.
    """
    theirs: Facts = earlier["protocol"]
    metrics = [{name.strip() for name in str(facts.get("metrics", "")).split(",")} for facts in (ours, theirs)]
    return differences(ours, theirs, ignoring={*MACHINE_FACTS, "metrics", *(metrics[0] ^ metrics[1])})


def require_same_protocol(ours: Facts, earlier: Mapping[str, Any]) -> None:
    """Refuse to compare numbers that mean different things.

    Raises
    ------
    UsageError
        They do; the message says in what.
    """
    found = protocol_differences(ours, earlier)
    if found:
        way_out = "measure both in one way, or --force it"
        raise UsageError("--compare", f"the protocols differ: {'; '.join(found)}", way_out)


def compare_rows(result: Benchmark, earlier: Mapping[str, Any]) -> dict[str, Comparison]:
    """Compare, by name, the rows that both benchmarks have, on the pictures that both have.

    Raises
    ------
    UsageError
        There is none.
    """
    theirs = {row["generator"]: row for row in earlier["rows"] if row.get("pictures")}
    found = {
        row.generator: compare(_as_record(row.record()), _as_record(theirs[row.generator]), force=True)
        for row in result.rows
        if row.scores and row.generator in theirs
    }
    if not found:
        raise UsageError("--compare", "the two benchmarks have no row in common", "name the same generators")
    return found


def _as_record(row: Mapping[str, Any]) -> dict[str, Any]:
    metrics = {name for picture in row["pictures"] for name in picture} - {"name", "identical"}
    return {"protocol": {}, "mean": {name: row[name] for name in row if name in metrics}, "pictures": row["pictures"]}
