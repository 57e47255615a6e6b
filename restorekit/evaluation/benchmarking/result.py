"""What a benchmark found: a table for people, for Markdown, and JSON for programs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from restorekit.evaluation.folders import written
from restorekit.evaluation.intervals import average, interval
from restorekit.evaluation.protocol import Facts, described

if TYPE_CHECKING:
    from restorekit.evaluation.benchmarking.crops import Shown

__all__ = ["MACHINE_FACTS", "Benchmark", "Row"]

#: Facts of the time and the memory alone: numbers of quality may be compared where these differ.
MACHINE_FACTS = ("device", "precision", "threads", "seconds", "memory", "published")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one competitor reached.

    Parameters
    ----------
    generator : str
        As it was asked for.
    scores : mapping
        From a picture's name to its metrics.
    seconds_per_megapixel : float, optional
        Of the restored pictures.
    peak_bytes : int, optional
        Memory beyond that of a process which has loaded nothing.
    baseline : bool
        Whether it was added for comparison.
    steps : sequence of str
        What was done to the first picture.
    weights : mapping of str to str
        Checksums of weights files, by step.
    masked : bool
        Whether it was told where the damage is.
    failed : sequence of (str, str)
        Pictures that were not restored or measured, with the reason.
    error : str
        Why there are no numbers.
    """

    generator: str
    scores: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    seconds_per_megapixel: float | None = None
    peak_bytes: int | None = None
    baseline: bool = False
    steps: Sequence[str] = ()
    weights: Mapping[str, str] = field(default_factory=dict)
    masked: bool = False
    failed: Sequence[tuple[str, str]] = ()
    error: str = ""

    def values(self, metric: str) -> list[float]:
        """Return one metric of all pictures that have it."""
        return [scores[metric] for scores in self.scores.values() if metric in scores]

    @property
    def metrics(self) -> list[str]:
        """The metrics, in the order in which they were first met."""
        return list(dict.fromkeys(metric for scores in self.scores.values() for metric in scores))

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric; infinite PSNRs, of equal pictures, are left out."""
        return {metric: average(self.values(metric)) for metric in self.metrics}

    @property
    def trouble(self) -> str:
        """What is wrong with the row, in one line."""
        if self.error or not self.failed:
            return self.error
        name, reason = self.failed[0]
        return f"without {len(self.failed)} of {len(self.failed) + len(self.scores)} pictures: {name}: {reason}"

    def record(self) -> dict[str, Any]:
        """Return JSON's types; what is infinite or not known is ``None``."""
        return {
            "generator": self.generator,
            **{metric: _finite(value) for metric, value in self.mean.items()},
            "seconds_per_megapixel": self.seconds_per_megapixel,
            "peak_bytes": self.peak_bytes,
            "intervals": {metric: [_finite(end) for end in interval(self.values(metric))] for metric in self.metrics},
            "baseline": self.baseline,
            "steps": list(self.steps),
            "weights": dict(self.weights),
            "mask": "given" if self.masked else "not given",
            "pictures": [
                {
                    "name": name,
                    **{metric: _finite(value) for metric, value in scores.items()},
                    **({"identical": True} if math.inf in scores.values() else {}),
                }
                for name, scores in self.scores.items()
            ],
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed],
            "error": self.error or None,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """One table.

    Parameters
    ----------
    protocol : mapping
        How all numbers were computed.
    data : str
        The pictures' name.
    degradation : str
        What was done to them.
    rows : sequence of Row
        The competitors, those that were asked for first.
    failed : sequence of (str, str)
        Clean pictures that could not be used, with the reason.
    shown : sequence of Shown
        Crops of the worst, the median and the best picture, for the report.
    published : sequence of mapping
        Rows of numbers from papers, in JSON's types.
    """

    protocol: Facts
    data: str
    degradation: str
    rows: Sequence[Row]
    failed: Sequence[tuple[str, str]] = ()
    shown: Sequence[Shown] = ()
    published: Sequence[Mapping[str, Any]] = ()

    @property
    def complete(self) -> bool:
        """Whether every competitor was measured on every picture."""
        return not self.failed and not any(row.trouble for row in self.rows)

    @property
    def metrics(self) -> list[str]:
        """The columns of numbers."""
        return list(dict.fromkeys(metric for row in self.rows for metric in row.metrics))

    @property
    def columns(self) -> list[str]:
        """The table's head."""
        trouble = ["trouble"] if any(row.trouble for row in self.rows) else []
        return ["generator", *self.metrics, "s/megapixel", "peak memory", *trouble]

    def cells(self) -> list[list[str]]:
        """Return the table for people, one line a row."""
        rows = [
            [
                row.generator,
                *(_number(metric, row.mean.get(metric)) for metric in self.metrics),
                _seconds(row.seconds_per_megapixel),
                _bytes(row.peak_bytes),
                row.trouble,
            ]
            for row in self.rows
        ]
        rows += [
            [
                f"{row['generator']} (published)",
                *(_number(metric, row.get(metric)) for metric in self.metrics),
                "",
                "",
                "",
            ]
            for row in self.published
        ]
        return [cells[: len(self.columns)] for cells in rows]

    def markdown(self) -> str:
        """Return the table in Markdown, the protocol under it."""
        columns = self.columns
        lines = [columns, ["---" if name in ("generator", "trouble") else "---:" for name in columns], *self.cells()]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        return f"{table}\n\n{self.data}: {described({**self.protocol, 'pictures_sha256': None})}"

    def record(self) -> dict[str, Any]:
        """Return JSON's types: ``{"protocol", "data", "degradation", "rows", "failed"}``."""
        return {
            "protocol": dict(self.protocol),
            "data": self.data,
            "degradation": self.degradation,
            "rows": [*(row.record() for row in self.rows), *map(dict, self.published)],
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed],
        }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _number(metric: str, value: float | None) -> str:
    return "-" if value is None else written(metric.removesuffix("_mask"), value)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _bytes(value: int | None) -> str:
    return "-" if value is None else f"{value / 2**20:,.0f} MiB"
