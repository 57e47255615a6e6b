"""Runs a benchmark: damages clean pictures, lets each competitor restore them alone, and measures the results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import NotAvailable, PictureError, UsageError
from restorekit.evaluation.benchmarking.competitors import Competitor, baselines, tasks_of
from restorekit.evaluation.benchmarking.conditions import Conditions
from restorekit.evaluation.benchmarking.crops import Shown, choose, crops
from restorekit.evaluation.benchmarking.pictures import PictureSet, Prepared, Sample, load, prepare
from restorekit.evaluation.benchmarking.processes import Machine, Restored, restore_apart
from restorekit.evaluation.benchmarking.published import published_rows
from restorekit.evaluation.benchmarking.result import Benchmark, Row
from restorekit.evaluation.fidelity import HIGHER_IS_BETTER, Fidelity
from restorekit.evaluation.folders import Metric
from restorekit.evaluation.protocol import Facts
from restorekit.inference.arrays import convert
from restorekit.registry import Registry

__all__ = ["UNTOUCHED", "Listener", "Machine", "Silent", "benchmark"]

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


def benchmark(
    competitors: Sequence[Competitor],
    data: PictureSet,
    conditions: Conditions,
    *,
    registry: Registry,
    with_baselines: bool = True,
    machine: Machine | None = None,
    others: Sequence[Metric] = (),
    show_published: bool = False,
    illustrated: bool = False,
    accepted: Callable[[Facts], None] = lambda facts: None,
    listener: Listener | None = None,
) -> Benchmark:
    """Measure restorers on damaged pictures, one after another, each in a process of its own.

    Parameters
    ----------
    competitors : sequence of Competitor
        Who takes part. One that fails is a row with its reason.
    data : PictureSet
        Clean pictures.
    conditions : Conditions
        The damage and the metrics.
    registry : Registry
        Where baselines are looked for.
    with_baselines : bool, optional
        Add the methods without training that do the task, and the damaged pictures themselves.
    machine : Machine, optional
        Where competitors run.
    others : sequence of Metric, optional
        Further metrics of the whole picture.
    show_published : bool, optional
        Add numbers from papers where there are any for this protocol and these pictures.
    illustrated : bool, optional
        Cut the crops that a report shows.
    accepted : callable, optional
        Is shown the protocol before any competitor runs, and may raise.
    listener : Listener, optional
        Is told of progress.

    Raises
    ------
    UsageError
        The request is wrong: no such generator or degradation, nobody to take part.
    PictureError
        No picture can be used.
    """
    for competitor in competitors:
        _check(registry, competitor)
    listener = listener or Silent()
    with tempfile.TemporaryDirectory(prefix="restorekit-benchmark-") as text:
        folder = Path(text)
        prepared = prepare(data, conditions, folder, lambda done, total: listener.progress("degraded", done, total))
        fidelities = conditions.fidelities(prepared.masked)
        if others and "" not in fidelities:
            raise UsageError("--region", f"mask: {others[0].name} measures whole pictures", "leave one of them out")
        everyone = list(competitors)
        if with_baselines:
            everyone += baselines(
                registry, tasks_of(conditions.recipe, prepared.factor != 1), prepared.factor, everyone
            )
            if prepared.factor == 1:
                everyone.append(Competitor(UNTOUCHED, (), baseline=True))
        if not everyone:
            raise UsageError("benchmark", "nobody takes part", "name a step, or leave --no-baselines out")
        bench = _Bench(prepared, conditions, fidelities, others, machine or Machine(), listener, folder)
        accepted(bench.facts())
        rows = [bench.row(number, each, illustrated) for number, each in enumerate(everyone)]
        shown = bench.shown(rows) if illustrated else []
    return Benchmark(
        protocol=bench.facts(),
        data=data.name,
        degradation=" ".join(conditions.degradation),
        rows=rows,
        failed=prepared.failed,
        shown=shown,
        published=published_rows(conditions.published, data.name) if show_published else (),
    )


def _check(registry: Registry, competitor: Competitor) -> None:
    """Refuse generators that there are not; what is merely not here becomes a row."""
    for step in competitor.steps:
        try:
            registry.spec_of(step)
        except NotAvailable:
            continue


@dataclass
class _Bench:
    """What the rows share."""

    prepared: Prepared
    conditions: Conditions
    fidelities: Mapping[str, Fidelity]
    others: Sequence[Metric]
    machine: Machine
    listener: Listener
    folder: Path
    chosen: dict[str, str] = field(default_factory=dict)
    machine_facts: dict[str, Any] = field(default_factory=dict)

    def facts(self) -> dict[str, str | int | float | bool | None]:
        """Return the protocol of the whole table."""
        facts = dict(self.conditions.facts(self.prepared.masked))
        facts["metrics"] = ", ".join([*self.conditions.metrics, *(metric.name for metric in self.others)])
        for metric in self.others:
            facts |= metric.facts()
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
                scores[sample.name] = self._measured(load(restored.paths[sample.name]), sample)
            except PictureError as error:
                failed.append((sample.name, error.reason))
        if scores and not self.chosen:
            self.chosen = self._extremes(scores)
        for name, path in restored.paths.items():
            if not keeping or name not in self.chosen:
                path.unlink()
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
                row.generator: load(path)
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
                floating=self.conditions.floating,
                machine=self.machine,
                told=lambda done, total: self.listener.progress(competitor.name, done, total),
            )
        paths = {}
        for number, sample in enumerate(samples):
            paths[sample.name] = folder / f"{number:06d}-restored.npy"
            np.save(paths[sample.name], convert(load(sample.degraded), load(sample.clean).dtype), allow_pickle=False)
        return Restored(paths=paths)

    def _measured(self, restored: NDArray[Any], sample: Sample) -> dict[str, float]:
        clean = load(sample.clean)
        mask = None if sample.mask is None else _enlarged(load(sample.mask), clean.shape[:2])
        values: dict[str, float] = {}
        for suffix, fidelity in self.fidelities.items():
            if suffix and (mask is None or not fidelity.cropped(mask).any()):
                continue  # damage that comes by chance has spared this picture
            values |= {name + suffix: value for name, value in fidelity.measure(restored, clean, mask).items()}
            if not suffix and self.others:
                pair = fidelity.cropped(restored), fidelity.cropped(clean)
                values |= {metric.name: metric.measure(*pair) for metric in self.others}
        return values

    def _extremes(self, scores: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
        metric = next(iter(next(iter(scores.values()))))
        higher = metric.removesuffix("_mask") in HIGHER_IS_BETTER
        return choose({name: values[metric] for name, values in scores.items() if metric in values}, higher)


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


def _enlarged(mask: NDArray[np.bool_], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bring a damaged picture's mask to the size of the clean one, by its nearest pixels."""
    if mask.shape == size:
        return mask
    rows, columns = (
        ((np.arange(length) + 0.5) * own / length).astype(np.intp) for length, own in zip(size, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
