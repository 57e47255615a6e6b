"""What an engine is, and what goes to and fro between a run and those who work for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from restorekit.batch.chain import Chain
from restorekit.batch.manifest import Record
from restorekit.batch.options import BatchOptions
from restorekit.batch.output import Finished
from restorekit.batch.plan import Item
from restorekit.batch.previews import Preview
from restorekit.batch.workers import Stop
from restorekit.inference import Runtime
from restorekit.registry import Registry

__all__ = ["Answer", "Deliver", "Engine", "MakeChain", "Order", "Task", "Told", "Work", "unheard"]

#: Is told by a call that takes long which picture it is at, and which share of it, 0 to 1, is done.
Told = Callable[[str, float], None]

#: Makes a run's chain for a device; the chain asks between batches whether to stop. For other processes it is pickled.
MakeChain = Callable[[Runtime, Registry, Callable[[], bool], Told], Chain]


def unheard(name: str, done: float) -> None:
    """Nobody waits: what processes elsewhere are at is not told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is the same for all pictures of a run; may be sent to other processes.

    Parameters
    ----------
    output : Path
        The folder that outputs go to.
    settings : mapping
        Recorded with each picture.
    options : BatchOptions
        Formats, masks, limits.
    write_masks : bool
        Write each picture's mask beside it.
    """

    output: Path
    settings: Mapping[str, Any]
    options: BatchOptions
    write_masks: bool = False


@dataclass(frozen=True, slots=True)
class Task:
    """One picture to work on, what earlier runs recorded of it, and whether the report wants to show it."""

    item: Item
    earlier: Record | None = None
    with_preview: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a task; may come from another process.

    Parameters
    ----------
    finished : Finished, optional
        The picture's record, whether it was restored or failed; ``None`` where the run was told to stop before.
    preview : Preview, optional
        Where one was asked for.
    error : BaseException, optional
        Ends the whole run.
    unexpected : sequence of BaseException
        What nobody expected; the picture's record says that it failed.
    """

    finished: Finished | None = None
    preview: Preview | None = None
    error: BaseException | None = None
    unexpected: Sequence[BaseException] = ()


class Deliver(Protocol):
    """Takes finished pictures; called from any thread."""

    def __call__(self, finished: Finished, preview: Preview | None) -> None:
        """Put a picture in place, or record that it failed."""
        ...


class Work(Protocol):
    """Works through tasks; returns when all are delivered or the run was stopped."""

    def __call__(self, tasks: Sequence[Task], deliver: Deliver, warn: Callable[[str], None]) -> None:
        """Deliver each task's picture; ``warn`` is told of workers that were lost."""
        ...


class Engine(Protocol):
    """Where pictures are worked on.

    Parameters
    ----------
    runtime : Runtime
        The device and precision that networks run in; of the first worker where there are several.
    """

    runtime: Runtime

    def open(
        self, order: Order, stop: Stop, on_unexpected: Callable[[BaseException], None]
    ) -> contextlib.AbstractContextManager[Work]:
        """Load what the run needs; what cannot be loaded is told here, before anything is written.

        Raises
        ------
        UsageError, NotAvailable
            A step has settings that are not allowed, or something it needs is not here.
        """
        ...
