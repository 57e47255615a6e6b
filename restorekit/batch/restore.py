"""``restore``: pictures through a chain of generators."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restorekit.batch.engines.choice import choose_engine
from restorekit.batch.engines.engine import Engine, Told, unheard
from restorekit.batch.options import BatchOptions
from restorekit.batch.results import Result
from restorekit.batch.run import run
from restorekit.batch.workers import Listener
from restorekit.inference import Restoration, Runtime, Target
from restorekit.registry import Registry
from restorekit.specs import Step

__all__ = ["Options", "check", "make_restoration", "restore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(BatchOptions):
    """How a folder is restored; see `BatchOptions` for files and machine.

    Parameters
    ----------
    steps : tuple of Step
        What is done to each picture.
    target : Target
        The outputs' size.
    strength : float
        0 to 1: blends each size-keeping step's result with its input.
    device : str
        One device (see `restorekit.inference.choose_runtime`) or several, separated by commas, with a process each;
        ``"cuda:all"`` means every GPU.
    precision : str
        See `restorekit.inference.choose_runtime`.
    processes : int, optional
        Worker processes, dealt to the devices in turn; by default one for each device that is named.
    engine : str
        ``"local"``, or ``"ray"`` for a cluster.
    tile : int, optional
        Side of tiles in input pixels; by default 400, or on a GPU what fits.
    batch_size : int, optional
        Tiles at once; by default 1 on a CPU, and as many as fit, up to 8, on a GPU.
    """

    steps: tuple[Step, ...] = (Step("auto"),)
    target: Target = field(default_factory=Target)
    strength: float = 1.0
    device: str = "auto"
    precision: str = "auto"
    processes: int | None = None
    engine: str = "local"
    tile: int | None = None
    batch_size: int | None = None


def restore(
    inputs: Sequence[str | os.PathLike[str]],
    output: Path,
    options: Options,
    *,
    registry: Registry,
    listener: Listener | None = None,
    command: str = "",
    on_unexpected: Callable[[BaseException], None] = lambda error: None,
) -> Result:
    """Restore pictures into a folder; see `restorekit.batch.run.run`.

    Raises
    ------
    UsageError
        The request is wrong, or the folder holds a run with other settings.
    NotAvailable
        A generator or device is not here.
    OutputError
        The folder is in use by another run, or nothing can be written any more.
    WorkerError
        No worker process stays alive.
    """
    with _engine(options, registry, getattr(listener, "working", unheard)) as engine:
        settings = {
            "steps": [str(step) for step in options.steps],
            "scale": options.target.scale,
            "size": list(options.target.size) if options.target.size else None,
            "strength": options.strength,
            "precision": engine.runtime.precision,
            "tile": options.tile,
        }
        return run(
            inputs,
            output,
            options,
            engine,
            settings=settings,
            registry=registry,
            listener=listener,
            command=command,
            on_unexpected=on_unexpected,
        )


def check(options: Options, registry: Registry) -> None:
    """Refuse what a run would refuse, without running.

    Raises
    ------
    UsageError
        The request is wrong.
    NotAvailable
        A generator, device or cluster is not here.
    """
    with _engine(options, registry) as engine:
        make_restoration(options, engine.runtime, registry, lambda: False)


def _engine(options: Options, registry: Registry, told: Told = unheard) -> contextlib.AbstractContextManager[Engine]:
    return choose_engine(
        options.engine,
        functools.partial(make_restoration, options),
        registry,
        device=options.device,
        precision=options.precision,
        processes=options.processes,
        told=told,
    )


def make_restoration(
    options: Options, runtime: Runtime, registry: Registry, stopped: Callable[[], bool], told: Told = unheard
) -> Restoration:
    """Load the steps of a run on a device, in whatever process that is in."""
    return Restoration(
        options.steps,
        registry=registry,
        runtime=runtime,
        target=options.target,
        strength=options.strength,
        tile=options.tile,
        batch_size=options.batch_size,
        stopped=stopped,
        told=told,
    )
