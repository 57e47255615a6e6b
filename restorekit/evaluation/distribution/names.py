"""The metrics of distributions by name, and which network each is on. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from restorekit.errors import UsageError

__all__ = ["DISTRIBUTION_METRICS", "KINDS", "is_distribution_metric", "metrics_on", "resolve"]

#: What can be computed of features; ``inception-score`` of Inception's alone.
KINDS = ("frechet", "kernel", "kernel-whole", "precision", "recall")
#: Those on Inception have names of their own: on another network they are other numbers, and are not called so.
_ON_INCEPTION = {
    "fid": "frechet",
    "kid": "kernel",
    "kid-whole": "kernel-whole",
    "inception-score": "inception-score",
    "precision": "precision",
    "recall": "recall",
}


def metrics_on(network: str) -> tuple[str, ...]:
    """Return the names of all metrics on a network.

    >>> metrics_on("squeezenet")[:2]
    ('frechet-squeezenet', 'kernel-squeezenet')
    """
    return tuple(_ON_INCEPTION) if network == "inception" else tuple(f"{kind}-{network}" for kind in KINDS)


#: Those on the bundled networks; networks that are registered have theirs, see `metrics_on`.
DISTRIBUTION_METRICS = (*metrics_on("inception"), *metrics_on("squeezenet"))


def is_distribution_metric(metric: str) -> bool:
    """Whether a name is that of a metric of distributions, on whichever network."""
    return metric in _ON_INCEPTION or _parted(metric) is not None


def resolve(metrics: Sequence[str]) -> tuple[str, dict[str, str]]:
    """Find the network and what to compute.

    Parameters
    ----------
    metrics : sequence of str
        Names of metrics on one network.

    Returns
    -------
    network : str
        Its name.
    kinds : dict of str to str
        By metric: one of `KINDS`, or ``"inception-score"``.

    Raises
    ------
    UsageError
        A name is unknown, or they are on several networks; or there is none.
    """
    if not metrics:
        raise UsageError("--metric", "names no metric", f"choose from {', '.join(DISTRIBUTION_METRICS)}")
    kinds: dict[str, str] = {}
    networks: dict[str, str] = {}
    for metric in metrics:
        parted = ("inception", _ON_INCEPTION[metric]) if metric in _ON_INCEPTION else _parted(metric)
        if parted is None:
            known = ", ".join(DISTRIBUTION_METRICS)
            raise UsageError("--metric", f"{metric!r} is no metric of distributions", f"choose from {known}")
        networks.setdefault(parted[0], metric)
        kinds[metric] = parted[1]
    if len(networks) > 1:
        first, second = list(networks.values())[:2]
        problem = f"{first} and {second} are on different networks"
        raise UsageError("--metric", problem, "measure them one after the other")
    return next(iter(networks)), kinds


def _parted(metric: str) -> tuple[str, str] | None:
    """Take ``KIND-NETWORK`` apart; the longest kind that fits counts."""
    for kind in sorted(KINDS, key=len, reverse=True):
        network = metric.removeprefix(f"{kind}-")
        if network not in (metric, "", "inception"):
            return network, kind
    return None
