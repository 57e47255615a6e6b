"""The half of ``restorekit benchmark`` that measures generators which make pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from restorekit.cli.console import print_json, print_line, print_table, say
from restorekit.cli.stages import Stages
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.evaluation.distribution import FeatureNetwork
    from restorekit.evaluation.generative import GenerativeBenchmark, Subject

__all__ = ["SamplerOptions", "benchmark_samplers", "make_pictures"]


@dataclass(frozen=True, kw_only=True)
class SamplerOptions:
    """What the command line says, option by option."""

    steps: Sequence[str]
    runs: Sequence[Path]
    data: Sequence[str]
    test: Sequence[str]
    metrics: Sequence[str]
    count: int
    seed: int
    latents: str
    truncation: float
    split: str
    train_count: int | None
    test_count: int | None
    inception: Path | None
    features: Path | None
    resize: str
    device: str
    precision: str
    folder: Path | None
    overwrite: bool
    save: Path | None
    compare: Path | None
    force: bool
    as_json: bool
    markdown: bool


def make_pictures(steps: Sequence[str]) -> bool:
    """Whether one of the steps is a generator that makes pictures by itself."""
    from restorekit.registry import registry
    from restorekit.specs import Step

    for text in steps:
        if "+" in text and not Path(text.partition(",")[0]).exists():
            continue  # a chain of steps
        if "generate" in registry().spec_of(Step.parse(text)).tasks:
            return True
    return False


def benchmark_samplers(options: SamplerOptions) -> None:
    """Measure generators that make pictures, and print one table."""
    from restorekit.evaluation.generative import Questions, benchmark, from_run, from_step, open_splits
    from restorekit.evaluation.generative.comparing import read_benchmark
    from restorekit.inference import choose_runtime
    from restorekit.registry import registry

    if not options.data:
        raise UsageError("--data", "is not given", "name the pictures that the generators were trained on")
    if options.folder is not None and options.folder.suffix.lower() in (".html", ".htm"):
        problem = "is no folder, which generators that make pictures need for their sheets"
        raise UsageError(options.folder, problem, "name a folder with -o")
    earlier = None if options.compare is None else read_benchmark(options.compare)
    runtime = choose_runtime(options.device, "fp32" if options.precision == "auto" else options.precision)
    subjects = [from_step(registry(), text) for text in options.steps]
    subjects += [from_run(registry(), folder) for folder in options.runs]
    metrics = _metrics(options, subjects)
    questions = Questions(
        metrics=metrics,
        networks=_networks(metrics, options),
        count=options.count,
        seed=options.seed,
        truncation=options.truncation,
        latents=options.latents,
        split=options.split,
        train_count=options.train_count,
        test_count=options.test_count,
    )
    stages = Stages()
    try:
        result = benchmark(
            subjects,
            open_splits(options.data, options.test),
            questions,
            runtime=runtime,
            listener=stages.progress,
            folder=options.folder,
            overwrite=options.overwrite,
        )
    finally:
        stages.close()
    if options.save is not None:
        from restorekit.files import replace_file

        replace_file(options.save, (json.dumps(result.as_dict(), indent=1) + "\n").encode())
    _tell(result, earlier, options)
    if result.failed:
        raise typer.Exit(1)


def _metrics(options: SamplerOptions, subjects: Sequence[Subject]) -> tuple[str, ...]:
    """Return what was asked for; else FID and KID, and the likelihood where a generator can tell it."""
    from restorekit.contract import Measurable
    from restorekit.evaluation.distribution import DISTRIBUTION_METRICS, is_distribution_metric
    from restorekit.evaluation.generative import OWN_METRICS

    names = dict.fromkeys(name.strip().lower() for text in options.metrics for name in text.split(",") if name.strip())
    if not names:
        measurable = any(isinstance(subject.loaded.generator, Measurable) for subject in subjects)
        return ("fid", "kid", "likelihood") if measurable else ("fid", "kid")
    for name in names:
        if name not in OWN_METRICS and not is_distribution_metric(name):
            choices = ", ".join([*DISTRIBUTION_METRICS, *OWN_METRICS])
            raise UsageError("--metric", f"{name!r} measures no generator of pictures", f"choose from {choices}")
    return tuple(names)


def _networks(metrics: Sequence[str], options: SamplerOptions) -> tuple[FeatureNetwork, ...]:
    """Load the networks that the metrics are on; neighbours are looked for in the features of the first."""
    from restorekit.evaluation.distribution import feature_network
    from restorekit.evaluation.distribution.names import resolve
    from restorekit.evaluation.generative import OWN_METRICS

    names = dict.fromkeys(resolve([metric])[0] for metric in metrics if metric not in OWN_METRICS)
    if not names and "memorisation" in metrics:
        names = {"squeezenet" if options.features is not None and options.inception is None else "inception": None}
    files = {"inception": options.inception, "squeezenet": options.features}
    return tuple(feature_network(name, files.get(name), options.resize, options.device) for name in names)


def _tell(result: GenerativeBenchmark, earlier: dict[str, Any] | None, options: SamplerOptions) -> None:
    from restorekit.evaluation.generative.comparing import compared, protocol_differences
    from restorekit.evaluation.protocol import described

    for row in result.rows:
        if row.error:
            say(f"failed: {row.error}")
    differing = [] if earlier is None else protocol_differences(result, earlier)
    refused = bool(differing) and not options.force
    lines = [] if earlier is None or refused else compared(result, earlier)
    if options.as_json:
        shown = [{"generator": x.generator, "metric": x.metric, "before": x.before, "now": x.now} for x in lines]
        print_json({**result.as_dict(), **({"compared": shown} if shown else {})})
    elif options.markdown:
        print_line(result.markdown())
    else:
        print_table(["generator", *result.columns], result.cells())
        print_line(f"{result.data}: {described(result.protocol)}")
        for row in result.rows:
            if own := result.own_facts(row):
                print_line(f"{row.generator}: {described(own)}")
    for note in result.notes:
        say(note)
    for file in result.files:
        say(f"look at {file}")
    if refused:
        problem = f"the protocols differ: {'; '.join(differing)}"
        raise UsageError("--compare", problem, "measure both in one way, or --force it")
    for difference in differing:
        say(f"compared by force: {difference}")
    if lines and not options.as_json:
        cells = [[x.generator, x.metric, f"{x.before:.5g}", f"{x.now:.5g}", f"{x.now - x.before:+.4g}"] for x in lines]
        print_line("")
        print_table(["generator", "metric", "before", "now", "difference"], cells)
