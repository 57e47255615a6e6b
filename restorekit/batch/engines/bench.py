"""Where one process does a run's work: a pipeline made ready, used by the local engine and by every remote worker."""

from __future__ import annotations

import threading

from restorekit.batch.chain import NetworkThread
from restorekit.batch.engines.engine import Answer, MakeChain, Order, Task, Told, unheard
from restorekit.batch.pipeline import Pipeline, PixelBudget
from restorekit.batch.workers import Stop
from restorekit.inference import Runtime
from restorekit.inference.executor import Cancelled
from restorekit.registry import Registry

__all__ = ["Bench"]

#: Pixels decoded at any time; each costs up to about 30 bytes while floats are computed from it.
PIXELS_IN_FLIGHT = 64_000_000

#: Pictures that a GPU is given at once where they wait for it.
TOGETHER = 16


class Bench:
    """A pipeline in this process.

    Parameters
    ----------
    order : Order
        The run.
    make : callable
        Makes its chain.
    runtime : Runtime
        Device and precision.
    registry : Registry
        The generators.
    stop : Stop
        Ends the work early.
    cores : int
        That the network thread may use.
    told : callable, optional
        Is told of calls that take long.

    Raises
    ------
    UsageError, NotAvailable
        The chain cannot be made.
    """

    def __init__(
        self,
        order: Order,
        make: MakeChain,
        runtime: Runtime,
        registry: Registry,
        stop: Stop,
        *,
        cores: int,
        told: Told = unheard,
    ):
        chain = make(runtime, registry, stop.is_set, told)
        self._network = NetworkThread(chain, 1 if runtime.device.type == "cpu" else TOGETHER, cores)
        self._here = threading.local()
        self._pipeline = Pipeline(
            output=order.output,
            chain=chain,
            network=self._network,
            registry=registry,
            settings=order.settings,
            budget=PixelBudget(PIXELS_IN_FLIGHT),
            options=order.options,
            write_masks=order.write_masks,
            on_unexpected=lambda error: self._here.unexpected.append(error),
        )

    def restore(self, task: Task) -> Answer:
        """Carry one picture from its file to files that wait aside; may be called from several threads at once."""
        self._here.unexpected = []
        try:
            finished, preview = self._pipeline.restore(task.item, task.earlier, task.with_preview)
        except Cancelled:
            return Answer()
        except BaseException as error:
            return Answer(error=error)
        return Answer(finished=finished, preview=preview, unexpected=self._here.unexpected)

    def close(self) -> None:
        """End the network thread after what was handed to it."""
        self._network.close()
