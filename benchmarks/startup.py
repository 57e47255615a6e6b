"""Measures what starts take: the help, the listing, and a first picture from a cold process.

    python benchmarks/startup.py

Commands are run in turn, round by round. "First picture" is `restorekit restore` of a 128 px picture by a network; the
limit beside it is ``import torch`` and the network's own first call (weights loaded, nothing read or written), measured
here. Processor time is told beside wall time: it is the steadier of the two on a machine that others use too.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from common import print_rows

import restorekit
from restorekit.contract import Batch
from restorekit.inference import choose_runtime

_PICTURE = Path(__file__).parents[1] / "data/samples/small.png"


def main() -> None:
    """Print medians, and what a first picture takes beside twice the import of torch and the network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--with", dest="step", default="super-resolver:x4")
    arguments = parser.parse_args()
    own = first_call(arguments.step)
    with tempfile.TemporaryDirectory() as folder:
        restoring = ["restore", str(_PICTURE), "-o", folder, "--overwrite", "--with", arguments.step]
        commands = {
            "import torch": ["-c", "import torch"],
            "import typer": ["-c", "import typer"],
            "--help": ["-m", "restorekit", "--help"],
            "generators": ["-m", "restorekit", "generators"],
            "first picture": ["-m", "restorekit", *restoring],
        }
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
        for _ in range(arguments.rounds):
            for name, command in commands.items():
                taken[name].append(seconds([sys.executable, *command]))
    rows = [
        [name, *(statistics.median(column) for column in zip(*pairs, strict=True))] for name, pairs in taken.items()
    ]
    print_rows(["command", "seconds", "processor seconds"], [[name, *pair] for name, pair in medians.items()])
    ratios = []
    for column in (0, 1):
        pairs = zip(taken["first picture"], taken["import torch"], strict=True)
        ratios.append(statistics.median(first[column] / (imported[column] + own[column]) for first, imported in pairs))
    print(
        f"first picture / (import torch + {own[1]:.2f} s of the network): {told[0]:.2f}, processor time {told[1]:.2f}"
    )


def first_call(step: str) -> tuple[float, float]:
    """Return wall and processor seconds of a network's first call on a picture of the same size."""
    runtime = choose_runtime()
    restorer = restorekit.load(step).to(runtime.device)
    wall, processor = time.perf_counter(), time.process_time()
    with torch.inference_mode(), runtime.autocast(runtime.precision):
        restorer.restore(Batch(torch.rand(1, 3, 128, 128, device=runtime.device)))
    return time.perf_counter() - wall, time.process_time() - processor


def seconds(command: list[str]) -> tuple[float, float]:
    """Return wall and processor seconds of a command."""
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main()
