"""What a benchmark of samplers found: a table, the same for Markdown, and JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from restorekit.evaluation.protocol import Facts, described

__all__ = ["GenerativeBenchmark", "Numbers", "Row"]


@dataclass(frozen=True)
class Numbers:
    """Numbers that were measured together, with their protocol.

    Parameters
    ----------
    values : mapping of str to float
        By metric.
    facts : mapping
        How they were computed.
    standard_errors : mapping of str to float, optional
        Of those that have one.
    intervals : mapping of str to tuple of float, optional
        95 % intervals of those that have one.
    notes : sequence of str, optional
        What is good to know about them.
    """

    values: Mapping[str, float]
    facts: Facts
    standard_errors: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """What was measured of one generator.

    Parameters
    ----------
    generator : str
        As it was asked for.
    weights_sha256 : str
        Of its weights file.
    numbers : sequence of Numbers
        Group by group.
    error : str
        Why there are none; ``""`` where all went well.
    """

    generator: str
    weights_sha256: str
    numbers: Sequence[Numbers] = ()
    error: str = ""

    @property
    def values(self) -> dict[str, float]:
        """All numbers by metric."""
        return {name: value for group in self.numbers for name, value in group.values.items()}

    @property
    def standard_errors(self) -> dict[str, float]:
        """By metric, where there is one."""
        return {name: value for group in self.numbers for name, value in group.standard_errors.items()}

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """By metric, where there is one."""
        return {name: ends for group in self.numbers for name, ends in group.intervals.items()}

    @property
    def facts(self) -> dict[str, Any]:
        """The protocol of all numbers."""
        return {name: value for group in self.numbers for name, value in group.facts.items()}


@dataclass(frozen=True)
class GenerativeBenchmark:
    """One table.

    Parameters
    ----------
    data : str
        What the generators were measured by.
    rows : sequence of Row
        In the order they were asked for.
    files : sequence of str
        Sheets of pictures and values of single pictures that were written.
    """

    data: str
    rows: Sequence[Row]
    files: Sequence[str] = ()

    @property
    def failed(self) -> bool:
        """Whether a generator could not be measured."""
        return any(row.error for row in self.rows)

    @property
    def protocol(self) -> dict[str, Any]:
        """The facts that all measured rows share."""
        measured = [row.facts for row in self.rows if not row.error]
        first = measured[0] if measured else {}
        return {k: v for k, v in first.items() if all(k in facts and facts[k] == v for facts in measured)}

    @property
    def notes(self) -> list[str]:
        """What is good to know about the numbers, once each."""
        return list(dict.fromkeys(note for row in self.rows for group in row.numbers for note in group.notes))

    @property
    def columns(self) -> list[str]:
        """The metrics, in the order in which they were first met."""
        return list(dict.fromkeys(name for row in self.rows for name in row.values))

    def cells(self) -> list[list[str]]:
        """Return the table for people: a line a generator, numbers with their standard errors."""
        return [[row.generator, *(_cell(row, name) for name in self.columns)] for row in self.rows]

    def markdown(self) -> str:
        """Return the table in Markdown, the protocol under it."""
        lines = [["generator", *self.columns], ["---", *("---:" for _ in self.columns)], *self.cells()]
        table = "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        return f"{table}\n\n{self.data}: {described(self.protocol)}"

    def own_facts(self, row: Row) -> dict[str, Any]:
        """Return the facts of a row that not all rows share."""
        shared = self.protocol
        return {name: value for name, value in row.facts.items() if name not in shared}

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values: ``{"protocol", "data", "rows", "notes", "files"}``.

        A row is ``{"generator", "weights_sha256", METRIC..., "standard_errors", "intervals", "protocol", "error"}``;
        its own protocol holds what the rows do not share.
        """
        rows = [
            {
                "generator": row.generator,
                "weights_sha256": row.weights_sha256,
                **{name: row.values.get(name) for name in self.columns},
                "standard_errors": row.standard_errors,
                "intervals": {name: list(ends) for name, ends in row.intervals.items()},
                "protocol": self.own_facts(row),
                "error": row.error or None,
            }
            for row in self.rows
        ]
        return {
            "protocol": self.protocol,
            "data": self.data,
            "rows": rows,
            "notes": self.notes,
            "files": list(self.files),
        }


def _cell(row: Row, name: str) -> str:
    if row.error:
        return "failed"
    if name not in row.values:
        return "-"
    value, error = row.values[name], row.standard_errors.get(name)
    return f"{value:.4g}" if error is None else f"{value:.4g} ± {error:.2g}"
