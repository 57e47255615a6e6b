"""Contestants in processes of their own that wait for their turn, so that they share neither allocator nor threads."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from kept import Values

__all__ = ["Prepare", "memory", "waiting"]

#: Importable; given a contestant's arguments, it loads what is needed and returns what warms up and what is timed.
Prepare = Callable[..., tuple[Callable[[], object], Callable[[], object]]]


def memory() -> tuple[int, int]:
    """Return this process's resident memory and its peak, in bytes (Linux)."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) * 1024, int(status["VmHWM"].split()[0]) * 1024


@contextlib.contextmanager
def waiting(
    prepare: Prepare, contestants: Mapping[str, tuple[object, ...]]
) -> Iterator[dict[str, Callable[[], Values]]]:
    """Start a process for each contestant and let it warm up.

    Yields
    ------
    dict
        By name, what gives a contestant a turn: wall and processor seconds, and its peak memory in bytes above what it
        had when all was loaded.
    """
    spawn = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        turns: dict[str, Callable[[], Values]] = {}
        for name, arguments in contestants.items():
            ours, theirs = spawn.Pipe()
            process = spawn.Process(target=_serve, args=(theirs, prepare, arguments), daemon=True)
            process.start()
            theirs.close()
            stack.callback(process.join)
            stack.callback(process.terminate)
            ours.recv()  # one after the other: nobody's start disturbs another's
            turns[name] = functools.partial(_turn, ours)
        yield turns


def _turn(end: Any) -> Values:
    end.send("run")
    return end.recv()


def _serve(end: Connection, prepare: Prepare, arguments: tuple[object, ...]) -> None:
    os.setsid()  # Ctrl-C is for the process that measures
    warm_up, contestant = prepare(*arguments)
    before, _ = memory()
    warm_up()
    end.send("ready")
    with contextlib.suppress(EOFError):  # whoever measured is gone
        while end.recv() == "run":
            wall, processor = time.perf_counter(), time.process_time()
            contestant()
            seconds = time.perf_counter() - wall, time.process_time() - processor
            end.send({"wall": seconds[0], "processor": seconds[1], "peak": memory()[1] - before})
