"""Makes one manifest of those of several shards, and one report."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restorekit.batch.lock import locked
from restorekit.batch.manifest import History, manifest_path, read_history, read_lines, started
from restorekit.batch.plan import Plan, Shard, make_plan
from restorekit.batch.results import count, report_on
from restorekit.errors import OutputError, RestorekitError, UsageError
from restorekit.files import replace_file, sync_folder

__all__ = ["Merged", "merge_manifests"]


@dataclass(frozen=True, slots=True)
class Merged:
    """What was merged.

    Parameters
    ----------
    done, failed : int
        Pictures of all shards.
    manifest, report : Path
        Where they are; ``report`` is ``None`` where none was asked for.
    merged : tuple of str
        The manifests that are now one, by name.
    missing : tuple of str
        Shards, such as ``"3/8"``, of which there is no manifest.
    """

    done: int
    failed: int
    manifest: Path
    report: Path | None
    merged: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(slots=True)
class _Run:
    """The lines of one run: a stretch of a manifest."""

    path: Path
    header: Mapping[str, Any]
    start: int
    size: int = 0
    digest: Any = field(default_factory=hashlib.sha256)


def merge_manifests(output: Path, *, report: bool = True) -> Merged:
    """Merge the manifests of a folder's shards into ``manifest.jsonl``.

    A manifest is a sequence of runs. The merged one has the runs of all, line for line, in the order in which they
    began; so the last result of a picture is still the one that counts. The shards' manifests are deleted after it is
    safely on disk: until then, and wherever a crash comes in between, resuming reads the same from what is there.

    Parameters
    ----------
    output : Path
        The folder, with the manifests of all shards.
    report : bool
        Write ``report.html`` of all shards; pictures are shown where the inputs are still where they were.

    Raises
    ------
    UsageError
        There is nothing to merge, or shards ran with different settings.
    OutputError
        A shard is still running, a manifest has another schema or is none, or the folder cannot be written.
    """
    if not output.is_dir():
        raise UsageError(output, "is no folder", "give the folder that the shards wrote to")
    with locked(output, Shard()):
        whole = manifest_path(output)
        shards = [path for path in sorted(output.glob("manifest*.jsonl")) if path != whole]
        if not shards:
            raise UsageError(output, "holds no manifest of a shard", "run `restorekit restore --shard i/n` first")
        paths = [whole, *shards] if whole.exists() else shards
        history = _agreeing([(path, read_history(path)) for path in paths])
        runs = _in_order(paths)
        replace_file(whole, _lines(runs))
        for path in shards:
            path.unlink()
        sync_folder(output)
        written = output / "report.html"
        if report:
            _report(written, history)
    counts = count(list(history.records.values()))
    return Merged(
        done=counts["done"],
        failed=counts["failed"],
        manifest=whole,
        report=written if report else None,
        merged=tuple(path.name for path in paths),
        missing=_missing(runs),
    )


def _agreeing(histories: Sequence[tuple[Path, History]]) -> History:
    """Put the histories together, or refuse where results that count are of different settings."""
    together = History()
    for _, history in histories:
        together.absorb(history)
    counting = [
        (path, history.settings or {})
        for path, history in histories
        if any(together.records[name] is record for name, record in history.records.items())
    ]
    for (first, ours), (path, theirs) in itertools.pairwise(counting):
        changed = [key for key in {**ours, **theirs} if ours.get(key) != theirs.get(key)]
        if changed:
            told = (f"{key} {ours.get(key)} in {first.name}, {theirs.get(key)} in {path.name}" for key in changed)
            problem = f"holds shards with different settings ({', '.join(told)})"
            raise UsageError(path.parent, problem, "run the odd ones again with --overwrite")
    return together


def _in_order(paths: Sequence[Path]) -> list[_Run]:
    """Return the runs of all manifests in the order in which they began, each once."""
    runs: list[_Run] = []
    for path in paths:
        position = 0
        for raw, line in read_lines(path):
            if line is not None and line["kind"] == "run":
                runs.append(_Run(path, line, position))
            position += len(raw)
            runs[-1].size += len(raw)
            runs[-1].digest.update(raw)
    # A merge that was cut short has copied runs of shards whose manifests are still there.
    unique: dict[bytes, _Run] = {}
    for run in runs:
        unique.setdefault(run.digest.digest(), run)
    return sorted(unique.values(), key=lambda run: started(run.header))


def _lines(runs: Sequence[_Run]) -> Iterator[bytes]:
    for run in runs:
        with run.path.open("rb") as file:
            file.seek(run.start)
            left = run.size
            while left:
                chunk = file.read(min(left, 1 << 20))
                if not chunk:
                    raise OutputError(run.path, "became shorter while it was read", "merge again")
                left -= len(chunk)
                yield chunk


def _report(path: Path, history: History) -> None:
    records = sorted(history.records.values(), key=lambda record: record.input)
    try:
        plan = make_plan(history.header["inputs"], path.parent)
    except (KeyError, RestorekitError):  # the inputs are elsewhere by now: the pictures are listed without being shown
        plan = Plan(())
    seconds = sum(record.seconds for record in records)
    report_on(
        path, {**history.header, "command": f"restorekit manifest merge {path.parent}"}, plan, records, {}, seconds
    )


def _missing(runs: Sequence[_Run]) -> tuple[str, ...]:
    there = {Shard.parse(run.header["shard"]) for run in runs if run.header.get("shard")}
    expected = [Shard(index, count) for count in sorted({s.count for s in there}) for index in range(1, count + 1)]
    return tuple(str(shard) for shard in expected if shard not in there)
