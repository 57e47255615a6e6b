"""Measures whether memory or open files grow with the number of pictures.

    python benchmarks/growth.py --pictures 10000 --side 16

Runs the command line over many tiny pictures and looks at all of its processes while it works.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from common import make_pictures, print_rows


def descendants(process: int) -> Iterator[int]:
    """Yield a process and all that come from it."""
    yield process
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        for child in task.read_text().split():
            yield from descendants(int(child))


def looked_at(process: int) -> tuple[float, int]:
    """Return resident memory in MiB and open descriptors of a process and all that come from it."""
    memory, files = 0, 0
    for each in descendants(process):
        try:
            status = Path(f"/proc/{each}/status").read_text()
            memory += int(status.partition("VmRSS:")[2].split()[0])
            files += sum(1 for _ in Path(f"/proc/{each}/fd").iterdir())
        except (FileNotFoundError, ProcessLookupError, IndexError):  # it has just ended
            continue
    return memory / 1024, files


def watched(command: Sequence[str], output: Path, interval: float) -> list[tuple[int, float, int]]:
    """Run a command; return how many pictures there were, memory and descriptors, every ``interval`` seconds."""
    samples = []
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None:
            time.sleep(interval)
            done = sum(1 for _ in output.glob("0*")) if output.is_dir() else 0
            if done and process.poll() is None:
                samples.append((done, *looked_at(process.pid)))
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return samples


def main() -> None:
    """Print memory and descriptors as the run goes on, and how they grow in its second half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=16)
    parser.add_argument("--interval", type=float, default=1.0)
    parser.add_argument("--with", dest="step", default="median:3")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in"), Path(folder, "out")
        make_pictures(source, arguments.pictures, arguments.side)
        command = [sys.executable, "-m", "restorekit", "restore", str(source), "-o", str(target), "--no-report"]
        samples = watched(
            [*command, "--with", arguments.step, "--device", arguments.device], target, arguments.interval
        )
    done, memory, files = (np.array(column, float) for column in zip(*samples, strict=True))
    shown = np.unique(np.searchsorted(done, np.linspace(done[0], done[-1], 9)))
    print(f"{arguments.pictures} pictures of {arguments.side} px, {arguments.step}, --device {arguments.device}")
    print_rows(["pictures", "MiB", "descriptors"], [[int(done[i]), memory[i], int(files[i])] for i in shown])
    later = done > arguments.pictures / 2
    slope = np.polyfit(done[later], memory[later], 1)[0] * 1024
    print(
        f"second half: {slope:+.2f} KiB a picture, descriptors {int(files[later].min())} to {int(files[later].max())}"
    )


if __name__ == "__main__":
    main()
