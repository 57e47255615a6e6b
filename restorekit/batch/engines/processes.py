"""The engine of several devices in one machine: a process each, that waits at a pipe for pictures."""

from __future__ import annotations

import contextlib
import functools
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext

import torch

from restorekit.batch.engines.dispatch import Dispatcher, WorkerDied
from restorekit.batch.engines.engine import Answer, MakeChain, Order, Task, Work
from restorekit.batch.engines.remote import Placement, RemoteBench, absolute, sent
from restorekit.batch.engines.share import divided
from restorekit.batch.workers import Stop
from restorekit.inference import Runtime
from restorekit.inference.threads import cores

__all__ = ["ProcessEngine"]


class ProcessEngine:
    """Works in processes of this machine, which share its cores.

    Parameters
    ----------
    make : callable
        Makes the run's chain; it is pickled.
    runtimes : sequence of Runtime
        Device and precision of each process.
    """

    def __init__(self, make: MakeChain, runtimes: Sequence[Runtime]):
        self.runtime = runtimes[0]
        self._make = make
        self._runtimes = runtimes

    @contextlib.contextmanager
    def open(self, order: Order, stop: Stop, on_unexpected: Callable[[BaseException], None]) -> Iterator[Work]:
        """Start the processes and load the chain in each."""
        order = absolute(order)
        share = divided(
            cores(), workers=len(self._runtimes), limit=torch.get_num_threads(), pictures=order.options.workers
        )
        start = functools.partial(_Process, _context(), order, self._make)
        places = []
        for number, runtime in enumerate(self._runtimes, 1):
            placement = Placement(device=str(runtime.device), precision=runtime.precision, share=share)
            places.append((f"{runtime.device}, process {number}", functools.partial(start, placement)))
        # Two more than it works on, so that it has the next one while its answer is on the way.
        with Dispatcher(places, share.pictures + 2, order, stop, on_unexpected).open() as dispatcher:
            yield dispatcher


def _context() -> BaseContext:
    """Return how processes are started: where the system can, forked from one that has imported what they need."""
    # Never forked from this one, which has threads and may have a GPU open.
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    return context


class _Process:
    """One worker process, seen from the process that it works for."""

    def __init__(self, context: BaseContext, order: Order, make: MakeChain, at: Placement):
        self.ready: Future[None] = Future()
        self._answers: dict[int, Future[Answer]] = {}
        self._guard = threading.Lock()
        self._dead: WorkerDied | None = None
        self._numbers = 0
        self._connection, theirs = context.Pipe()
        self._process = context.Process(  # pyright: ignore[reportAttributeAccessIssue]
            target=_serve, args=(theirs, order, make, at), name="restorekit-worker", daemon=True
        )
        self._process.start()
        theirs.close()
        threading.Thread(target=self._listen, name="restorekit-listen", daemon=True).start()

    def begin(self, task: Task) -> Future[Answer]:
        """Send it a picture."""
        future: Future[Answer] = Future()
        with self._guard:
            number, self._numbers = self._numbers, self._numbers + 1
            death = self._dead
            if death is None:
                self._answers[number] = future
        if death is None:
            self._send((number, absolute(task)))
        else:
            future.set_exception(death)
        return future

    def stop(self) -> None:
        """Ask it to leave what is not finished soon."""
        self._send(None)

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.join()

    def _send(self, message: object) -> None:
        with contextlib.suppress(OSError):  # it is dead, which the listening thread finds out
            self._connection.send(message)

    def _listen(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            while True:
                number, answer = self._connection.recv()
                if number is not None:
                    with self._guard:
                        future = self._answers.pop(number)
                    future.set_result(answer)
                elif answer is None:
                    self.ready.set_result(None)
                else:
                    self.ready.set_exception(answer)
        self._process.join()
        self._connection.close()
        death = WorkerDied(_ending(self._process.exitcode))
        with self._guard:
            self._dead = death
            waiting = [*self._answers.values(), *([] if self.ready.done() else [self.ready])]
        for future in waiting:
            future.set_exception(death)


def _ending(status: int | None) -> str:
    if status is not None and status < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-status).name
    return f"exit status {status}"


def _serve(connection: Connection, order: Order, make: MakeChain, placement: Placement) -> None:
    """Be a worker: tell that all is loaded, then answer until the other end closes."""
    # Ctrl-C goes to all processes of a terminal; the first one decides what becomes of the pictures in work.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    try:
        bench = RemoteBench(order, make, placement)
    except BaseException as error:
        connection.send((None, sent(error)))
        return
    sending = threading.Lock()

    def work(number: int, task: Task) -> None:
        try:
            answer = bench.restore(task)
            with sending:
                connection.send((number, answer))
        except BaseException:  # no answer would be waited for without end; an ended worker is noticed
            traceback.print_exc()
            os._exit(1)

    connection.send((None, None))
    pool = ThreadPoolExecutor(placement.share.pictures)
    try:
        while True:
            message = connection.recv()
            if message is None:
                bench.stop.set()
            else:
                pool.submit(work, *message)
    except (EOFError, OSError):
        os._exit(0)  # whoever asked is gone, and nobody puts in place what is not finished
