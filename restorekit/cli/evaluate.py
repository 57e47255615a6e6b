"""``restorekit evaluate``: how close restored pictures come to their references."""

from __future__ import annotations

import contextlib
import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from restorekit.cli.console import Progress, print_json
from restorekit.cli.measurements import print_comparison, print_evaluation, print_scores
from restorekit.errors import UsageError

if TYPE_CHECKING:
    from restorekit.evaluation.distribution import Scores
    from restorekit.evaluation.folders import Metric


def evaluate(
    restored: Annotated[Path, typer.Argument(help="Folder of restored pictures, or one picture.")],
    reference: Annotated[
        Path | None,
        typer.Argument(help="Folder of what they should look like, or one picture; for fid and the like any pictures."),
    ] = None,
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            help="psnr, ssim, mse, rmse, mae; squeezenet, lpips, brisque; of whole folders fid, kid, inception-score, "
            "precision, recall, frechet-squeezenet. Repeat, or join by commas.",
            show_default="psnr,ssim",
        ),
    ] = None,
    colour: Annotated[str, typer.Option("--protocol", help="rgb, or y: the luma that papers measure.")] = "rgb",
    crop_border: Annotated[int, typer.Option(help="Pixels to leave out on each side; papers: the scale.")] = 0,
    modcrop: Annotated[int, typer.Option(help="Cut references at the right and below to a multiple of this.")] = 1,
    region: Annotated[str, typer.Option(help="whole, or mask: inside the hole alone.")] = "whole",
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of masks paired by name. Without it, NAME.mask.png beside a picture."),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Pictures at once.", show_default="cores")] = None,
    features: Annotated[
        Path | None, typer.Option(help="File of SqueezeNet 1.1.", show_default="RESTOREKIT_SQUEEZENET")
    ] = None,
    inception: Annotated[
        Path | None, typer.Option(help="File of FID's Inception.", show_default="RESTOREKIT_INCEPTION")
    ] = None,
    resize: Annotated[str, typer.Option(help="For Inception: pytorch-fid, clean or tf1.")] = "pytorch-fid",
    statistics: Annotated[
        Path | None,
        typer.Option("--reference-stats", help="Statistics (.npz as pytorch-fid's) instead of REFERENCE, for fid."),
    ] = None,
    device: Annotated[str, typer.Option(help="That features are computed on.")] = "auto",
    sort: Annotated[str, typer.Option(help="name, or worst: by the first metric, the worst first.")] = "name",
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Save the numbers as JSON.")] = None,
    report: Annotated[Path | None, typer.Option(help="Write an HTML report with the worst and best pictures.")] = None,
    against: Annotated[
        Path | None, typer.Option("--compare", help="Numbers saved by -o before: show the difference to them.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare although the protocols differ.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure restored pictures against their references.

    Pictures are paired by name. Every number carries its protocol.
    """
    from restorekit.evaluation.comparison import compare, read_record
    from restorekit.evaluation.fidelity import Fidelity
    from restorekit.evaluation.folders import empty_record
    from restorekit.evaluation.folders import evaluate as measure

    asked = _sorted_out(metrics or ["psnr", "ssim"])
    if sort not in ("name", "worst"):
        raise UsageError("--sort", f"{sort!r} is no order", "choose name or worst")
    fidelity = Fidelity(
        metrics=tuple(asked.fidelity),
        colour=colour,  # pyright: ignore[reportArgumentType] - checked there
        crop_border=crop_border,
        region=region,  # pyright: ignore[reportArgumentType]
    )
    if reference is None and (asked.paired or statistics is None):
        raise UsageError("REFERENCE", "is missing", "name the folder of references; fid also takes --reference-stats")
    if report is not None and not asked.paired:
        raise UsageError("--report", "shows pictures beside their references", "add --metric psnr")
    earlier = None if against is None else read_record(against)
    result = scores = None
    if asked.paired:
        assert reference is not None
        others = _perceptual(asked.perceptual, features)
        with _progress() as progress:
            result = measure(
                restored,
                reference,
                fidelity,
                masks=masks,
                modcrop=modcrop,
                workers=workers,
                others=others,
                listener=progress,
            )
    if asked.distribution:
        from restorekit.evaluation.distribution import compare_folders

        theirs = statistics or reference
        assert theirs is not None
        files = {name: file for name, file in (("inception", inception), ("squeezenet", features)) if file is not None}
        with _progress() as progress:
            scores = compare_folders(
                restored, theirs, asked.distribution, files=files, resize=resize, device=device, listener=progress
            )
    record = empty_record() if result is None else result.record()
    if scores is not None:
        record["distribution"] = _distribution_record(scores)
    _save(record, output)
    if report is not None and result is not None:
        from restorekit.evaluation.report import write_report

        write_report(report, result, command=shlex.join(["restorekit", *sys.argv[1:]]))
    if not as_json:
        if result is not None:
            print_evaluation(result, worst_first=sort == "worst")
        if scores is not None:
            print_scores(scores)
    if earlier is not None:
        comparison = compare(record, earlier, force=force)
        record["comparison"] = comparison.record()
        if not as_json:
            print_comparison(comparison)
    if as_json:
        print_json(record)
    if (result is not None and not result.complete) or (scores is not None and scores.skipped):
        raise typer.Exit(1)


class _Asked(NamedTuple):
    """Names of metrics, by who computes them."""

    fidelity: list[str]
    perceptual: list[str]
    distribution: list[str]

    @property
    def paired(self) -> bool:
        return bool(self.fidelity or self.perceptual)


def _sorted_out(names: Sequence[str]) -> _Asked:
    from restorekit.evaluation.distribution import DISTRIBUTION_METRICS, is_distribution_metric
    from restorekit.evaluation.fidelity import FIDELITY_METRICS
    from restorekit.evaluation.perceptual import PERCEPTUAL_METRICS

    asked = _Asked([], [], [])
    for name in dict.fromkeys(part.strip().lower() for text in names for part in text.split(",")):
        if name in FIDELITY_METRICS:
            asked.fidelity.append(name)
        elif name in PERCEPTUAL_METRICS:
            asked.perceptual.append(name)
        elif is_distribution_metric(name):
            asked.distribution.append(name)
        else:
            known = ", ".join([*FIDELITY_METRICS, *PERCEPTUAL_METRICS, *DISTRIBUTION_METRICS])
            raise UsageError("--metric", f"{name!r} is not known", f"choose from {known}")
    return asked


def _perceptual(names: Sequence[str], features: Path | None) -> list[Metric]:
    from restorekit.evaluation.perceptual import perceptual_metric

    return [perceptual_metric(name, features) for name in names]


@contextlib.contextmanager
def _progress() -> Iterator[Progress]:
    progress = Progress("measured")
    try:
        yield progress
    finally:
        progress.close()


def _distribution_record(scores: Scores) -> dict[str, Any]:
    return {
        "protocol": dict(scores.facts),
        "values": scores.values,
        "standard_errors": scores.standard_errors,
        "skipped": [{"name": name, "reason": reason} for name, reason in scores.skipped],
        "notes": list(scores.notes),
    }


def _save(record: dict[str, Any], output: Path | None) -> None:
    if output is None:
        return
    import json

    from restorekit.files import replace_file

    replace_file(output, (json.dumps(record, indent=2) + "\n").encode())
