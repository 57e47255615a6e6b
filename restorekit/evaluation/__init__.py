"""Measuring restorers: numbers that carry the protocol by which they were computed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.evaluation.comparison import Comparison, compare, read_record
    from restorekit.evaluation.fidelity import Fidelity
    from restorekit.evaluation.folders import Evaluation, evaluate
    from restorekit.evaluation.intervals import average, interval
    from restorekit.evaluation.pairing import Pairing, pair
    from restorekit.evaluation.perceptual import perceptual_metric
    from restorekit.evaluation.protocol import Facts, described, differences

__all__ = [
    "Comparison",
    "Evaluation",
    "Facts",
    "Fidelity",
    "Pairing",
    "average",
    "compare",
    "described",
    "differences",
    "evaluate",
    "interval",
    "pair",
    "perceptual_metric",
    "read_record",
]

# Loaded on first use: whoever imports one metric does not pay for the others.
_HOMES = {
    "comparison": ("Comparison", "compare", "read_record"),
    "fidelity": ("Fidelity",),
    "folders": ("Evaluation", "evaluate"),
    "intervals": ("average", "interval"),
    "pairing": ("Pairing", "pair"),
    "perceptual": ("perceptual_metric",),
    "protocol": ("Facts", "described", "differences"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
