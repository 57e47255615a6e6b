"""Runs a benchmark: damages clean pictures, lets each competitor restore them alone, and measures the results."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from restorekit.errors import NotAvailable, UsageError
from restorekit.evaluation.benchmarking.bench import UNTOUCHED, Bench, Listener, Silent
from restorekit.evaluation.benchmarking.competitors import Competitor, baselines, detects, tasks_of
from restorekit.evaluation.benchmarking.conditions import Conditions
from restorekit.evaluation.benchmarking.judging import Judge, OfMarks, OfPictures
from restorekit.evaluation.benchmarking.pictures import PictureSet, Prepared, prepare
from restorekit.evaluation.benchmarking.processes import Machine
from restorekit.evaluation.benchmarking.published import published_rows
from restorekit.evaluation.benchmarking.result import Benchmark
from restorekit.evaluation.detection import Detection
from restorekit.evaluation.folders import Metric
from restorekit.evaluation.protocol import Facts
from restorekit.registry import Registry

__all__ = ["benchmark"]


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

    Where all that take part are detectors, they are measured by what they mark, see `Detection`.

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
        The request is wrong: no such generator or degradation, nobody to take part, detectors among restorers.
    PictureError
        No picture can be used.
    """
    for competitor in competitors:
        _check(registry, competitor)
    detecting = _only_detectors(registry, competitors)
    listener = listener or Silent()
    with tempfile.TemporaryDirectory(prefix="restorekit-benchmark-") as text:
        folder = Path(text)
        prepared = prepare(data, conditions, folder, lambda done, total: listener.progress("degraded", done, total))
        judge = _judge(detecting, prepared, conditions, others)
        everyone = list(competitors)
        if with_baselines:
            tasks = frozenset({"detect"}) if detecting else tasks_of(conditions.recipe, prepared.factor != 1)
            everyone += baselines(registry, tasks, prepared.factor, everyone)
            if prepared.factor == 1 and not detecting:
                everyone.append(Competitor(UNTOUCHED, (), baseline=True))
        if not everyone:
            raise UsageError("benchmark", "nobody takes part", "name a step, or leave --no-baselines out")
        bench = Bench(prepared, judge, conditions.floating, machine or Machine(), listener, folder)
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


def _only_detectors(registry: Registry, competitors: Sequence[Competitor]) -> bool:
    """Return whether all that take part mark damage and restore nothing; refuse some among restorers."""
    known = [(competitor.name, detects(registry, competitor)) for competitor in competitors]
    kinds = {name: is_detector for name, is_detector in known if is_detector is not None}  # the others' rows say why
    if any(kinds.values()) and not all(kinds.values()):
        name = next(name for name, is_detector in kinds.items() if is_detector)
        way_out = "measure detectors by themselves, or before an inpainter, as top-hat+telea"
        raise UsageError(name, "marks damage and restores nothing, and others restore", way_out)
    return any(kinds.values())


def _judge(detecting: bool, prepared: Prepared, conditions: Conditions, others: Sequence[Metric]) -> Judge:
    """Return what measures; the metrics of pictures do not apply to marks."""
    if detecting:
        if not prepared.masked:
            raise UsageError("--degradation", "marks no damage that could be found", "add scratches, dust or cracks")
        return OfMarks(conditions, Detection())
    fidelities = conditions.fidelities(prepared.masked)
    if others and "" not in fidelities:
        raise UsageError("--region", f"mask: {others[0].name} measures whole pictures", "leave one of them out")
    return OfPictures(conditions, fidelities, others)
