"""What the commands that work on folders share: running with progress, telling the result, printing a plan."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from restorekit.cli.console import Progress, print_json, print_line, print_table, say

if TYPE_CHECKING:
    from restorekit.batch.options import BatchOptions
    from restorekit.batch.results import Result

__all__ = ["format_name", "print_plan", "run_with_progress"]


def run_with_progress(start: Callable[..., Result], as_json: bool, verb: str) -> None:
    """Call ``start(listener=..., command=..., on_unexpected=...)``, tell the result and end with its status."""
    progress = Progress(verb)
    try:
        result = start(
            listener=progress,
            command=shlex.join(["restorekit", *sys.argv[1:]]),
            on_unexpected=traceback.print_exception if os.environ.get("RESTOREKIT_DEBUG") else lambda error: None,
        )
    finally:
        progress.close()
    _tell(result, verb)
    if as_json:
        print_json(
            {
                "done": result.done,
                "skipped": result.skipped,
                "failed": result.failed,
                "ignored": result.ignored,
                "seconds": result.seconds,
                "output": str(result.output),
                "manifest": str(result.manifest),
                "report": str(result.report) if result.report else None,
            }
        )
    if result.interrupted:
        raise typer.Exit(128 + result.interrupted)
    if result.failed:
        raise typer.Exit(1)


def _tell(result: Result, verb: str) -> None:
    alone = sum(record.status == "done" and not record.steps for record in result.records)
    parts = [f"{result.done - alone} {verb}"]
    parts += [f"{alone} left as they are"] * bool(alone)
    parts += [f"{result.skipped} done before"] * bool(result.skipped)
    parts += [f"{result.failed} failed"] * bool(result.failed)
    parts += [f"{result.ignored} other files ignored"] * bool(result.ignored)
    say(f"{', '.join(parts)} in {result.seconds:.1f} s; results in {result.output}")
    if result.report:
        say(f"look at {result.report}")
    if result.interrupted:
        say("interrupted; run the same command again to go on")


def print_plan(inputs: Sequence[str], output: Path, options: BatchOptions, as_json: bool) -> None:
    """Print what a run would do."""
    from restorekit.batch.run import plan_run

    plan, history = plan_run(inputs, output, options)
    rows: list[dict[str, Any]] = [
        {
            "input": str(item.source),
            "output": str(output / item.output),
            "mask": str(item.mask) if item.mask else None,
            "before": history.records[item.name].status if item.name in history.records else None,
        }
        for item in plan.items
    ]
    ignored = [str(path) for path in plan.ignored]
    unreadable = [{"path": str(path), "reason": reason} for path, reason in plan.unreadable]
    if as_json:
        print_json({"pictures": rows, "ignored": ignored, "unreadable": unreadable})
        return
    print_table(["input", "output", "mask", "before"], [[value or "-" for value in row.values()] for row in rows])
    for path in ignored:
        print_line(f"ignored: {path}")
    for trouble in unreadable:
        print_line(f"unreadable: {trouble['path']}: {trouble['reason']}")
    say(f"{len(rows)} pictures, {len(ignored)} other files ignored; nothing was written")


def format_name(name: str | None) -> str | None:
    """Take a format by its name or any of its suffixes."""
    from restorekit.images import format_of_extension

    return None if name is None else format_of_extension(f".{name.lower()}") or name
