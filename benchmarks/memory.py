"""Measures the memory that restoring one picture takes beyond what has to be there.

    python benchmarks/memory.py
    python benchmarks/memory.py --with super-resolver:x4 --megapixels 1 --megapixels 6 --bits 16

Each case is a process of its own that restores a tiny picture first, so that libraries and weights are loaded, and
then a synthetic one from file to file. "Above" is the peak less what was resident before, both files, the decoded
picture and the array of the result: what a picture costs that is not itself.
"""

from __future__ import annotations

import argparse
import multiprocessing
import tempfile
from pathlib import Path

import cv2
import numpy as np
from common import print_rows
from processes import memory

import restorekit
from restorekit.batch.restore import Options
from restorekit.specs import Step

_STEPS = ("denoiser:blind", "median:3", "auto")


def main() -> None:
    """Print one row a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--with", dest="steps", action="append", help=f"steps joined by +, may repeat; {', '.join(_STEPS)}"
    )
    parser.add_argument("--megapixels", type=float, action="append", help="may repeat; 1, 10 and 100")
    parser.add_argument("--bits", type=int, choices=(8, 16), default=8)
    parser.add_argument("--alpha", action="store_true", help="with a soft alpha channel")
    parser.add_argument("--format", choices=("png", "jpg", "tif"), default="png")
    arguments = parser.parse_args()
    rows: list[list[object]] = []
    for step in arguments.steps or _STEPS:
        for megapixels in arguments.megapixels or (1, 10, 100):
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                case = (step, megapixels, arguments.bits, arguments.alpha, arguments.format)
                rows.append([step, f"{megapixels:g}", *pool.apply(measured, case)])
    print_rows(["step", "megapixels in", "out", "decoded MiB", "result MiB", "peak MiB", "above MiB"], rows)


def measured(step: str, megapixels: float, bits: int, alpha: bool, suffix: str) -> list[object]:
    """Restore one picture in this process; return megapixels out, and sizes in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name, size in (("tiny", 0.01), ("picture", megapixels)):
            _write(root / name / f"picture.{suffix}", size, bits, alpha)
        options = Options(steps=tuple(map(Step.parse, step.split("+"))), max_pixels=1 << 40)
        restorekit.restore_folder(root / "tiny", root / "tiny out", options)
        decoded = round(megapixels * 1e6) * (3 + alpha) * bits // 8
        before, _ = memory()
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        result = restorekit.restore_folder(root / "picture", root / "out", options)
        peak = memory()[1]
        assert result.done == 1, result.records[0].reason
        restored = cv2.imread(str(root / "out" / f"picture.{suffix}"), cv2.IMREAD_UNCHANGED)
        assert restored is not None
        file = (root / "picture" / f"picture.{suffix}").stat().st_size + result.records[0].output_size
    above = peak - before - file - decoded - restored.nbytes
    return [
        restored.shape[0] * restored.shape[1] / 1e6,
        *(n >> 20 for n in (decoded, restored.nbytes, peak - before, above)),
    ]


def _write(path: Path, megapixels: float, bits: int, alpha: bool) -> None:
    """Write smooth waves with a little noise, twice as wide as high, row by row of one block."""
    height = max(1, round((megapixels * 1e6 / 2) ** 0.5))
    rng = np.random.default_rng(0)
    waves = 0.5 + 0.4 * np.sin(np.arange(2 * height) / 50)[None, :, None] * np.cos(np.arange(256) / 40)[:, None, None]
    block = waves + rng.normal(0, 0.02, (256, 2 * height, 3 + alpha))
    levels = (np.clip(block, 0, 1) * (2**bits - 1)).astype(np.uint8 if bits == 8 else np.uint16)
    path.parent.mkdir()
    cv2.imwrite(str(path), np.tile(levels, (-(-height // 256), 1, 1))[:height])


if __name__ == "__main__":
    main()
