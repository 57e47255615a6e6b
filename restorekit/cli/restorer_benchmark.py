"""The half of ``restorekit benchmark`` that measures restorers on damaged pictures."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from restorekit.cli.console import print_json, print_line, print_table, say
from restorekit.cli.stages import Stages
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.evaluation.benchmarking import Benchmark, Competitor, Conditions, Row
    from restorekit.evaluation.comparison import Comparison

__all__ = ["RestorerOptions", "benchmark_restorers"]


@dataclass(frozen=True, kw_only=True)
class RestorerOptions:
    """What the command line says, option by option; ``None`` and ``()`` where it says nothing."""

    steps: Sequence[str]
    baseline: Sequence[str]
    baselines: bool
    data: Sequence[str]
    only: Path | None
    degradation: Sequence[str]
    published: str | None
    show_published: bool
    metrics: Sequence[str]
    features: Path | None
    protocol: str | None
    crop_border: int | None
    modcrop: int | None
    region: str | None
    float_degraded: bool
    seed: int
    device: str
    precision: str
    tile: int | None
    report: Path | None
    save: Path | None
    compare: Path | None
    force: bool
    as_json: bool
    markdown: bool


def benchmark_restorers(options: RestorerOptions) -> None:
    """Measure, write and print; end with the exit status."""
    if not options.data:
        raise UsageError("--data", "is not given", "name a folder of clean pictures")
    if options.show_published and options.published is None:
        raise UsageError("--show-published", "goes with --published", "name the protocol, such as --published sr:4")

    from restorekit.evaluation import benchmarking
    from restorekit.evaluation.benchmarking.comparing import read_benchmark, require_same_protocol
    from restorekit.registry import registry

    paired, perceptual = _metrics(options.metrics, options.features)
    conditions = _conditions(options, paired)
    earlier = None if options.compare is None else read_benchmark(options.compare)
    progress = _Progress()
    try:
        result = benchmarking.benchmark(
            _competitors(options.steps, options.baseline),
            benchmarking.picture_set(options.data, options.only),
            conditions,
            registry=registry(),
            with_baselines=options.baselines,
            machine=benchmarking.Machine(device=options.device, precision=options.precision, tile=options.tile),
            others=perceptual,
            show_published=options.show_published,
            illustrated=options.report is not None,
            accepted=lambda facts: None if earlier is None or options.force else require_same_protocol(facts, earlier),
            listener=progress,
        )
    finally:
        progress.close()
    _write(result, options)
    if options.show_published and not result.published:
        say(f"no published numbers are known for {result.data} and this protocol")
    _tell(result, earlier, options)
    if not result.complete:
        raise typer.Exit(1)


def _competitors(steps: Sequence[str], others: Sequence[str]) -> list[Competitor]:
    from restorekit.evaluation.benchmarking import Competitor

    asked = [Competitor.parse(text) for text in dict.fromkeys(steps)]
    return asked + [Competitor.parse(text, baseline=True) for text in dict.fromkeys(others) if text not in steps]


def _metrics(texts: Sequence[str], features: Path | None) -> tuple[tuple[str, ...], list[Any]]:
    """Return the paired metrics by name, and the others ready for use."""
    from restorekit.evaluation.fidelity import FIDELITY_METRICS
    from restorekit.evaluation.perceptual import PERCEPTUAL_METRICS, perceptual_metric

    names = list(dict.fromkeys(name.strip() for text in texts or ["psnr,ssim"] for name in text.split(",")))
    for name in names:
        if name not in (*FIDELITY_METRICS, *PERCEPTUAL_METRICS):
            choices = ", ".join((*FIDELITY_METRICS, *PERCEPTUAL_METRICS))
            raise UsageError("--metric", f"{name!r} measures no restored picture", f"choose from {choices}")
    paired = tuple(name for name in names if name in FIDELITY_METRICS)
    if not paired:
        raise UsageError("--metric", "has no paired metric, by which pictures are ranked", "add psnr")
    return paired, [perceptual_metric(name, features) for name in names if name in PERCEPTUAL_METRICS]


def _conditions(options: RestorerOptions, metrics: tuple[str, ...]) -> Conditions:
    from restorekit.evaluation.benchmarking import Conditions, published_conditions

    if options.published is None:
        return Conditions(
            degradation=tuple(options.degradation),
            metrics=metrics,
            colour=options.protocol or "rgb",  # pyright: ignore[reportArgumentType] - it says what it knows
            crop_border=options.crop_border or 0,
            modcrop=options.modcrop,
            region=options.region,  # pyright: ignore[reportArgumentType]
            floating=options.float_degraded,
            seed=options.seed,
        )
    fixed = {
        "--degradation": options.degradation or None,
        "--protocol": options.protocol,
        "--crop-border": options.crop_border,
        "--modcrop": options.modcrop,
        "--region": options.region,
        "--float-degraded": options.float_degraded or None,
    }
    for name, value in fixed.items():
        if value is not None:
            raise UsageError(name, f"is fixed by --published {options.published}", "leave one of them out")
    return published_conditions(options.published, metrics, options.seed)


def _write(result: Benchmark, options: RestorerOptions) -> None:
    from restorekit.files import replace_file

    if options.save is not None:
        replace_file(options.save, (json.dumps(result.record(), indent=1) + "\n").encode())
    if options.report is not None:
        from restorekit.evaluation.benchmarking.report import write_report

        write_report(options.report, result, shlex.join(["restorekit", *sys.argv[1:]]))
        say(f"look at {options.report}")


def _tell(result: Benchmark, earlier: dict[str, Any] | None, options: RestorerOptions) -> None:
    from restorekit.evaluation.benchmarking.comparing import compare_rows, protocol_differences
    from restorekit.evaluation.protocol import described

    compared = {} if earlier is None else compare_rows(result, earlier)
    forced = [] if earlier is None else protocol_differences(result.protocol, earlier)
    for name, reason in result.failed:
        say(f"failed: {name}: {reason}")
    for difference in forced:
        say(f"warning: forced, though the protocols differ: {difference}")
    if options.as_json:
        added = {"compared": {name: each.record() for name, each in compared.items()}, "protocols": forced}
        print_json({**result.record(), **(added if compared else {})})
        return
    if options.markdown:
        print_line(result.markdown())
    else:
        print_table(result.columns, result.cells())
        # The checksum serves comparisons, not readers.
        print_line(f"protocol: {described({**result.protocol, 'pictures_sha256': None})}")
    if compared:
        print_line("")
        head = ["generator", "metric", "here", "there", "difference", "95 % interval, paired"]
        print_table(head, _difference_cells(compared))


def _difference_cells(compared: dict[str, Comparison]) -> list[list[str]]:
    from restorekit.evaluation.folders import written

    cells = []
    for generator, comparison in compared.items():
        for each in comparison.differences:
            kind = each.metric.removesuffix("_mask")
            ends = " .. ".join(written(kind, end, signed=True) for end in each.interval)
            numbers = written(kind, each.ours), written(kind, each.theirs), written(kind, each.difference, signed=True)
            cells.append([generator, each.metric, *numbers, ends])
    return cells


class _Progress(Stages):
    """Tells of stages, and of competitors that are measured."""

    def finished(self, row: Row) -> None:
        """Tell of a competitor that is measured, or failed."""
        numbers = ", ".join(f"{name} {value:.4f}" for name, value in row.mean.items())
        say(f"{row.generator}: {'; '.join(part for part in (numbers, row.trouble) if part)}")
