"""Which of several processes this is, as ``torchrun`` says."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.distributed

__all__ = ["Group", "process_group"]


@dataclass(slots=True)
class Group:
    """One process among its fellows."""

    rank: int = 0
    world: int = 1
    local_rank: int = 0
    #: Connects the processes' CPUs; ``None`` for a single process, and when the processes have left.
    control: torch.distributed.ProcessGroup | None = None

    @property
    def leads(self) -> bool:
        """Whether this process writes logs and checkpoints."""
        return self.rank == 0

    def any(self, flag: bool) -> bool:
        """Return whether any process says so; processes wait for each other, but not for their devices."""
        if self.world == 1:
            return flag
        told = torch.tensor(float(flag))
        torch.distributed.all_reduce(told, group=self.control)
        return bool(told > 0)


@contextlib.contextmanager
def process_group() -> Iterator[Group]:
    """Join the processes that ``torchrun`` started (NCCL on GPUs, gloo elsewhere); alone, do nothing."""
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield Group()
        return
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(local_rank)
    torch.distributed.init_process_group("nccl" if on_gpu else "gloo")
    group = Group(int(os.environ["RANK"]), world, local_rank)
    try:
        group.control = _control(on_gpu)
        yield group
        # All leave together: one that ends while others still write would take their connections with it.
        torch.distributed.barrier(group=group.control)
    finally:
        # Whoever still holds the group must not keep its threads alive: they would abort a process that is ending.
        group.control = None
        torch.distributed.destroy_process_group()


def _control(on_gpu: bool) -> torch.distributed.ProcessGroup:
    control = torch.distributed.new_group(backend="gloo") if on_gpu else torch.distributed.group.WORLD
    assert isinstance(control, torch.distributed.ProcessGroup)
    return control
