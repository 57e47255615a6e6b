"""What a run did, and the report of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import restorekit
from restorekit.batch.manifest import Record, started
from restorekit.batch.plan import Plan
from restorekit.batch.report import Entry, Preview, Summary, write_report

__all__ = ["PREVIEWS", "Result", "count", "report_on"]

#: Pictures that get thumbnails in the report.
PREVIEWS = 200


@dataclass(frozen=True, slots=True)
class Result:
    """What a run did.

    Parameters
    ----------
    done, skipped, failed, ignored : int
        Pictures by outcome (skipped: an earlier run did them), and files that are no pictures.
    seconds : float
        The whole run.
    output, manifest, report : Path
        Where things are; ``report`` is ``None`` where there is none.
    records : tuple of Record
        One a picture, in the order of the plan.
    interrupted : int
        The signal that ended the run early; 0 for none.
    workers_lost : int
        Worker processes that ended before their work was done. What they had was given to others.
    """

    done: int
    skipped: int
    failed: int
    ignored: int
    seconds: float
    output: Path
    manifest: Path
    report: Path | None
    records: tuple[Record, ...]
    interrupted: int = 0
    workers_lost: int = 0


def count(records: Sequence[Record]) -> dict[str, int]:
    """Count records by outcome."""
    return {status: sum(record.status == status for record in records) for status in ("done", "skipped", "failed")}


def report_on(
    path: Path,
    header: Mapping[str, Any],
    plan: Plan,
    records: Sequence[Record],
    previews: Mapping[str, Preview],
    seconds: float,
) -> None:
    """Write the report of a run.

    Parameters
    ----------
    path : Path
        The report, beside the outputs.
    header : mapping
        The line of the manifest that opened the run.
    plan : Plan
        Where the pictures come from.
    records : sequence of Record
        What became of them.
    previews : mapping
        Small pictures that are made already, by input.
    seconds : float
        How long it took.

    Raises
    ------
    OutputError
        The file cannot be written.
    """
    summary = Summary(
        title=f"{len(records)} pictures",
        command=header["command"],
        version=restorekit.__version__,
        started=started(header).strftime("%Y-%m-%d %H:%M:%S"),
        seconds=seconds,
        device=header["device"],
        precision=header["precision"],
        ignored=len(plan.ignored),
        ignored_files=[str(file) for file in plan.ignored],
        **count(records),
    )
    sources = {item.name: item.source for item in plan.items}
    entries = [_entry(record, sources.get(record.input), path.parent, previews) for record in records]
    write_report(path, summary, entries, limit=PREVIEWS)


def _entry(record: Record, source: Path | None, output: Path, previews: Mapping[str, Preview]) -> Entry:
    target = output / record.output
    return Entry(
        input=record.input,
        output=record.output,
        status=record.status,  # pyright: ignore[reportArgumentType]
        reason=record.reason,
        steps=record.steps,
        seconds=record.seconds,
        warnings=record.warnings,
        input_path=source.absolute() if source else None,
        output_path=target.absolute() if record.status != "failed" else None,
        preview=previews.get(record.input),
    )
