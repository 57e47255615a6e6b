"""How many cores this process may use, and how many of them one thread's tensor operations take."""

from __future__ import annotations

import math
import os
from pathlib import Path

import torch

__all__ = ["cores", "quota", "use_cores"]


def cores() -> int:
    """Return the cores that this process may use, which schedulers and containers make fewer than the machine has."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, quota())))


def quota(groups: Path = Path("/sys/fs/cgroup"), own: Path = Path("/proc/self/cgroup")) -> float:
    """Return the seconds of processor time that this process may use a second, as containers limit it.

    Parameters
    ----------
    groups : Path
        Where the kernel shows control groups (version 2 of them).
    own : Path
        The file that names this process's group.

    Returns
    -------
    float
        The least that its group and those around it allow; infinity where nothing is limited, or there are no groups.
    """
    try:
        path = next(line[3:] for line in own.read_text().splitlines() if line.startswith("0::"))
    except (OSError, StopIteration):
        return math.inf
    folder = groups / path.lstrip("/")
    return min(_allowed(each / "cpu.max") for each in (folder, *folder.parents) if each.is_relative_to(groups))


def _allowed(limit: Path) -> float:
    try:
        time, period = limit.read_text().split()
    except (OSError, ValueError):
        return math.inf
    return math.inf if time == "max" else int(time) / int(period)


def use_cores(count: int) -> None:
    """Let tensor operations of the calling thread use ``count`` cores, whatever other threads ask for."""
    # A thread takes over the last number that any thread has set when it first computes, so that must come before.
    torch.get_num_threads()
    torch.set_num_threads(count)
