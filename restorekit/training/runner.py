"""Trains a generator: what a caller gives, and what a run leaves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from restorekit.batch.lock import locked
from restorekit.batch.plan import Shard
from restorekit.inference.device import choose_runtime
from restorekit.registry import Registry
from restorekit.sources import Source
from restorekit.training.config import Plan
from restorekit.training.distributed import process_group
from restorekit.training.loop import Loop
from restorekit.training.starting import Start

__all__ = ["Run", "Watcher", "train"]


class Watcher(Protocol):
    """Is told how training goes on."""

    def logged(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Some steps are done."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What a training did.

    Parameters
    ----------
    folder : Path
        Holds ``weights.safetensors``, ``checkpoints``, ``log.jsonl``, ``samples``, ``curves.png``, ``config.json``.
    steps : int
        Done in all, resumed ones included.
    weights : Path
        The trained generator: its moving average where the trainer keeps one.
    metrics : mapping
        Of the last validation.
    skipped : int
        Updates left out since their gradients were not finite.
    interrupted : int
        The signal that ended it early; 0 for none.
    """

    folder: Path
    steps: int
    weights: Path
    metrics: Mapping[str, float]
    skipped: int
    interrupted: int = 0


def train(
    plan: Plan,
    data: Source,
    folder: Path,
    *,
    registry: Registry,
    validation: Source | None = None,
    start: Path | None = None,
    fitting: bool = False,
    device: str = "auto",
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    terms: str = "",
    watcher: Watcher | None = None,
) -> Run:
    """Train a generator.

    Every random draw is a function of (seed, step, global sample index), so a run that is killed and resumed ends with
    the same bits as one that was not, on the same kind of processor with the same number of threads.

    Parameters
    ----------
    plan : Plan
        The resolved configuration.
    data : Source
        Clean training pictures.
    folder : Path
        For everything the run leaves.
    registry : Registry
        Builds the generator.
    validation : Source, optional
        Clean pictures to measure on; the best checkpoint is kept by their PSNR.
    start : Path, optional
        Weights of the same generator to start from.
    fitting : bool, optional
        Take of them what fits the network: see `restorekit.training.starting.Start`.
    device : str
        See `restorekit.inference.choose_runtime`.
    steps, minutes : int, float, optional
        Stop after this many steps in all, or minutes in this call; the schedule's horizon is ``plan.run.steps``.
    resume : bool
        Go on from the last checkpoint in ``folder``.
    terms : str
        The data's terms of use, for the weights' header.
    watcher : Watcher, optional
        Is told of progress.

    Raises
    ------
    UsageError
        The folder holds a run already and ``resume`` is off.
    NotAvailable
        A device, plugin or checkpoint cannot be used.
    OutputError
        The folder cannot be written.
    RestorekitError
        The run diverged.
    """
    with process_group() as group:
        if group.world > 1 and device == "auto" and torch.cuda.is_available():
            device = f"cuda:{group.local_rank}"
        runtime = choose_runtime(device, plan.run.precision)
        folder.mkdir(parents=True, exist_ok=True)
        begin = None if start is None else Start(start, fitting)
        loop = Loop(plan, data, folder, registry, validation, begin, runtime, group, terms, watcher)
        if group.leads:
            with locked(folder, Shard()):
                done, interrupted = loop.run(steps, minutes, resume)
        else:
            done, interrupted = loop.run(steps, minutes, resume)
        skipped = int(loop.updater.skipped)
        return Run(folder, done, folder / "weights.safetensors", dict(loop.metrics), skipped, interrupted)
