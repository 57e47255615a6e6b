"""Contestants in processes of their own that wait for their turn, so that they share neither allocator nor threads."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

__all__ = ["Measured", "memory", "rounds_in_processes"]


@dataclass(slots=True)
class Measured:
    """One contestant: wall and processor seconds of each round, and its peak memory above what it began with."""

    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    peak: int = 0


def memory() -> tuple[int, int]:
    """Return this process's resident memory and its peak, in bytes (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024, int(status["VmHWM"].split()[0]) * 1024


def rounds_in_processes(
    prepare: Callable[..., Callable[[], object]], contestants: Mapping[str, tuple[object, ...]], rounds: int
) -> dict[str, Measured]:
    """Time contestants in turn, each in a process that has prepared itself and has run once to warm up.

    Parameters
    ----------
    prepare : callable
        Importable; given a contestant's arguments, it loads what is needed and returns what is timed.
    contestants : mapping
        Arguments by name.
    rounds : int
        How often each is timed.
    """
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        ends: dict[str, Connection] = {}
        for name, arguments in contestants.items():
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
            process.start()
            stack.callback(process.join)
            ends[name] = ours
            ours.recv()  # one after the other: nobody's start disturbs another's
        results = {name: Measured() for name in contestants}
        for _ in range(rounds):
            for name, end in ends.items():
                end.send("run")
                wall, processor, peak = end.recv()
                results[name].wall.append(wall)
                results[name].processor.append(processor)
                results[name].peak = peak
        for end in ends.values():
            end.send("end")
    return results


def _serve(end: Connection, prepare: Callable[..., Callable[[], object]], arguments: tuple[object, ...]) -> None:
    contestant = prepare(*arguments)
    before, _ = memory()
    contestant()
    end.send("ready")
    while end.recv() == "run":
        wall, processor = time.perf_counter(), time.process_time()
        contestant()
        seconds = time.perf_counter() - wall, time.process_time() - processor
        end.send((*seconds, memory()[1] - before))
