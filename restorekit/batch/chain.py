"""What a run does to each picture, and the thread for what only one thread may do."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Protocol

from restorekit.inference import Job, Outcome
from restorekit.inference.threads import use_cores
from restorekit.specs import Step

__all__ = ["Chain", "NetworkThread"]


class Chain(Protocol):
    """Plans and applies steps: `restorekit.inference.Restoration`, or the opposite for ``degrade``."""

    def plan(self, job: Job) -> tuple[Step, ...]:
        """Decide the steps for one picture; may be called from several threads at once."""
        ...

    def concurrent(self, steps: Sequence[Step]) -> bool:
        """Whether `run` may be called with these steps from several threads at once."""
        ...

    def run(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        """Apply planned steps to pictures; failures are outcomes, not exceptions."""
        ...


class NetworkThread:
    """The one thread that runs generators which use all cores or a GPU; what waits for it is restored together.

    Parameters
    ----------
    chain : Chain
        Runs the pictures.
    group : int
        Pictures restored together at most.
    cores : int
        That tensor operations may use.
    """

    def __init__(self, chain: Chain, group: int, cores: int):
        self._chain = chain
        self._group = group
        self._cores = cores
        self._queue: queue.SimpleQueue[tuple[Job, tuple[Step, ...], Future[Outcome]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="restorekit-network", daemon=True)
        self._thread.start()

    def restore(self, job: Job, steps: tuple[Step, ...]) -> Outcome:
        """Hand a picture over and wait for it."""
        future: Future[Outcome] = Future()
        self._queue.put((job, steps, future))
        return future.result()

    def close(self) -> None:
        """End the thread after what was handed over."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        use_cores(self._cores)  # else it would take over what the other threads set for themselves
        while (first := self._queue.get()) is not None:
            group = [first]
            closing = False
            while len(group) < self._group and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    closing = True
                    break
                group.append(following)
            try:
                outcomes = self._chain.run([(job, steps) for job, steps, _ in group])
            except BaseException as error:
                for _, _, future in group:
                    future.set_exception(error)
            else:
                for (_, _, future), outcome in zip(group, outcomes, strict=True):
                    future.set_result(outcome)
            if closing:
                return
