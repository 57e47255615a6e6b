"""Chooses the engine that does what the user asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from restorekit.batch.engines.engine import Engine, MakeChain, Told, unheard
from restorekit.batch.engines.local import LocalEngine
from restorekit.batch.engines.processes import ProcessEngine
from restorekit.batch.engines.share import refuse_too_many
from restorekit.errors import NotAvailable, UsageError
from restorekit.inference import Runtime, choose_runtime
from restorekit.inference.threads import cores
from restorekit.registry import Registry

__all__ = ["ENGINES", "choose_engine"]

#: What ``--engine`` accepts.
ENGINES = ("local", "ray")


@contextlib.contextmanager
def choose_engine(
    name: str,
    make: MakeChain,
    registry: Registry,
    *,
    device: str = "auto",
    precision: str = "auto",
    processes: int | None = None,
    told: Told = unheard,
) -> Iterator[Engine]:
    """Provide the engine for a run.

    Parameters
    ----------
    name : str
        One of `ENGINES`.
    make : callable
        Makes the run's chain, in any process.
    registry : Registry
        The generators.
    device : str
        One device, or several separated by commas.
    precision : str
        See `restorekit.inference.choose_runtime`.
    processes : int, optional
        Worker processes; by default one for each device that is named.
    told : callable, optional
        Is told of calls that take long, where they are this process's own.

    Raises
    ------
    UsageError
        An unknown engine, device or precision, or devices that do not compute alike.
    NotAvailable
        A device, or what the engine needs, is not here.
    """
    if name not in ENGINES:
        raise UsageError("--engine", f"{name!r} is unknown", f"choose one of {', '.join(ENGINES)}")
    if processes is not None and processes < 1:
        raise UsageError("--processes", f"{processes} is out of range", "give 1 or more")
    if name == "ray":
        from restorekit.batch.engines.cluster import connected
        from restorekit.batch.engines.ray import RayEngine

        with connected():
            yield RayEngine(make, device=device, precision=precision, processes=processes)
        return
    runtimes = _runtimes(device, precision, processes)
    alone = len(runtimes) == 1
    yield LocalEngine(make, runtimes[0], registry, told) if alone else ProcessEngine(make, runtimes)


def _runtimes(device: str, precision: str, processes: int | None) -> list[Runtime]:
    """Return one runtime for each process."""
    names = [found for name in device.split(",") for found in _named(name.strip())]
    count = processes or len(names)
    if count < len(names):
        raise UsageError("--processes", f"{count} are too few for {len(names)} devices", "name fewer devices")
    runtimes = {name: choose_runtime(name, precision) for name in names}
    first, *others = runtimes.items()
    for name, runtime in others:
        if runtime.precision != first[1].precision:
            raise UsageError(
                "--device",
                f"{first[0]} would compute in {first[1].precision} and {name} in {runtime.precision}",
                "say which with --precision, so that all pictures are treated alike",
            )
    chosen = [runtimes[names[number % len(names)]] for number in range(count)]
    refuse_too_many(sum(runtime.device.type == "cpu" for runtime in chosen), cores())
    return chosen


def _named(device: str) -> list[str]:
    if device != "cuda:all":
        return [device]
    count = torch.cuda.device_count()
    if count == 0:
        raise NotAvailable("--device", "cuda:all finds no GPU", "use --device cpu, or look at `restorekit info`")
    return [f"cuda:{number}" for number in range(count)]
