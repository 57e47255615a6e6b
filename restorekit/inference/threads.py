"""How many cores this process may use, and how many of them one thread's tensor operations take."""

from __future__ import annotations

import os

import torch

__all__ = ["cores", "use_cores"]


def cores() -> int:
    """Return the cores that this process may use, which schedulers and containers make fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def use_cores(count: int) -> None:
    """Let tensor operations of the calling thread use ``count`` cores, whatever other threads ask for."""
    # A thread takes over the last number that any thread has set when it first computes, so that must come before.
    torch.get_num_threads()
    torch.set_num_threads(count)
