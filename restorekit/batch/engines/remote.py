"""What a worker in another process does, whatever started it, and what it is told."""

from __future__ import annotations

import contextlib
import os
import traceback
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import overload

import cv2
import torch

from restorekit.batch.engines.bench import Bench
from restorekit.batch.engines.engine import Answer, MakeChain, Order, Task
from restorekit.batch.engines.share import Share
from restorekit.batch.workers import Stop
from restorekit.errors import RestorekitError
from restorekit.inference import choose_runtime
from restorekit.inference.threads import use_cores
from restorekit.registry import registry

__all__ = ["Elsewhere", "Placement", "RemoteBench", "absolute", "sent"]


class Elsewhere(Exception):
    """An exception of another process, with its traceback as text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where a worker process works, and with what.

    Parameters
    ----------
    device, precision : str
        What its networks run on and in.
    share : Share
        What it may use.
    folder : str
        Where relative paths begin.
    environment : mapping
        Variables that the first process has and the worker may lack.
    """

    device: str
    precision: str
    share: Share
    folder: str = field(default_factory=os.getcwd)
    environment: Mapping[str, str] = field(
        default_factory=lambda: {key: value for key, value in os.environ.items() if key.startswith("RESTOREKIT_")}
    )


class RemoteBench:
    """A bench in a process that does nothing else.

    Parameters
    ----------
    order : Order
        The run.
    make : callable
        Makes its chain.
    placement : Placement
        Where.

    Raises
    ------
    RestorekitError
        The chain cannot be made here.
    """

    def __init__(self, order: Order, make: MakeChain, placement: Placement):
        os.environ.update(placement.environment)
        with contextlib.suppress(OSError):  # another machine may lack it, which matters to relative names only
            os.chdir(placement.folder)
        cv2.setNumThreads(placement.share.opencv)
        runtime = choose_runtime(placement.device, placement.precision)
        if runtime.device.type == "cuda":
            torch.cuda.set_device(runtime.device)
        self.stop = Stop()
        self._bench = Bench(order, make, runtime, registry(), self.stop, cores=placement.share.network)

    def restore(self, task: Task) -> Answer:
        """Carry one picture; what goes wrong is in the answer, in a form that can be sent."""
        use_cores(1)
        answer = self._bench.restore(task)
        return replace(
            answer,
            error=None if answer.error is None else sent(answer.error),
            unexpected=[Elsewhere("".join(traceback.format_exception(error))) for error in answer.unexpected],
        )

    def close(self) -> None:
        """Finish what was begun."""
        self._bench.close()


def sent(error: BaseException) -> BaseException:
    """Return an error that can be sent to another process and means the same there."""
    if isinstance(error, RestorekitError):
        return type(error)(*error.args)
    return Elsewhere("".join(traceback.format_exception(error)))


@overload
def absolute(thing: Order) -> Order: ...
@overload
def absolute(thing: Task) -> Task: ...
def absolute(thing: Order | Task) -> Order | Task:
    """Return an order or a task whose paths mean the same in another folder."""
    if isinstance(thing, Order):
        options = replace(thing.options, masks=_absolute(thing.options.masks))
        return replace(thing, output=_absolute(thing.output), options=options)
    item = replace(thing.item, source=_absolute(thing.item.source), mask=_absolute(thing.item.mask))
    return replace(thing, item=item)


def _absolute(path: Path | None) -> Path | None:
    return None if path is None else Path(os.path.abspath(path))  # noqa: PTH100 - resolve() would follow links
