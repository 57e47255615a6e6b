"""``restorekit benchmark``: generators side by side on the same damaged pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from restorekit.errors import UsageError


def benchmark(
    steps: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[STEP]...",
            help="What is measured: NAME[:CHOICE][,key=value]..., or a .safetensors file. Several steps that run in "
            "order are one argument, joined by +: denoiser+super-resolver:x4. Generators that make pictures are "
            "measured by their samples where there is no --degradation.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            "--data", help="Clean pictures: a folder; may be repeated. For samplers what `train --data` takes."
        ),
    ] = None,
    only: Annotated[Path | None, typer.Option(help="Text file that names the pictures to take, one a line.")] = None,
    degradation: Annotated[
        list[str] | None,
        typer.Option(help="What is done to them, such as downscale:4 or noise:25; repeat to chain. See `degrade`."),
    ] = None,
    published: Annotated[
        str | None,
        typer.Option(
            help="The protocol of papers: sr:2, sr:3, sr:4 (Set5, Set14, BSD100, Urban100); denoise:15, denoise:25, "
            "denoise:50 (CBSD68). Sets degradation, colour, border and rounding."
        ),
    ] = None,
    show_published: Annotated[
        bool, typer.Option("--show-published", help="With --published: rows with the papers' own numbers.")
    ] = False,
    baseline: Annotated[list[str] | None, typer.Option(help="One more step to compare with; may be repeated.")] = None,
    baselines: Annotated[bool, typer.Option(help="Add every method without training that does the task.")] = True,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="psnr, ssim, mse, rmse, mae, squeezenet, lpips or brisque; several with commas. Samplers: fid, kid, "
            "inception-score, precision, recall, frechet-squeezenet, ..., likelihood, memorisation, probe.",
            show_default="psnr,ssim; fid,kid,likelihood",
        ),
    ] = None,
    protocol: Annotated[str | None, typer.Option(help="Colour: rgb or y.", show_default="rgb")] = None,
    crop_border: Annotated[
        int | None, typer.Option(help="Pixels left out on each side before measuring.", show_default="0")
    ] = None,
    modcrop: Annotated[
        int | None,
        typer.Option(help="Cut clean pictures to a multiple of this.", show_default="by how much they are shrunk"),
    ] = None,
    region: Annotated[
        str | None, typer.Option(help="whole or mask.", show_default="both where the degradation leaves holes")
    ] = None,
    float_degraded: Annotated[
        bool, typer.Option("--float-degraded", help="Hand over floats, neither rounded nor clipped, as papers do.")
    ] = False,
    features: Annotated[
        Path | None, typer.Option(help="File of SqueezeNet 1.1, for metrics on it.", show_default="environment")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the damage, or of the samples.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, fp32, bf16 or fp16.")] = "auto",
    tile: Annotated[int | None, typer.Option(help="Side of tiles in pixels.")] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--report",
            help="HTML file with crops of the worst, median and best picture. Samplers: a folder for sheets of samples "
            "and their nearest training pictures.",
        ),
    ] = None,
    save: Annotated[Path | None, typer.Option(help="JSON file for the numbers.")] = None,
    compare: Annotated[
        Path | None, typer.Option(help="A saved JSON file: show differences; refused where the protocol differs.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Compare although the protocols differ.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table in Markdown.")] = False,
    run: Annotated[
        list[Path] | None, typer.Option(help="Samplers: the folder of a training, with its discriminator; repeat.")
    ] = None,
    count: Annotated[
        int | None, typer.Option("-n", "--count", help="Samplers: samples to draw.", show_default="10000")
    ] = None,
    test: Annotated[
        list[str] | None, typer.Option(help="Samplers: held-out pictures, where --data has no split of its own.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Samplers: compare with train or test.", show_default="test where there is one")
    ] = None,
    latents: Annotated[
        str | None, typer.Option(help="Samplers: prior, mixture, ...", show_default="as `generate` draws")
    ] = None,
    truncation: Annotated[
        float | None, typer.Option(help="Samplers: what latents are multiplied by.", show_default="1")
    ] = None,
    train_count: Annotated[int | None, typer.Option(min=2, help="Samplers: so many training pictures alone.")] = None,
    test_count: Annotated[int | None, typer.Option(min=2, help="Samplers: so many held-out pictures alone.")] = None,
    inception: Annotated[
        Path | None, typer.Option(help="Samplers: file of the FID's Inception.", show_default="RESTOREKIT_INCEPTION")
    ] = None,
    resize: Annotated[
        str | None, typer.Option(help="Samplers: pytorch-fid, clean or tf1.", show_default="pytorch-fid")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Samplers: replace files that exist in -o.")] = False,
) -> None:
    """Damage clean pictures in a stated way, restore them with each generator, and print one table.

    Classical methods for the same task take part too. Every restorer runs alone in a process of its own, so that time
    and memory are its own.
    Generators that make pictures (samplers), without --degradation: distances between their samples and real pictures,
    the likelihood they give to held-out pictures, whether they repeat training pictures, and a linear probe of what
    their networks have learned.
    Exit status: 0 all measured, 1 a generator or picture failed, 2 wrong usage.
    """
    if as_json and markdown:
        raise UsageError("--markdown", "and --json exclude each other", "give one of them")
    of_samplers = {
        "--run": run,
        "-n": count,
        "--test": test,
        "--split": split,
        "--latents": latents,
        "--truncation": truncation,
        "--train-count": train_count,
        "--test-count": test_count,
        "--inception": inception,
        "--resize": resize,
        "--overwrite": overwrite or None,
    }
    from restorekit.cli.restorer_benchmark import RestorerOptions, benchmark_restorers
    from restorekit.cli.sampler_benchmark import SamplerOptions, benchmark_samplers, make_pictures

    if degradation is None and published is None and (run or make_pictures(steps or [])):
        of_restorers = {
            "--only": only,
            "--baseline": baseline,
            "--protocol": protocol,
            "--crop-border": crop_border,
            "--modcrop": modcrop,
            "--region": region,
            "--float-degraded": float_degraded or None,
            "--tile": tile,
            "--show-published": show_published or None,
        }
        _refuse(of_restorers, "is of restorers alone, and without --degradation samples are measured")
        benchmark_samplers(
            SamplerOptions(
                steps=steps or (),
                runs=run or (),
                data=data or (),
                test=test or (),
                metrics=metric or (),
                count=10_000 if count is None else count,
                seed=seed,
                latents=latents or "",
                truncation=1.0 if truncation is None else truncation,
                split=split or "",
                train_count=train_count,
                test_count=test_count,
                inception=inception,
                features=features,
                resize=resize or "pytorch-fid",
                device=device,
                precision=precision,
                folder=report,
                overwrite=overwrite,
                save=save,
                compare=compare,
                force=force,
                as_json=as_json,
                markdown=markdown,
            )
        )
        return
    _refuse(of_samplers, "is of generators that make pictures, and no sampler is measured")
    benchmark_restorers(
        RestorerOptions(
            steps=steps or (),
            baseline=baseline or (),
            baselines=baselines,
            data=data or (),
            only=only,
            degradation=degradation or (),
            published=published,
            show_published=show_published,
            metrics=metric or (),
            features=features,
            protocol=protocol,
            crop_border=crop_border,
            modcrop=modcrop,
            region=region,
            float_degraded=float_degraded,
            seed=seed,
            device=device,
            precision=precision,
            tile=tile,
            report=report,
            save=save,
            compare=compare,
            force=force,
            as_json=as_json,
            markdown=markdown,
        )
    )


def _refuse(options: dict[str, Any], why: str) -> None:
    """Refuse options that would be without effect."""
    for name, value in options.items():
        if value is not None:
            raise UsageError(name, why, "leave it out")
