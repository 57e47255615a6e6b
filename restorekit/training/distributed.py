"""Which of several processes this is, as ``torchrun`` says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed

__all__ = ["Group", "process_group"]


@dataclass(frozen=True, slots=True)
class Group:
    """One process among its fellows."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0


@contextlib.contextmanager
def process_group() -> Iterator[Group]:
    """Join the processes that ``torchrun`` started (NCCL on GPUs, gloo elsewhere); alone, do nothing."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group()
        return
    group = Group(int(os.environ["RANK"]), world, int(os.environ.get("LOCAL_RANK", "0")))
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(group.local_rank)
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    try:
        yield group
    finally:
        torch.distributed.destroy_process_group()
