"""``restorekit generate``: pictures out of nothing but a seed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restorekit.cli.console import print_json, say
from restorekit.errors import UsageError


def generate(
    name: Annotated[str, typer.Argument(metavar="NAME[:VARIANT]", help="A generator, or its .safetensors file.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", help="A folder for single pictures, or a picture file for one sheet.")
    ],
    count: Annotated[int, typer.Option("-n", "--count", min=1, help="Pictures.")] = 64,
    seed: Annotated[int, typer.Option(min=0, help="The same seed makes the same pictures.")] = 0,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", help="A class, by number or by name; repeat for several, taken in turn."),
    ] = None,
    truncation: Annotated[
        float, typer.Option(help="What latents are multiplied by; below 1, pictures are more alike and more typical.")
    ] = 1.0,
    interpolate: Annotated[
        int | None, typer.Option("--interpolate", min=1, help="Go from each picture to the next in this many steps.")
    ] = None,
    traverse: Annotated[
        int | None, typer.Option("--traverse", min=1, help="Change this many latent numbers of one picture, in turn.")
    ] = None,
    columns: Annotated[int | None, typer.Option(min=1, help="Pictures in a row of the sheet.")] = None,
    format_: Annotated[str, typer.Option("--format", help="Of single pictures.")] = "png",
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures computed at once.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "fp32",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="End with a JSON summary on stdout.")] = False,
) -> None:
    """Make pictures with a trained generator.

    With --interpolate the pictures lie on the ways between -n samples; a sheet then has a row for each way. With
    --traverse a sheet has a row for each latent number.
    """
    if interpolate is not None and traverse is not None:
        raise UsageError("--traverse", "and --interpolate exclude each other", "give one of them")

    from restorekit import sampling
    from restorekit.inference import choose_runtime
    from restorekit.registry import registry

    loaded = registry().load(name)
    chosen = sampling.labels_of(loaded, labels or ())
    drawing = sampling.Drawing(loaded, choose_runtime(device, precision), chosen, truncation, batch_size)
    if interpolate is not None:
        pictures = sampling.interpolated(drawing, count, interpolate, seed)
        columns = columns or (interpolate + 1 if count == 2 else interpolate)
    elif traverse is not None:
        pictures = sampling.traversal(drawing, traverse, seed=seed)
        columns = columns or len(pictures) // traverse
    else:
        pictures = sampling.samples(drawing, count, seed)
    files = sampling.write_pictures(pictures, output, columns=columns, format=format_, overwrite=overwrite)
    say(f"{len(pictures)} pictures of {loaded.spec.name}, seed {seed}; {output}")
    if as_json:
        print_json(
            {
                "generator": loaded.spec.name,
                "weights_sha256": loaded.weights_sha256,
                "seed": seed,
                "pictures": len(pictures),
                "files": [str(path) for path in files],
            }
        )
