"""Self-describing weights: safetensors files that say which generator they are for and how good they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from restorekit.weights.files import WeightsFile, read, read_header, verify, write
from restorekit.weights.header import Header, Metric

if TYPE_CHECKING:
    from restorekit.weights.networks import load_into, networks_of, save, state_of

__all__ = [
    "Header",
    "Metric",
    "WeightsFile",
    "load_into",
    "networks_of",
    "read",
    "read_header",
    "save",
    "state_of",
    "verify",
    "write",
]


def __getattr__(name: str) -> object:
    # These bring torch along; headers and listings do without.
    if name in {"load_into", "networks_of", "save", "state_of"}:
        from restorekit.weights import networks

        return getattr(networks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
