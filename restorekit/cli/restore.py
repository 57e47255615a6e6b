"""``restorekit restore``: pictures in, restored pictures out."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli.batch import format_name, print_plan, run_with_progress
from restorekit.errors import UsageError


def restore(
    inputs: Annotated[list[str], typer.Argument(help="Pictures, folders (searched recursively) or quoted patterns.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results; created when missing.")],
    steps: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            help="A step NAME[:CHOICE][,key=value]...; repeat to chain steps. See `restorekit generators`.",
            show_default="auto: each picture gets what it needs",
        ),
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(
            help="Folder of masks paired by name (white: repair). Without it, NAME.mask.png beside a picture."
        ),
    ] = None,
    mask_color: Annotated[
        str | None, typer.Option(help="A colour (ff00ff) painted over what is to be repaired.")
    ] = None,
    strength: Annotated[float, typer.Option(help="0 to 1: blends each step's result with its input.")] = 1.0,
    seed: Annotated[int, typer.Option(help="Of all randomness.")] = 0,
    scale: Annotated[float, typer.Option(help="Enlarge (or shrink) by this factor.")] = 1.0,
    size: Annotated[str | None, typer.Option(help="Exact size, such as 1920x1080.")] = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="Write jpeg, png, webp, tiff, avif, bmp or ppm.", show_default="as it came"),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(help="1 to 100, of lossy formats.", show_default="that of the input, at least 90"),
    ] = None,
    strip_metadata: Annotated[
        bool,
        typer.Option("--strip-metadata", help="Leave EXIF, XMP and comments out; colour profile and resolution stay."),
    ] = False,
    max_pixels: Annotated[
        int | None,
        typer.Option(help="Refuse larger pictures before decoding them.", show_default="512 million"),
    ] = None,
    overwrite: Annotated[
        bool,
        typer.Option("--overwrite", help="Restore everything again and replace what is there."),
    ] = False,
    report: Annotated[bool, typer.Option(help="Write report.html with before and after.")] = True,
    device: Annotated[
        str,
        typer.Option(help="auto, cpu, cuda, cuda:N or mps; several (cuda:0,cuda:1, or cuda:all) get a process each."),
    ] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    tile: Annotated[int | None, typer.Option(help="Side of tiles in pixels; smaller needs less memory.")] = None,
    workers: Annotated[int | None, typer.Option(help="Pictures worked on at once.", show_default="cores + 1")] = None,
    processes: Annotated[
        int | None, typer.Option(help="Worker processes, dealt to the devices.", show_default="one a device")
    ] = None,
    engine: Annotated[
        str, typer.Option(help="local, or ray: the workers are in the cluster that RAY_ADDRESS names, or here.")
    ] = "local",
    shard: Annotated[str | None, typer.Option(help="Do part i of n (2/8), for several machines.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be done and do nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a JSON summary on stdout.")] = False,
) -> None:
    """Restore pictures into another folder.

    Inputs are never touched.
    Run the same command again to go on after an interruption: what is done and unchanged is skipped.
    Exit status: 0 all done, 1 some pictures failed, 2 wrong usage, 3 something needed is not here.
    """
    from restorekit.api import parse_steps
    from restorekit.batch import restore as batch
    from restorekit.batch.masks import MaskColor
    from restorekit.batch.plan import Shard
    from restorekit.images import DEFAULT_MAX_PIXELS
    from restorekit.inference import Target
    from restorekit.registry import registry

    options = batch.Options(
        steps=parse_steps(steps or ["auto"]),
        target=Target(scale, _size(size)),
        strength=strength,
        masks=masks,
        mask_color=None if mask_color is None else MaskColor.parse(mask_color),
        format=format_name(format_),
        quality=quality,
        strip_metadata=strip_metadata,
        max_pixels=max_pixels or DEFAULT_MAX_PIXELS,
        overwrite=overwrite,
        shard=Shard() if shard is None else Shard.parse(shard),
        seed=seed,
        device=device,
        precision=precision,
        tile=tile,
        workers=workers,
        processes=processes,
        engine=engine,
        report=report,
    )
    if dry_run:
        batch.check(options, registry())  # what a run would refuse is refused here too
        print_plan(inputs, output, options, as_json)
        return
    start = functools.partial(batch.restore, inputs, output, options, registry=registry())
    run_with_progress(start, as_json, "restored")


def _size(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise UsageError("--size", f"{text!r} is no size", "write WIDTHxHEIGHT, such as 1920x1080")
    return int(width), int(height)
