"""The engine of a Ray cluster: an actor for each GPU, or for a share of each machine's cores.

Plain actors rather than a Ray Data pipeline: see ``docs/cluster.md``. Inputs and outputs are files that all machines
see; through Ray go only names and records.
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from typing import Any

import torch

from restorekit.batch.engines.cluster import ray, share
from restorekit.batch.engines.dispatch import Dispatcher, WorkerDied
from restorekit.batch.engines.engine import Answer, MakeChain, Order, Task, Work
from restorekit.batch.engines.remote import Placement, RemoteBench, absolute, sent
from restorekit.batch.engines.share import divided
from restorekit.batch.workers import Stop
from restorekit.errors import NotAvailable, UsageError
from restorekit.inference import Runtime, choose_runtime
from restorekit.inference.device import PRECISIONS

__all__ = ["RayEngine"]


class RayEngine:
    """Works in actors of the Ray cluster that this process is connected to.

    Parameters
    ----------
    make : callable
        Makes the run's chain; it is pickled.
    device : str
        ``"auto"`` (GPUs where the cluster has any), ``"cpu"`` or ``"cuda"``.
    precision : str
        See `restorekit.inference.choose_runtime`; ``"auto"`` is decided where the first actor may run.
    processes : int, optional
        Actors; by default one for each GPU, or for every 8 cores.

    Raises
    ------
    UsageError
        The device is none of these, or there are fewer GPUs or cores than actors.
    NotAvailable
        The cluster has no GPU and one was asked for.
    """

    def __init__(self, make: MakeChain, *, device: str = "auto", precision: str = "auto", processes: int | None = None):
        if device not in ("auto", "cpu", "cuda"):
            raise UsageError("--device", f"{device} is for one machine", "with --engine ray use auto, cpu or cuda")
        self._make = make
        self._share = share([node["Resources"] for node in ray.nodes() if node["Alive"]], device, processes)
        self._resources = {"num_cpus": self._share.cores, "num_gpus": self._share.gpus}
        self.runtime = self._runtime("cuda" if self._share.gpus else "cpu", precision)

    def _runtime(self, kind: str, precision: str) -> Runtime:
        """Ask a machine of the cluster: this one may have no GPU, or other cores."""
        if precision != "auto" and precision in PRECISIONS:
            return Runtime(torch.device(kind), precision, "asked for")  # pyright: ignore[reportArgumentType]
        return ray.get(ray.remote(choose_runtime).options(**self._resources).remote(kind, precision))

    @contextlib.contextmanager
    def open(self, order: Order, stop: Stop, on_unexpected: Callable[[BaseException], None]) -> Iterator[Work]:
        """Start the actors and load the chain in each."""
        order = absolute(order)
        actors, wanted = self._share.actors, order.options.workers
        own = divided(self._share.cores, pictures=max(1, wanted // actors) if wanted else None)
        placement = Placement(device=str(self.runtime.device), precision=self.runtime.precision, share=own)
        hire = functools.partial(_RayWorker, self._resources, order, self._make, placement)
        places = [(f"Ray actor {number}", hire) for number in range(1, actors + 1)]
        with Dispatcher(places, own.pictures + 2, order, stop, on_unexpected).open() as dispatcher:
            yield dispatcher


class _RayWorker:
    """One actor, seen from the process that it works for."""

    def __init__(self, resources: Mapping[str, Any], order: Order, make: MakeChain, placement: Placement):
        actor = ray.remote(concurrency_groups={"control": 1})(_Actor)
        self._actor = actor.options(**resources, max_concurrency=placement.share.pictures, max_restarts=0).remote()
        self.ready: Future[None] = Future()
        _answered(self._actor.prepare.remote(order, make, placement)).add_done_callback(self._prepared)

    def _prepared(self, answer: Future[BaseException | None]) -> None:
        error = answer.exception() or answer.result()
        if error is None:
            self.ready.set_result(None)
        else:
            self.ready.set_exception(error)

    def begin(self, task: Task) -> Future[Answer]:
        """Send it a picture."""
        return _answered(self._actor.restore.remote(absolute(task)))

    def stop(self) -> None:
        """Ask it to leave what is not finished soon."""
        with contextlib.suppress(ray.exceptions.RayError):  # it may be dead, and the cluster with it
            self._actor.stop.options(concurrency_group="control").remote()

    def kill(self) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(ray.exceptions.RayError):
            ray.kill(self._actor)


def _answered(reference: Any) -> Future[Any]:
    """Turn what Ray says of lost actors into `WorkerDied`; a picture's own failure is an answer like any other."""
    answer: Future[Any] = Future()

    def settle(told: Future[Any]) -> None:
        error = told.exception()
        if error is None:
            answer.set_result(told.result())
        elif isinstance(error, ray.exceptions.RayTaskError):
            answer.set_exception(error)  # raised outside any picture: a defect
        elif isinstance(error, ray.exceptions.RayError):
            answer.set_exception(WorkerDied(_ending(error)))
        else:
            answer.set_exception(error)

    reference.future().add_done_callback(settle)
    return answer


def _ending(error: BaseException) -> str:
    """Say in a few words what Ray says at length."""
    found = re.search(r"Worker exit detail: ([^.\n]+)", str(error)) or re.search(
        r"(node[^.\n]*died[^.\n]*)", str(error)
    )
    return found[1] if found else type(error).__name__


class _Actor:
    """A bench in a process of the cluster."""

    def prepare(self, order: Order, make: MakeChain, placement: Placement) -> BaseException | None:
        """Load the chain; what goes wrong is returned, since an actor that raises here is only said to be dead."""
        try:
            self._bench = RemoteBench(order, make, placement)
        except BaseException as error:
            return sent(error)
        self._output = order.output
        return None

    def restore(self, task: Task) -> Answer:
        """Carry one picture; several calls run at once."""
        if not self._output.is_dir():
            problem = f"is not there on {socket.gethostname()}"
            way_out = "put inputs and outputs where all machines of the cluster see them"
            return Answer(error=NotAvailable(self._output, problem, way_out))
        return self._bench.restore(task)

    def stop(self) -> None:
        """Leave what is not finished soon."""
        self._bench.stop.set()
