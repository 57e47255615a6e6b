"""Measures all shipped weights beside the methods without training: one table a kind, as Markdown.

    python benchmarks/weights.py --data ../shared/data --features squeezenet1_1.npz > weights.md

Every table is a `restorekit benchmark` command, printed above it, and runs in processes of its own; ``--python`` names
another environment's interpreter, so that an installed wheel is measured and not this checkout. ``--only`` takes some
of the tables. ``--data`` holds ``test/`` (Set5, Set14, BSD100, CBSD68.txt, classic5), ``val/CID22`` and
``generation/``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from common import print_rows

from restorekit import images

#: Every how manieth picture of BSD100 the slower tables take.
EVERY = 4
DAMAGED_PRINTS = ("gray", "scratches", "cracks", "dust", "noise:5")
DENOISERS = ("denoiser:blind", "denoiser:photo")
HOLES = ("scratches:3-10,tilt=0-90", "text", "holes:irregular,coverage=0.1-0.4")


@dataclass(frozen=True)
class Table:
    """One `restorekit benchmark` command.

    Parameters
    ----------
    kind : str
        What ``--only`` names.
    title : str
        What is measured.
    arguments : sequence of str
        Of the command.
    """

    kind: str
    title: str
    arguments: Sequence[str]


def tables(data: Path, features: Path | None, foreign: Path | None, some: Path) -> Iterator[Table]:
    """Yield what is measured; ``some`` is a file that names a part of BSD100."""
    test = data / "test"
    deep = () if features is None else ("--features", str(features))
    distance = "psnr,ssim" if features is None else "squeezenet,psnr,ssim"
    for scale in (4, 2):
        for name in ("Set5", "Set14", "BSD100"):
            step = (f"super-resolver:x{scale}", "--data", str(test / name), "--published", f"sr:{scale}")
            yield Table(f"x{scale}", f"Enlarging {scale} times, {name}", (*step, "--show-published"))
    photos, judged = ("--data", str(test / "BSD100")), ("--metric", distance, *deep)
    sharp = ("super-resolver:x4-gan", "super-resolver:x4", *photos, "--degradation", "downscale:4")
    yield Table("x4-gan", "Enlarging 4 times for the eye, BSD100", (*sharp, *judged))
    others = ("super-resolver:x4", *(() if foreign is None else (str(foreign),)))
    real = ("super-resolver:x4-real", *others, *photos, "--only", str(some), "--degradation", "real:4")
    yield Table("x4-real", "Enlarging damaged pictures 4 times, part of BSD100", (*real, *judged))
    noisy = (*photos, "--only", str(test / "CBSD68.txt"))
    for sigma in (25, 50):
        published = ("--published", f"denoise:{sigma}", "--show-published")
        yield Table("denoiser", f"Noise of {sigma}, CBSD68", (*DENOISERS, *noisy, *published))
    grained = ("--degradation", "noise:15,grain=0.8")
    yield Table("denoiser", "Grain of 15, CBSD68", (*DENOISERS, *noisy, *grained))
    gray = ("--data", str(test / "Set12"), "--degradation", "noise:25,gray=true")
    yield Table("denoiser", "Noise of 25, Set12, grey", (*DENOISERS, *gray))
    blocks = ("--data", str(test / "classic5"), "--degradation", "jpeg:10", "--baseline", "deblock")
    yield Table("denoiser", "JPEG artefacts at quality 10, classic5", (*DENOISERS, *blocks))
    for damage in HOLES:
        holes = ("context-encoder", "--data", str(test / "BSD100"), "--only", str(some), "--degradation", damage)
        yield Table("context-encoder", f"{damage}, part of BSD100", (*holes, "--metric", distance, *deep))
    marks = [part for step in DAMAGED_PRINTS for part in ("--degradation", step)]
    yield Table(
        "scratch-detector", "Damage of prints, CID22", ("scratch-detector", "--data", str(data / "val/CID22"), *marks)
    )
    made = data / "generation"
    yield Table("vae", "Handwritten digits", ("vae:mnist", "--data", str(made / "mnist.npz"), "--metric", "likelihood"))
    sheet = ("--data", f"{made / 'cifar10_test_4000.webp'}#tile=32,classes=10")
    yield Table("vae", "CIFAR-10, likelihood", ("vae:cifar10", *sheet, "--metric", "likelihood"))
    if features is not None:
        measured = ("--metric", "frechet-squeezenet,precision-squeezenet,recall-squeezenet", *deep)
        yield Table("dcgan", "CIFAR-10, samples", ("dcgan:cifar10", *sheet, "-n", "4000", *measured))


def part_of(folder: Path, every: int) -> str:
    """Return the names of every so manieth picture of a folder, a line each."""
    return "\n".join(sorted(path.stem for path in folder.iterdir())[::every]) + "\n"


def clean_pictures(python: str, folders: Sequence[Path]) -> list[tuple[str, int, int, float]]:
    """Give undamaged photos to ``auto``; return how many it touches and the lowest PSNR to the input."""
    rows: list[tuple[str, int, int, float]] = []
    for folder in folders:
        with tempfile.TemporaryDirectory() as made:
            command = ["restore", str(folder), "-o", made, "--no-report", "--format", "png"]
            subprocess.run([python, "-m", "restorekit", *command], check=True, capture_output=True)
            records = [json.loads(line) for line in (Path(made) / "manifest.jsonl").read_text().splitlines()]
            done = {r["input"]: r for r in records if r.get("status") == "done" and r["kind"] != "intent"}
            touched = [r for r in done.values() if r["steps"]]
            quality = [_psnr(folder / r["input"], Path(made) / r["output"]) for r in touched]
            rows.append((folder.name, len(done), len(touched), min(quality, default=float("inf"))))
    return rows


def _psnr(one: Path, other: Path) -> float:
    first, second = (images.read(path).pixels.astype(np.float64) for path in (one, other))
    return float(10 * np.log10(255**2 / np.mean((first - second) ** 2)))


def _whole(text: str) -> Path:
    return Path(text).resolve()


def main() -> None:
    """Run the commands and print their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--features", type=_whole, help="SqueezeNet 1.1, for distances of deep features")
    parser.add_argument("--foreign", type=_whole, help="weights of another x4 network to set beside x4-real")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has restorekit installed")
    parser.add_argument("--only", default="", help="kinds, with commas: x4, x2, denoiser, ..., auto")
    arguments = parser.parse_args()
    wanted = {kind for kind in arguments.only.split(",") if kind}
    data = arguments.data.resolve()
    with tempfile.TemporaryDirectory() as folder:
        some = Path(folder) / "bsd25.txt"
        some.write_text(part_of(data / "test/BSD100", EVERY))
        for table in tables(data, arguments.features, arguments.foreign, some):
            if wanted and table.kind not in wanted:
                continue
            command = ["benchmark", *table.arguments, "--markdown"]
            # From elsewhere, so that it is the installed package that is imported.
            run = [arguments.python, "-m", "restorekit", *command]
            told = subprocess.run(run, cwd=folder, capture_output=True, text=True, check=False)
            shown = " ".join(command).replace(f"{data}/", "").replace(f"{folder}/", "")
            answer = told.stdout.strip() or told.stderr.strip()
            print(f"### {table.title}\n\n`restorekit {shown}`\n\n{answer}\n", flush=True)
    if not wanted or "auto" in wanted:
        print("### Undamaged photos given to `auto`\n")
        folders = [data / name for name in ("val/CID22", "train/CLIC2025", "test/Set5", "test/Set14", "test/BSD100")]
        rows = clean_pictures(arguments.python, folders)
        print_rows(("photos", "number", "touched", "lowest PSNR to the input, dB"), rows)


if __name__ == "__main__":
    main()
