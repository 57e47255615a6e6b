"""Measuring generators that make pictures: distances of distributions, likelihood, memorisation, linear probes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from restorekit.evaluation.generative.names import OWN_METRICS

if TYPE_CHECKING:
    from restorekit.evaluation.generative.bench import Questions, benchmark
    from restorekit.evaluation.generative.pictures import Splits, open_splits
    from restorekit.evaluation.generative.result import GenerativeBenchmark
    from restorekit.evaluation.generative.subjects import Subject, from_run, from_step

__all__ = [
    "OWN_METRICS",
    "GenerativeBenchmark",
    "Questions",
    "Splits",
    "Subject",
    "benchmark",
    "from_run",
    "from_step",
    "open_splits",
]

# Loaded on first use: the command line names metrics without paying for torch.
_HOMES = {
    "bench": ("Questions", "benchmark"),
    "pictures": ("Splits", "open_splits"),
    "result": ("GenerativeBenchmark",),
    "subjects": ("Subject", "from_run", "from_step"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
