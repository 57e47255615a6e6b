"""Lets competitors restore the pictures of one table, one after another, and gathers their rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from restorekit.errors import PictureError
from restorekit.evaluation.benchmarking.competitors import Competitor
from restorekit.evaluation.benchmarking.crops import Shown, choose, crops
from restorekit.evaluation.benchmarking.judging import Judge
from restorekit.evaluation.benchmarking.pictures import Prepared, load
from restorekit.evaluation.benchmarking.processes import Machine, Restored, alarms_beside, restore_apart
from restorekit.evaluation.benchmarking.result import Row
from restorekit.inference.arrays import convert

__all__ = ["UNTOUCHED", "Bench", "Listener", "Silent"]

#: The name of the row that is the damaged picture itself.
UNTOUCHED = "(as degraded)"

_SECONDS = "after one picture to warm up, without reading and writing files, per megapixel of the result"
_MEMORY = "of a process of its own, resident while loading and restoring, beyond the same process before"
_CUDA_MEMORY = "of a process of its own, as torch allocated it on the device"


class Listener(Protocol):
    """Is told how a benchmark goes on."""

    def progress(self, what: str, done: int, total: int) -> None:
        """So many pictures of a stage are done."""
        ...

    def finished(self, row: Row) -> None:
        """A competitor is measured, or has failed."""
        ...


class Silent:
    """A listener that says nothing."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Say nothing."""

    def finished(self, row: Row) -> None:
        """Say nothing."""


@dataclass
class Bench:
    """What the rows of a table share.

    Parameters
    ----------
    prepared : Prepared
        The pictures.
    judge : Judge
        Measures results.
    floating : bool
        Whether damaged pictures are floats that may lie beyond [0, 1].
    machine : Machine
        Where competitors run.
    listener : Listener
        Is told of progress.
    folder : Path
        For results.
    """

    prepared: Prepared
    judge: Judge
    floating: bool
    machine: Machine
    listener: Listener
    folder: Path
    chosen: dict[str, str] = field(default_factory=dict)
    machine_facts: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, str | int | float | bool | None]:
        """Return the protocol of the whole table."""
        facts = dict(self.judge.facts())
        facts |= {
            "depth": self.prepared.depth,
            "pictures": len(self.prepared.samples),
            "pictures_sha256": self.prepared.sha256,
        }
        if self.machine_facts:
            on_cpu = self.machine_facts["device"] == "cpu"
            facts |= {**self.machine_facts, "seconds": _SECONDS, "memory": _MEMORY if on_cpu else _CUDA_MEMORY}
        return facts

    def row(self, number: int, competitor: Competitor, keeping: bool) -> Row:
        """Let one competitor restore everything, and measure it."""
        own = self.folder / str(number)
        own.mkdir()
        restored = self._restored(competitor, own)
        self.machine_facts = self.machine_facts or restored.facts
        scores, failed = {}, list(restored.failed)
        for sample in self.prepared.samples:
            if restored.error or sample.name not in restored.paths:
                continue
            try:
                scores[sample.name] = self.judge.measure(restored.paths[sample.name], sample)
            except PictureError as error:
                failed.append((sample.name, error.reason))
        if scores and not self.chosen:
            self.chosen = self._extremes(scores)
        for name, path in restored.paths.items():
            if not keeping or name not in self.chosen:
                path.unlink()
                alarms_beside(path).unlink(missing_ok=True)
        row = _row(competitor, restored, scores, failed)
        self.listener.finished(row)
        return row

    def shown(self, rows: Sequence[Row]) -> list[Shown]:
        """Cut the crops of the worst, the median and the best picture."""
        numbers = {sample.name: number for number, sample in enumerate(self.prepared.samples)}
        found = []
        for name, what in self.chosen.items():
            sample = self.prepared.samples[numbers[name]]
            results = {
                row.generator: self.judge.seen(path, sample)
                for number, row in enumerate(rows)
                if (path := self.folder / str(number) / f"{numbers[name]:06d}-restored.npy").exists()
                and name in row.scores
            }
            results.pop(UNTOUCHED, None)  # the damaged picture is shown anyway
            scores = {row.generator: row.scores[name] for row in rows if name in row.scores}
            scores["degraded"] = scores.pop(UNTOUCHED, {})
            found.append(crops(name, what, load(sample.degraded), results, load(sample.clean), scores))
        return found

    def _restored(self, competitor: Competitor, folder: Path) -> Restored:
        samples = self.prepared.samples
        if competitor.steps:
            return restore_apart(
                competitor,
                samples,
                folder,
                floating=self.floating,
                machine=self.machine,
                told=lambda done, total: self.listener.progress(competitor.name, done, total),
                detecting=self.judge.detecting,
            )
        paths = {}
        for number, sample in enumerate(samples):
            paths[sample.name] = folder / f"{number:06d}-restored.npy"
            np.save(paths[sample.name], convert(load(sample.degraded), load(sample.clean).dtype), allow_pickle=False)
        return Restored(paths=paths)

    def _extremes(self, scores: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        metric = next(iter(next(iter(scores.values()))))
        values = {name: own[metric] for name, own in scores.items() if metric in own}
        return choose(values, self.judge.higher_is_better(metric))


def _row(
    competitor: Competitor,
    restored: Restored,
    scores: Mapping[str, Mapping[str, float]],
    failed: Sequence[tuple[str, str]],
) -> Row:
    error = restored.error
    if not error and not scores:
        name, reason = failed[0]
        error = f"no picture could be measured: {name}: {reason}"
    return Row(
        generator=competitor.name,
        scores=scores,
        seconds_per_megapixel=restored.seconds / restored.pixels * 1e6 if restored.pixels and not error else None,
        peak_bytes=None if error else restored.peak_bytes,
        baseline=competitor.baseline,
        steps=restored.steps,
        weights=restored.weights,
        masked=restored.masked,
        failed=failed,
        error=error,
    )
