"""What benchmarks found of a weights file, in the form in which its header keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from restorekit.errors import UsageError
from restorekit.evaluation.benchmarking.comparing import read_benchmark
from restorekit.evaluation.benchmarking.result import MACHINE_FACTS
from restorekit.evaluation.protocol import described
from restorekit.weights.files import file_sha256, read_header
from restorekit.weights.header import Metric
from restorekit.weights.packing import PACKED_FROM

__all__ = ["measured"]

#: What rows hold besides metrics, and facts that say nothing of quality.
_BESIDES = {"seconds_per_megapixel", "peak_bytes"}
#: By what a loss is told: of restorers and of detectors.
_JUDGED = ("psnr", "f1")
_LEFT_OUT = {*MACHINE_FACTS, "pictures_sha256", "weights_sha256"}


def measured(weights: Path, benchmarks: Sequence[Path]) -> list[Metric]:
    """Collect what saved benchmarks say of a weights file.

    Where a benchmark holds the file that this one was packed from, too, what packing cost is a metric as well. Of
    benchmarks that differ in nothing but ``--precision`` the first says how good the weights are, and what the others
    lose against the one in fp32 is a metric, too.

    Parameters
    ----------
    weights : Path
        The file.
    benchmarks : sequence of Path
        JSON, as ``restorekit benchmark --save`` writes it.

    Raises
    ------
    NotAvailable
        It is no weights file.
    UsageError
        A benchmark cannot be read, or measured other weights than this very file.
    """
    sha256 = file_sha256(weights)
    origin = str(read_header(weights).training.get(PACKED_FROM, ""))
    metrics: list[Metric] = []
    by_precision: dict[tuple[str, str, str], dict[str, Mapping[str, Any]]] = {}
    for path in benchmarks:
        document = read_benchmark(path)
        rows = {checksum: row for row in document.get("rows", []) if (checksum := _weights_of(row))}
        if sha256 not in rows:
            raise UsageError(path, f"did not measure {weights.name} as it is now", "run the benchmark again")
        row, whole = rows[sha256], rows.get(origin)
        facts = {**document["protocol"], **(row.get("protocol") or {})}
        protocol = described({key: value for key, value in facts.items() if key not in _LEFT_OUT})
        damage = document.get("degradation")
        data = f"{document['data']}, {damage}" if damage else str(document["data"])
        precisions = by_precision.setdefault((protocol, data, str(facts.get("pictures_sha256", ""))), {})
        if not precisions:
            metrics += [Metric(name=name, value=value, protocol=protocol, data=data) for name, value in _numbers(row)]
            if whole is not None:
                metrics += _lost("packing", whole, row, protocol, data)
        precisions[str(facts.get("precision", ""))] = row
    for (protocol, data, _), precisions in by_precision.items():
        exact = precisions.pop("fp32", {})
        metrics += [each for name, row in precisions.items() for each in _lost(name, exact, row, protocol, data)]
    return metrics


def _lost(how: str, better: Mapping[str, Any], row: Mapping[str, Any], protocol: str, data: str) -> Iterator[Metric]:
    for name in _JUDGED:
        if name in better and name in row:
            lost = float(better[name]) - float(row[name])
            yield Metric(name=f"{name} lost by {how}", value=lost, protocol=protocol, data=data)


def _weights_of(row: Mapping[str, Any]) -> str:
    """Return the checksum of the one weights file that a row is about."""
    files = list((row.get("weights") or {}).values()) or [row.get("weights_sha256")]
    return str(files[0] or "") if len(files) == 1 else ""


def _numbers(row: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in row.items():
        if name not in _BESIDES and isinstance(value, int | float) and not isinstance(value, bool):
            yield name, float(value)
