"""The engine of one process: threads read, encode and write; one more thread runs the networks."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence

import cv2
import torch

from restorekit.batch.engines.bench import Bench
from restorekit.batch.engines.engine import Deliver, MakeChain, Order, Task, Told, Work, unheard
from restorekit.batch.engines.share import Share, divided
from restorekit.batch.workers import Stop
from restorekit.inference import Runtime
from restorekit.inference.threads import cores, use_cores
from restorekit.registry import Registry

__all__ = ["LocalEngine"]


class LocalEngine:
    """Works in threads of this process.

    Parameters
    ----------
    make : callable
        Makes the run's chain.
    runtime : Runtime
        Device and precision.
    registry : Registry
        The generators.
    told : callable, optional
        Is told of calls that take long.
    """

    def __init__(self, make: MakeChain, runtime: Runtime, registry: Registry, told: Told = unheard):
        self.runtime = runtime
        self._make = make
        self._registry = registry
        self._told = told

    @contextlib.contextmanager
    def open(self, order: Order, stop: Stop, on_unexpected: Callable[[BaseException], None]) -> Iterator[Work]:
        """Load the chain."""
        share = divided(cores(), limit=torch.get_num_threads(), pictures=order.options.workers)
        bench = Bench(order, self._make, self.runtime, self._registry, stop, cores=share.network, told=self._told)

        def work(tasks: Sequence[Task], deliver: Deliver, warn: Callable[[str], None]) -> None:
            few = divided(cores(), pictures=min(share.pictures, max(1, len(tasks))))
            _work_in_threads(bench, tasks, deliver, on_unexpected, stop, few)

        try:
            yield work
        finally:
            bench.close()


def _work_in_threads(
    bench: Bench,
    tasks: Sequence[Task],
    deliver: Deliver,
    on_unexpected: Callable[[BaseException], None],
    stop: Stop,
    share: Share,
) -> None:
    failures: list[BaseException] = []
    remaining = iter(tasks)
    taking = threading.Lock()

    def work() -> None:
        use_cores(1)
        while not stop.is_set():
            with taking:
                task = next(remaining, None)
            if task is None:
                return
            answer = bench.restore(task)
            for error in answer.unexpected:
                on_unexpected(error)
            if answer.error is not None:
                failures.append(answer.error)
                stop.set()
            if answer.finished is not None:
                deliver(answer.finished, answer.preview)

    opencv_threads = cv2.getNumThreads()
    cv2.setNumThreads(min(share.opencv, opencv_threads))
    threads = [threading.Thread(target=work, name=f"restorekit-{i}", daemon=True) for i in range(share.pictures)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # a join without end would not let signals through on every system
                thread.join(0.5)
    finally:
        cv2.setNumThreads(opencv_threads)
    if failures:
        raise failures[0]
