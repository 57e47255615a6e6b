"""Measures how a run's time grows with the number and the size of pictures, with one and two workers, and with Ray.

    python benchmarks/scaling.py --quick
    python benchmarks/scaling.py --keep scaling.jsonl
    python benchmarks/scaling.py --pictures 1,100 --megapixels '' --engines local,processes

Every run is the command line in a process of its own, from a cold start to its end; engines take turns. Sizes are
measured with two pictures, so that two workers have one each. Progress is printed as it goes; with ``--keep`` every run
is written down as it ends, and the same command goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import make_large, make_pictures, print_rows
from kept import Kept, Values, missing, take_turns

#: What each engine adds to the command line, by the number of workers.
ENGINES = {
    "local": {1: []},
    "processes": {2: ["--device", "cpu,cpu"]},
    "ray": {1: ["--engine", "ray", "--processes", "1"], 2: ["--engine", "ray", "--processes", "2"]},
}
REFERENCE = "local, 1"


@dataclass(frozen=True)
class Case:
    """A folder of pictures, and what makes it."""

    name: str
    make: Callable[[Path], None]


def restore(source: Path, target: Path, step: str, options: Sequence[str]) -> Values:
    """Restore a folder with the command line."""
    shutil.rmtree(target, ignore_errors=True)
    command = [sys.executable, "-m", "restorekit", "restore", str(source), "-o", str(target)]
    begun = time.perf_counter()
    done = subprocess.run(
        [*command, "--with", step, "--no-report", *options], check=False, capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command[2:])}: exit status {done.returncode}\n{done.stderr}")
    return {"wall": time.perf_counter() - begun}


def ratios(kept: Kept, cases: Sequence[Case], engines: Sequence[str]) -> list[list[object]]:
    """Return each engine's time over that of one process, for each case."""

    def ratio(case: Case, engine: str) -> object:
        pairs = kept.beside(case.name, engine, REFERENCE)
        return statistics.median(own["wall"] / one["wall"] for own, one in pairs) if pairs else "not measured"

    return [[engine, *(ratio(case, engine) for case in cases)] for engine in engines]


def growth(kept: Kept, cases: Sequence[Case], engines: Sequence[str]) -> list[list[object]]:
    """Return each engine's seconds for each case, and how many times those of the smallest the largest takes."""

    def seconds(case: Case, engine: str) -> float | None:
        turns = [own["wall"] for own, _ in kept.beside(case.name, engine, REFERENCE)]
        return statistics.median(turns) if turns else None

    rows: list[list[object]] = []
    for engine in engines:
        found = [seconds(case, engine) for case in cases]
        grown = found[-1] / found[0] if found[0] and found[-1] else None
        rows.append([engine, *("not measured" if each is None else each for each in (*found, grown))])
    return rows


def overheads(kept: Kept, few: Case, many: Case, count: int, engines: Sequence[str]) -> list[list[object]]:
    """Split each engine's time into what a start costs, beyond that of one process, and what each picture costs."""
    rows: list[list[object]] = []
    for engine in engines:
        starts = [own["wall"] - one["wall"] for own, one in kept.beside(few.name, engine, REFERENCE)]
        least = [own["wall"] for own, _ in kept.beside(few.name, engine, REFERENCE)]
        most = [own["wall"] for own, _ in kept.beside(many.name, engine, REFERENCE)]
        if starts and most:
            each = (statistics.median(most) - statistics.median(least)) / count
            rows.append([engine, statistics.median(starts), 1000 * each])
    return rows


def main() -> None:
    """Print each engine's time over that of one process, how it grows, and its overheads."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", default="1,10,100,1000", help="numbers of small pictures")
    parser.add_argument("--megapixels", default="1,10,100", help="sizes of two pictures; '' leaves them out")
    parser.add_argument("--engines", default="local,processes,ray", help="local is always among them")
    parser.add_argument("--side", type=int, default=128, help="of small pictures")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--with", dest="step", default="bilateral:15")
    parser.add_argument("--keep", type=Path, help="file of JSON lines that results are added to and taken from")
    parser.add_argument("--minutes", type=float, help="begin no round after so many")
    parser.add_argument("--quick", action="store_true", help="1 and 10 pictures, 1 and 4 megapixels, no Ray, one round")
    arguments = parser.parse_args()
    if arguments.quick:
        vars(arguments).update(pictures="1,10", megapixels="1,4", engines="local,processes", rounds=1)
    counts, sizes = (
        [float(text) for text in listed.split(",") if text] for listed in (arguments.pictures, arguments.megapixels)
    )
    small = functools.partial(make_pictures, side=arguments.side)
    two = functools.partial(make_large, count=2)
    many = [Case(_counted(count, "picture"), functools.partial(small, count=int(count))) for count in counts]
    large = [Case(_counted(size, "megapixel"), functools.partial(two, megapixels=size)) for size in sizes]
    engines = {
        f"{name}, {workers}": options
        for name in dict.fromkeys(["local", *arguments.engines.split(",")])
        for workers, options in ENGINES[name].items()
    }
    conditions = {"step": arguments.step, "side": arguments.side, "threads": os.environ.get("OMP_NUM_THREADS", "")}
    kept = Kept(arguments.keep, conditions)
    try:
        measure(kept, [*many, *large], engines, arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    rounds = _counted(arguments.rounds, "round")
    print(f"{arguments.step}, {os.cpu_count()} cores, medians of {rounds} in turn; time / one process\n")
    names = list(engines)
    for cases in filter(None, (many, large)):
        print_rows(["engine, workers", *(case.name for case in cases)], ratios(kept, cases, names))
        print()
    print("seconds, and how many times as long the last takes as the first\n")
    for cases in filter(None, (many, large)):
        print_rows(["engine, workers", *(case.name for case in cases), "grows"], growth(kept, cases, names))
        print()
    if len(many) > 1:
        more = int(counts[-1] - counts[0])
        print_rows(
            ["engine, workers", "start: s more", "ms a picture"], overheads(kept, many[0], many[-1], more, names)
        )


def _counted(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def measure(
    kept: Kept, cases: Sequence[Case], engines: Mapping[str, Sequence[str]], arguments: argparse.Namespace
) -> None:
    """Let engines take turns at each case; a folder of pictures is there while it is measured."""
    until = None if arguments.minutes is None else time.monotonic() + 60 * arguments.minutes
    for case in cases:
        if not missing(kept, case.name, engines, REFERENCE, arguments.rounds):
            continue
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "in"), Path(folder, "out")
            case.make(source)
            runs = {
                name: functools.partial(restore, source, target, arguments.step, options)
                for name, options in engines.items()
            }
            take_turns(kept, case.name, runs, REFERENCE, arguments.rounds, until)


if __name__ == "__main__":
    main()
