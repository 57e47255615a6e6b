"""Measures what the batch pipeline costs and gains over a bare loop.

    python benchmarks/pipeline.py --pictures 1000 --side 256

The bare loop reads, decodes, restores, encodes and writes in one thread with OpenCV, without metadata, checksums,
syncs, manifest or report: what a script of ten lines would do. Both use the same restorer object.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np
import torch
from common import in_turn, make_pictures, median_ratio, print_rows

import restorekit
from restorekit.batch.restore import Options
from restorekit.contract import Batch
from restorekit.specs import Step


def bare_loop(source: Path, target: Path, step: str) -> None:
    """Restore a folder the plain way."""
    restorer = restorekit.load(step)
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for path in sorted(source.iterdir()):
        bgr = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
        assert bgr is not None
        image = torch.from_numpy(np.ascontiguousarray(bgr[..., ::-1])).permute(2, 0, 1)[None].float() / 255
        with torch.no_grad():
            restored = restorer.restore(Batch(image))[0].clamp(0, 1).mul(255).round().byte()
        encoded = cv2.imencode(path.suffix, restored.permute(1, 2, 0).numpy()[..., ::-1])[1]
        (target / path.name).write_bytes(encoded.tobytes())
    torch.set_num_threads(threads)
    cv2.setNumThreads(opencv_threads)


def pipeline(source: Path, target: Path, step: str, report: bool) -> None:
    """Restore a folder with restorekit."""
    shutil.rmtree(target, ignore_errors=True)
    result = restorekit.restore_folder(source, target, Options(steps=(Step.parse(step),), report=report))
    assert result.failed == 0


def main() -> None:
    """Print the ratio of the pipeline's time to the bare loop's for several restorers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="steps", action="append", help="restorers, by default median:3 and bilateral:15")
    arguments = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        make_pictures(source, arguments.pictures, arguments.side)
        for step in arguments.steps or ["median:3", "bilateral:15"]:
            pipeline(source, target, step, report=False)  # imports and caches are nobody's merit
            seconds = in_turn(
                {
                    "bare loop": lambda step=step: bare_loop(source, target, step),
                    "restorekit": lambda step=step: pipeline(source, target, step, report=False),
                    "restorekit with report": lambda step=step: pipeline(source, target, step, report=True),
                },
                arguments.rounds,
            )
            for name in ("restorekit", "restorekit with report"):
                rows.append([step, name, median_ratio(seconds[name], seconds["bare loop"])])
    print(f"{arguments.pictures} pictures of {arguments.side} px, {os.cpu_count()} cores")
    print_rows(["restorer", "contestant", "time / bare loop"], rows)


if __name__ == "__main__":
    main()
