"""Measuring restorers side by side: clean pictures damaged in a stated way, restored by each, and one table."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.evaluation.benchmarking.bench import Listener
    from restorekit.evaluation.benchmarking.competitors import Competitor, baselines
    from restorekit.evaluation.benchmarking.conditions import Conditions, published_conditions
    from restorekit.evaluation.benchmarking.pictures import PictureSet, picture_set
    from restorekit.evaluation.benchmarking.processes import Machine
    from restorekit.evaluation.benchmarking.result import Benchmark, Row
    from restorekit.evaluation.benchmarking.run import benchmark

__all__ = [
    "Benchmark",
    "Competitor",
    "Conditions",
    "Listener",
    "Machine",
    "PictureSet",
    "Row",
    "baselines",
    "benchmark",
    "picture_set",
    "published_conditions",
]

# Loaded on first use: the process that restores must not carry what the one that measures needs.
_HOMES = {
    "bench": ("Listener",),
    "processes": ("Machine",),
    "run": ("benchmark",),
    "competitors": ("Competitor", "baselines"),
    "conditions": ("Conditions", "published_conditions"),
    "pictures": ("PictureSet", "picture_set"),
    "result": ("Benchmark", "Row"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
