"""``restorekit degrade``: clean pictures in, damaged ones out."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli.batch import format_name, print_plan, run_with_progress


def degrade(
    inputs: Annotated[list[str], typer.Argument(help="Pictures, folders (searched recursively) or quoted patterns.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results; created when missing.")],
    steps: Annotated[
        list[str],
        typer.Option(
            "--with",
            help="downscale:4, noise:25, poisson:30, jpeg:40, blur:1.6, holes:irregular, scratches, cracks, dust, "
            "text, fade, gray, haze or real; an amount may be a range (noise:5-50). Repeat to chain.",
        ),
    ],
    seed: Annotated[int, typer.Option(help="Of all randomness: the same seed gives the same bytes.")] = 0,
    format_: Annotated[str, typer.Option("--format", help="Output format; PNG adds no damage of its own.")] = "png",
    quality: Annotated[int | None, typer.Option(help="1 to 100, of lossy formats.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Do everything again.")] = False,
    report: Annotated[bool, typer.Option(help="Write report.html with before and after.")] = True,
    workers: Annotated[int | None, typer.Option(help="Pictures at once.", show_default="cores + 1")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a JSON summary on stdout.")] = False,
) -> None:
    """Damage pictures on purpose.

    For trying and measuring restorers.
    Masks of holes, cracks, scratches, dust and text are written beside the pictures as NAME.mask.png, where
    `restorekit restore` finds them.
    """
    from restorekit.batch import degrade as batch
    from restorekit.batch.options import BatchOptions
    from restorekit.degradations import parse
    from restorekit.registry import registry

    recipe = parse(steps)
    options = BatchOptions(
        format=format_name(format_), quality=quality, seed=seed, overwrite=overwrite, report=report, workers=workers
    )
    if dry_run:
        print_plan(inputs, output, options, as_json)
        return
    start = functools.partial(batch.degrade, inputs, output, recipe, options, registry=registry())
    run_with_progress(start, as_json, "degraded")
