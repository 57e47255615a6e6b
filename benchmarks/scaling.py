"""Measures what several processes and Ray cost and gain over one process, from 1 to 1,000 pictures.

    python benchmarks/scaling.py --pictures 1,10,100,1000 --engines local,processes,ray

Every run is the command line in a process of its own, from a cold start to its end; engines take turns.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from common import in_turn, make_pictures, median_ratio, print_rows

#: What each engine adds to the command line, by the number of workers.
ENGINES = {
    "local": {1: []},
    "processes": {2: ["--device", "cpu,cpu"]},
    "ray": {1: ["--engine", "ray", "--processes", "1"], 2: ["--engine", "ray", "--processes", "2"]},
}


def restore(source: Path, target: Path, step: str, options: Sequence[str]) -> None:
    """Restore a folder with the command line."""
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "restorekit", "restore", str(source), "-o", str(target)]
    begun = time.perf_counter()
    subprocess.run([*command, "--with", step, "--no-report", *options], check=True, capture_output=True)
    print(f"{source.name} {' '.join(options)}: {time.perf_counter() - begun:.1f} s", file=sys.stderr)


def overheads(seconds: Mapping[str, Mapping[int, Sequence[float]]], counts: Sequence[int]) -> list[list[object]]:
    """Split each engine's time into what a start costs, beyond that of one process, and what each picture costs."""
    few, many = min(counts), max(counts)
    rows: list[list[object]] = []
    for name, times in seconds.items():
        start = statistics.median(a - b for a, b in zip(times[few], seconds["local, 1"][few], strict=True))
        each = statistics.median((b - a) / (many - few) for a, b in zip(times[few], times[many], strict=True))
        rows.append([name, start, 1000 * each])
    return rows


def main() -> None:
    """Print each engine's time over that of one process, and its overheads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="1,10,100,1000")
    parser.add_argument("--engines", default="local,processes,ray")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="step", default="bilateral:15")
    arguments = parser.parse_args()
    counts = [int(text) for text in arguments.pictures.split(",")]
    engines = {
        f"{name}, {workers}": options
        for name in arguments.engines.split(",")
        for workers, options in ENGINES[name].items()
    }
    seconds: dict[str, dict[int, list[float]]] = {name: {} for name in engines}
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "out")
        for count in counts:
            source = Path(folder, f"in-{count}")
            make_pictures(source, count, arguments.side)
            runs = {
                name: lambda options=options, source=source: restore(source, target, arguments.step, options)
                for name, options in engines.items()
            }
            for name, times in in_turn(runs, arguments.rounds).items():
                seconds[name][count] = times
    print(f"{arguments.step}, {arguments.side} px, {os.cpu_count()} cores, {arguments.rounds} rounds")
    print_rows(
        ["engine, workers", *(f"{count} pictures" for count in counts)],
        [[name, *(median_ratio(times[n], seconds["local, 1"][n]) for n in counts)] for name, times in seconds.items()],
    )
    print("time / one process\n")
    print_rows(["engine, workers", "start: s more", "ms a picture"], overheads(seconds, counts))


if __name__ == "__main__":
    main()
