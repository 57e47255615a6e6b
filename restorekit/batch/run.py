"""A batch run: locks the folder, plans, resumes, works through the pictures, records and reports."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import torch

import restorekit
from restorekit.batch.engines.engine import Engine, Order, Task
from restorekit.batch.lock import locked
from restorekit.batch.manifest import History, Manifest, Record, manifest_path, read_histories
from restorekit.batch.options import BatchOptions
from restorekit.batch.output import Committer, Finished
from restorekit.batch.pipeline import checksum
from restorekit.batch.plan import Plan, make_plan
from restorekit.batch.report import Preview
from restorekit.batch.results import PREVIEWS, Result, count, report_on
from restorekit.batch.workers import Listener, Silent, Stop
from restorekit.errors import OutputError, UsageError
from restorekit.files import remove_leftovers
from restorekit.inference import Runtime
from restorekit.registry import Registry

__all__ = ["Result", "plan_run", "run"]


def plan_run(inputs: Sequence[str | os.PathLike[str]], output: Path, options: BatchOptions) -> tuple[Plan, History]:
    """Plan a run (its shard's part) in the light of what earlier runs into the same folder did."""
    history = read_histories(output, options.shard)
    plan = make_plan(
        inputs,
        output,
        masks=options.masks,
        format=options.format,
        known={} if options.overwrite else {record.input: record.output for record in history.records.values()},
    )
    mine = plan.items[options.shard.index - 1 :: options.shard.count]
    return Plan(mine, plan.ignored, plan.unreadable), history


def run(
    inputs: Sequence[str | os.PathLike[str]],
    output: Path,
    options: BatchOptions,
    engine: Engine,
    *,
    settings: Mapping[str, Any],
    registry: Registry,
    write_masks: bool = False,
    listener: Listener | None = None,
    command: str = "",
    on_unexpected: Callable[[BaseException], None] = lambda error: None,
) -> Result:
    """Carry pictures through a chain into a folder.

    Each output is written aside, synced and renamed; an interrupted run goes on where it stopped when it is called
    again with the same arguments.

    Parameters
    ----------
    inputs : sequence of path-like
        Files, folders and glob patterns.
    output : Path
        The folder for outputs, ``manifest.jsonl`` and ``report.html``; created when missing.
    options : BatchOptions
        Files and machine.
    engine : Engine
        Does the work.
    settings : mapping
        What of the chain decides an output's bytes; JSON values.
    registry : Registry
        The generators, to name their plugins.
    write_masks : bool
        Write each picture's mask beside it as ``NAME.mask.png``.
    listener : Listener, optional
        Is told of progress.
    command : str
        Shown in the report.
    on_unexpected : callable
        Is given exceptions that are no `RestorekitError`; the picture fails, the run goes on.

    Returns
    -------
    Result
        Also when the run was interrupted by SIGINT or SIGTERM, after what was begun is safe.

    Raises
    ------
    UsageError
        The request is wrong, or the folder holds a run with other settings.
    NotAvailable
        Something it needs is not here.
    OutputError
        The folder is in use by another run, or nothing can be written any more.
    WorkerError
        No worker process stays alive.
    """
    begun, now = time.perf_counter(), datetime.datetime.now().astimezone()
    listener, stop = listener or Silent(), Stop()
    settings = {**options.settings(), **settings}
    plan, history = plan_run(inputs, output, options)  # before anything is created
    _refuse_other_settings(output, history, settings, options)
    order = Order(output=output, settings=settings, options=options, write_masks=write_masks)
    header = {
        "settings": settings,
        "command": command,
        "started": now.isoformat(timespec="microseconds"),
        "shard": str(options.shard),
        "inputs": [os.path.abspath(path) for path in inputs],  # noqa: PTH100 - links stay as they are
        **_circumstances(engine.runtime, registry),
    }
    path, tag = manifest_path(output, options.shard), options.shard.suffix
    with engine.open(order, stop, on_unexpected) as work:
        try:
            output.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(output, f"cannot be created ({error.strerror})", "choose another -o") from error
        with locked(output, options.shard):
            plan, history = plan_run(inputs, output, options)  # again: another run may just have ended
            listener.planned(plan)
            remove_leftovers(_folders(output, plan), tag)
            with Manifest(path, history.intact) as manifest, stop.on_signals():
                _conclude_intents(manifest, history, output)
                manifest.open_run(header)
                outcome = _Outcome(manifest, listener, stop)
                try:
                    work(_tasks(plan, history, PREVIEWS if options.report else 0), outcome.deliver, outcome.warn)
                finally:
                    outcome.close()
            if outcome.workers_lost:
                remove_leftovers(_folders(output, plan), tag)
    unreadable = [Record(input=str(p), output="", status="failed", reason=reason) for p, reason in plan.unreadable]
    reached = outcome.records
    records = (*(reached[item.name] for item in plan.items if item.name in reached), *unreadable)
    counts = count(records)
    seconds = round(time.perf_counter() - begun, 3)
    report = output / f"report{tag}.html"
    if options.report and (counts["done"] or counts["failed"] or not report.exists()):
        report_on(report, header, plan, records, outcome.previews, seconds)
    return Result(
        **counts,
        ignored=len(plan.ignored),
        seconds=seconds,
        output=output,
        manifest=path,
        report=report if report.exists() else None,
        records=records,
        interrupted=stop.signal,
        workers_lost=outcome.workers_lost,
    )


class _Outcome:
    """Takes what the workers deliver: files are put in place, results recorded and told, previews kept.

    Parameters
    ----------
    manifest : Manifest
        Where results are recorded.
    listener : Listener
        Is told of them.
    stop : Stop
        Set where nothing can be written any more.
    """

    def __init__(self, manifest: Manifest, listener: Listener, stop: Stop):
        self.records: dict[str, Record] = {}
        self.previews: dict[str, Preview] = {}
        self.workers_lost = 0
        self._listener = listener
        self._stop = stop
        self._committer = Committer(manifest, self._concluded)

    def deliver(self, finished: Finished, preview: Preview | None) -> None:
        """Put a picture in place soon."""
        if preview is not None:
            self.previews[finished.record.input] = preview
        self._committer.submit(finished)
        if self._committer.failure is not None:
            self._stop.set()

    def warn(self, line: str) -> None:
        """Pass on that a worker was lost."""
        self.workers_lost += 1
        getattr(self._listener, "warned", lambda line: None)(line)

    def close(self) -> None:
        """Wait until everything delivered is in place."""
        self._committer.close()

    def _concluded(self, record: Record) -> None:
        self.records[record.input] = record
        self._listener.finished(record)


def _tasks(plan: Plan, history: History, previews: int) -> list[Task]:
    """Pair the pictures with what is known of them; so many, evenly spread, are to be shown."""
    every = -(-len(plan.items) // previews) if previews else 0
    return [
        Task(item, history.records.get(item.name), bool(every) and number % every == 0)
        for number, item in enumerate(plan.items)
    ]


def _folders(output: Path, plan: Plan) -> list[Path]:
    return sorted({(output / item.output).parent for item in plan.items})


def _circumstances(runtime: Runtime, registry: Registry) -> dict[str, Any]:
    """Say what a run ran on, for its header."""
    return {
        "restorekit": restorekit.__version__,
        "torch": torch.__version__,
        "opencv": cv2.__version__,
        "device": str(runtime.device),
        "precision": runtime.precision,
        "plugins": {p.name: f"{p.distribution} {p.version}" for p in registry.plugins if p.status == "ok"},
    }


def _conclude_intents(manifest: Manifest, history: History, output: Path) -> None:
    """Finish the records of outputs that a crash left renamed but not recorded."""
    kept = []
    for record in history.intents.values():
        target = output / record.output
        if target.is_file() and checksum(target.read_bytes()) == record.output_sha256:
            kept.append(record)
    manifest.conclude(kept)
    history.records |= {record.input: record for record in kept}


def _refuse_other_settings(output: Path, history: History, settings: Mapping[str, Any], options: BatchOptions) -> None:
    if options.overwrite or history.settings is None or dict(history.settings) == dict(settings):
        return
    changed = [key for key in settings if history.settings.get(key) != settings[key]]
    told = ", ".join(f"{key} {history.settings.get(key)} then, {settings[key]} now" for key in changed)
    raise UsageError(output, f"holds a run with other settings ({told})", "choose another -o, or use --overwrite")
