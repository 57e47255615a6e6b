"""``restore``: pictures through a chain of generators."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from restorekit.batch.options import BatchOptions
from restorekit.batch.run import Result, run
from restorekit.batch.workers import Listener, Stop
from restorekit.inference import Restoration, Target, choose_runtime
from restorekit.registry import Registry
from restorekit.specs import Step

__all__ = ["Options", "restore"]


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
    device, precision : str
        See `restorekit.inference.choose_runtime`.
    tile : int, optional
        Side of tiles in input pixels.
    batch_size : int, optional
        Tiles at once; by default 1 on a CPU and 8 on a GPU.
    """

    steps: tuple[Step, ...] = (Step("auto"),)
    target: Target = field(default_factory=Target)
    strength: float = 1.0
    device: str = "auto"
    precision: str = "auto"
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
    """
    runtime = choose_runtime(options.device, options.precision)
    on_cpu = runtime.device.type == "cpu"
    stop = Stop()
    chain = Restoration(
        options.steps,
        registry=registry,
        runtime=runtime,
        target=options.target,
        strength=options.strength,
        tile=options.tile,
        batch_size=options.batch_size or (1 if on_cpu else 8),
        stopped=stop.is_set,
        told=getattr(listener, "working", lambda name, done: None),
    )
    settings = {
        "steps": [str(step) for step in options.steps],
        "scale": options.target.scale,
        "size": list(options.target.size) if options.target.size else None,
        "strength": options.strength,
        "precision": runtime.precision,
        "tile": options.tile,
    }
    return run(
        inputs,
        output,
        options,
        chain,
        settings=settings,
        runtime=runtime,
        registry=registry,
        stop=stop,
        together=1 if on_cpu else 16,
        listener=listener,
        command=command,
        on_unexpected=on_unexpected,
    )
