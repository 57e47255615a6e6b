"""Connects to a Ray cluster, or starts a private one, and divides it among actors."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from restorekit.errors import NotAvailable, UsageError
from restorekit.inference.threads import cores

if "ray" not in sys.modules and not os.environ.get("RAY_ADDRESS"):
    # Read when Ray is imported. It listens on all interfaces, so a cluster of our own asks who connects for a secret.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}

try:
    ray: Any = importlib.import_module("ray")
except ImportError as error:
    raise NotAvailable("--engine", "Ray is not installed", "pip install 'restorekit[ray]'") from error

__all__ = ["Share", "connected", "ray", "share"]

#: Cores of one actor without a GPU, at most: one network does not keep more of them busy.
CORES = 8

#: Bytes of the object store of a cluster that is started for one run: names and records are all that goes through it.
STORE = 80 * 2**20


class Share(NamedTuple):
    """How many actors there are, and what each gets."""

    actors: int
    cores: int
    gpus: int


@contextlib.contextmanager
def connected() -> Iterator[None]:
    """Connect to the cluster that ``RAY_ADDRESS`` names, or start one on this machine that ends with the block.

    A cluster of our own talks over the loopback interface, wants a secret from whoever connects, and reports to nobody.

    Raises
    ------
    NotAvailable
        There is no cluster at that address.
    """
    if ray.is_initialized():  # by a program that calls us, and that ends it
        yield
        return
    quiet: Mapping[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    address = os.environ.get("RAY_ADDRESS")
    with contextlib.redirect_stdout(sys.stderr):  # where Ray tells of workers that died; stdout is for results
        if address:
            try:
                ray.init(address=address, **quiet)
            except ConnectionError as error:
                way_out = "check RAY_ADDRESS, and whether it asks for a token (RAY_AUTH_MODE=token)"
                raise NotAvailable("--engine", f"no Ray cluster answers at {address}", way_out) from error
        else:
            # Not 127.0.0.1, which Ray takes for "find an address that others can reach".
            loopback = {"_node_ip_address": "127.0.0.2"} if sys.platform == "linux" else {}
            own = {"num_cpus": cores(), "include_dashboard": False, "object_store_memory": STORE}
            ray.init(address="local", **own, **loopback, **quiet)
        try:
            yield
        finally:
            ray.shutdown()


def share(nodes: Sequence[Mapping[str, float]], device: str, processes: int | None) -> Share:
    """Divide a cluster.

    Parameters
    ----------
    nodes : sequence of mapping
        The resources of each machine, as Ray counts them (``"CPU"``, ``"GPU"``).
    device : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.
    processes : int, optional
        How many actors are wanted.

    Raises
    ------
    UsageError
        More actors than GPUs or cores.
    NotAvailable
        No GPU where one was asked for.
    """
    machines = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
    gpus = sum(gpu for _, gpu in machines)
    if device == "cuda" and not gpus:
        raise NotAvailable("--device", "the Ray cluster has no GPU", "use --device cpu, or add a machine with one")
    if gpus and device != "cpu":
        if processes is not None and processes > gpus:
            raise UsageError("--processes", f"{processes} are more than the cluster's {gpus} GPUs", "ask for fewer")
        beside = min(cpu // gpu for cpu, gpu in machines if gpu)
        return Share(processes or gpus, max(1, min(CORES, beside)), 1)
    sizes = [cpu for cpu, _ in machines if cpu]
    fitting = [size for size in range(1, CORES + 1) if sum(cpu // size for cpu in sizes) >= (processes or 1)]
    if not fitting:
        raise UsageError("--processes", f"{processes} are more than the cluster's {sum(sizes)} cores", "ask for fewer")
    each = min(fitting[-1], min(sizes))
    return Share(processes or sum(cpu // each for cpu in sizes), each, 0)
