"""Hands pictures to workers that may die, and gives what a dead one had to the others."""

from __future__ import annotations

import contextlib
import queue
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Protocol

from restorekit.batch.engines.engine import Answer, Deliver, Order, Task
from restorekit.batch.manifest import Record
from restorekit.batch.output import Finished
from restorekit.batch.workers import Stop
from restorekit.errors import WorkerError

__all__ = ["Dispatcher", "Worker", "WorkerDied"]

#: A place whose workers die as often as this, with no picture finished in between, is given up.
DEATHS_IN_A_ROW = 5

#: Seconds between looks at whether the run was told to stop.
LOOK = 0.2


class WorkerDied(Exception):
    """A worker ended before it had answered; the text says how."""


class Worker(Protocol):
    """A process that works on pictures. Its futures end with `WorkerDied` when it does."""

    ready: Future[None]

    def begin(self, task: Task) -> Future[Answer]:
        """Send it a picture."""
        ...

    def stop(self) -> None:
        """Ask it to leave what is not finished soon."""
        ...

    def kill(self) -> None:
        """End it, whatever it does."""
        ...


@dataclass(eq=False, slots=True)
class _Place:
    """A device, or a share of the cores, and the worker that is at it now."""

    name: str
    hire: Callable[[], Worker]
    worker: Worker | None = None
    ready: bool = False
    alone: bool = False
    deaths: int = 0
    tasks: list[Task] = field(default_factory=list)


class Dispatcher:
    """Keeps several workers busy.

    When a worker dies, its pictures are suspects: each is tried once more, alone in a worker and after the others. One
    that ends a worker again is recorded as failed, so that no picture can take the others down with it.

    Parameters
    ----------
    places : sequence of (str, callable)
        The name of each worker's place, and what starts a worker there.
    ahead : int
        Tasks that a worker is given before it has answered.
    order : Order
        The run.
    stop : Stop
        Ends it early.
    on_unexpected : callable
        Is given exceptions that nobody expected.
    """

    def __init__(
        self,
        places: Sequence[tuple[str, Callable[[], Worker]]],
        ahead: int,
        order: Order,
        stop: Stop,
        on_unexpected: Callable[[BaseException], None],
    ):
        self._places = [_Place(name, hire) for name, hire in places]
        self._ahead = ahead
        self._order = order
        self._stop = stop
        self._on_unexpected = on_unexpected
        self._events: queue.SimpleQueue[tuple[_Place, Worker, Task | None, Future]] = queue.SimpleQueue()
        self._todo: deque[Task] = deque()
        self._suspects: deque[Task] = deque()
        self._stopping = False

    @contextlib.contextmanager
    def open(self) -> Iterator[Dispatcher]:
        """Start the workers, and wait until one of them is ready; what it cannot load is raised here."""
        try:
            for place in self._places:
                self._hire(place)
            while not any(place.ready for place in self._places):
                self._listen(_deliver_nothing, _warn_nobody)
            yield self
        finally:
            for place in self._places:
                if place.worker is not None:
                    place.worker.kill()

    def __call__(self, tasks: Sequence[Task], deliver: Deliver, warn: Callable[[str], None]) -> None:
        """Work through the tasks.

        Raises
        ------
        WorkerError
            No worker stays alive.
        RestorekitError
            A worker found that nothing can be written any more.
        """
        self._todo.extend(tasks)
        while True:
            if self._stop.is_set() and not self._stopping:
                self._end_early()
            self._hand_out()
            if not (self._todo or self._suspects or any(place.tasks for place in self._places)):
                return
            self._listen(deliver, warn)

    def _end_early(self) -> None:
        self._stopping = True
        self._todo.clear()
        self._suspects.clear()
        for place in self._places:
            if place.worker is not None:
                place.worker.stop()

    def _hand_out(self) -> None:
        for place in self._places:
            while place.ready and not place.alone and self._todo and len(place.tasks) < self._ahead:
                self._begin(place, self._todo.popleft())
            if place.ready and not place.tasks and self._suspects:
                place.alone = True
                self._begin(place, self._suspects.popleft())

    def _begin(self, place: _Place, task: Task) -> None:
        worker = place.worker
        assert worker is not None
        place.tasks.append(task)
        worker.begin(task).add_done_callback(lambda future: self._events.put((place, worker, task, future)))

    def _hire(self, place: _Place) -> None:
        worker = place.worker = place.hire()
        place.ready = place.alone = False
        worker.ready.add_done_callback(lambda future: self._events.put((place, worker, None, future)))

    def _listen(self, deliver: Deliver, warn: Callable[[str], None]) -> None:
        """Wait a little for something to happen, and act on it."""
        try:
            place, worker, task, future = self._events.get(timeout=LOOK)
        except queue.Empty:
            return
        death = future.exception()
        if death is not None and not isinstance(death, WorkerDied):
            raise death
        if task is None:
            place.ready = death is None
        else:
            place.tasks.remove(task)
        if isinstance(death, WorkerDied):
            self._lost(place, worker, task, death, deliver, warn)
        elif task is not None:
            place.alone, place.deaths = False, 0
            self._take(future.result(), deliver)

    def _take(self, answer: Answer, deliver: Deliver) -> None:
        for error in answer.unexpected:
            self._on_unexpected(error)
        if answer.error is not None:
            raise answer.error
        if answer.finished is not None:
            # Each answer came with a copy of the settings; a million records shall share one.
            record = replace(answer.finished.record, settings=self._order.settings)
            deliver(replace(answer.finished, record=record), answer.preview)

    def _lost(
        self,
        place: _Place,
        worker: Worker,
        task: Task | None,
        death: WorkerDied,
        deliver: Deliver,
        warn: Callable[[str], None],
    ) -> None:
        """Take back what a dead worker had; start another in its place when all of that is back."""
        place.ready = False
        if task is not None and not self._stopping:
            if place.alone:
                deliver(Finished(self._blamed(task, death)), None)
            else:
                self._suspects.append(task)
        if place.tasks:
            return
        worker.kill()
        place.worker = None
        place.deaths += 1
        warn(f"the worker at {place.name} died ({death}); what it had is given to others")
        if self._stopping:
            return
        if place.deaths < DEATHS_IN_A_ROW:
            self._hire(place)
        elif all(other.worker is None for other in self._places):
            way_out = "what was finished is safe; look at the machine's memory, then run the same command again"
            raise WorkerError("workers", f"none stays alive (the last one died: {death})", way_out)

    def _blamed(self, task: Task, death: WorkerDied) -> Record:
        return Record(
            input=task.item.name,
            output=task.item.output,
            status="failed",
            reason=f"ended the worker that restored it, twice ({death}); it may need more memory than there is",
            settings=self._order.settings,
        )


def _deliver_nothing(finished: Finished, preview: object) -> None:
    raise AssertionError("nothing was handed out yet")


def _warn_nobody(line: str) -> None:
    """Say nothing: a worker that dies before the run begins is started again."""
