"""A batch run: locks the folder, plans, resumes, works through the pictures, records and reports."""

from __future__ import annotations

import datetime
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import torch

import restorekit
from restorekit.batch.chain import Chain, NetworkThread
from restorekit.batch.lock import locked
from restorekit.batch.manifest import History, Manifest, Record, read_history
from restorekit.batch.options import BatchOptions
from restorekit.batch.pipeline import Pipeline, PixelBudget, checksum
from restorekit.batch.plan import Plan, Shard, make_plan
from restorekit.batch.report import Entry, Preview, Summary, write_report
from restorekit.batch.workers import Listener, Silent, Stop, work_through
from restorekit.errors import OutputError, UsageError
from restorekit.files import remove_leftovers
from restorekit.inference import Runtime
from restorekit.registry import Registry

__all__ = ["Result", "manifest_path", "plan_run", "run"]

#: Pixels decoded at any time; each costs up to about 30 bytes while floats are computed from it.
PIXELS_IN_FLIGHT = 64_000_000

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


def manifest_path(output: Path, shard: Shard | None = None) -> Path:
    """Return where a run's manifest is."""
    return output / f"manifest{(shard or Shard()).suffix}.jsonl"


def plan_run(inputs: Sequence[str | os.PathLike[str]], output: Path, options: BatchOptions) -> tuple[Plan, History]:
    """Plan a run (its shard's part) in the light of what earlier runs into the same folder did."""
    own = manifest_path(output, options.shard)
    history = read_history(own)
    for path in sorted(output.glob("manifest*.jsonl")) if output.is_dir() else ():
        if path != own:
            history.absorb(read_history(path))
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
    chain: Chain,
    *,
    settings: Mapping[str, Any],
    runtime: Runtime,
    registry: Registry,
    stop: Stop | None = None,
    together: int = 1,
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
    chain : Chain
        What is done to each picture.
    settings : mapping
        What of the chain decides an output's bytes; JSON values.
    runtime : Runtime
        What the chain runs on.
    registry : Registry
        The generators, to name their plugins.
    stop : Stop, optional
        Ends the run early; the chain may watch it too.
    together : int
        Pictures that a chain which is not concurrent is given at once.
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
    OutputError
        The folder is in use by another run, or nothing can be written any more.
    """
    begun, started = time.perf_counter(), datetime.datetime.now().astimezone()
    listener, stop = listener or Silent(), stop or Stop()
    settings = {**options.settings(), **settings}
    plan, history = plan_run(inputs, output, options)  # before anything is created
    _refuse_other_settings(output, history, settings, options)
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(output, f"cannot be created ({error.strerror})", "choose another -o") from error
    path, tag = manifest_path(output, options.shard), options.shard.suffix
    with locked(output, options.shard):
        plan, history = plan_run(inputs, output, options)  # again: another run may just have ended
        listener.planned(plan)
        remove_leftovers(sorted({(output / item.output).parent for item in plan.items}), tag)
        with Manifest(path, history.intact) as manifest, stop.on_signals():
            _conclude_intents(manifest, history, output)
            header = {"settings": settings, "command": command, "started": started.isoformat(timespec="seconds")}
            manifest.open_run({**header, **_circumstances(runtime, registry)})
            network = NetworkThread(chain, together)
            pipeline = Pipeline(
                output=output,
                chain=chain,
                network=network,
                registry=registry,
                settings=settings,
                budget=PixelBudget(PIXELS_IN_FLIGHT),
                options=options,
                write_masks=write_masks,
                on_unexpected=on_unexpected,
            )
            try:
                records, previews = work_through(
                    pipeline,
                    manifest,
                    plan.items,
                    history.records,
                    listener,
                    stop,
                    workers=options.workers,
                    previews_wanted=PREVIEWS if options.report else 0,
                )
            finally:
                network.close()
    unreadable = [Record(input=str(p), output="", status="failed", reason=reason) for p, reason in plan.unreadable]
    everything = (*(records[item.name] for item in plan.items if item.name in records), *unreadable)
    counts = {status: sum(r.status == status for r in everything) for status in ("done", "skipped", "failed")}
    seconds = round(time.perf_counter() - begun, 3)
    report = output / f"report{tag}.html"
    if options.report and (counts["done"] or counts["failed"] or not report.exists()):
        summary = Summary(
            title=f"{len(everything)} pictures",
            command=command,
            version=restorekit.__version__,
            started=started.strftime("%Y-%m-%d %H:%M:%S"),
            seconds=seconds,
            device=str(runtime.device),
            precision=runtime.precision,
            ignored=len(plan.ignored),
            ignored_files=[str(file) for file in plan.ignored],
            **counts,
        )
        sources = {item.name: item.source for item in plan.items}
        entries = [_entry(record, sources, output, previews) for record in everything]
        write_report(report, summary, entries, limit=PREVIEWS)
    return Result(
        **counts,
        ignored=len(plan.ignored),
        seconds=seconds,
        output=output,
        manifest=path,
        report=report if report.exists() else None,
        records=everything,
        interrupted=stop.signal,
    )


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


def _entry(record: Record, sources: Mapping[str, Path], output: Path, previews: Mapping[str, Preview]) -> Entry:
    source = sources.get(record.input)
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
