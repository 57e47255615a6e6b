"""Comparing distributions of pictures: Fréchet and kernel distances, Inception Score, precision and recall."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from restorekit.evaluation.distribution.names import DISTRIBUTION_METRICS, is_distribution_metric, metrics_on

if TYPE_CHECKING:
    from restorekit.evaluation.distribution.folders import compare_folders, folder_statistics
    from restorekit.evaluation.distribution.frechet import frechet_distance
    from restorekit.evaluation.distribution.moments import Moments
    from restorekit.evaluation.distribution.networks import (
        FeatureNetwork,
        feature_network,
        feature_networks,
        register_feature_network,
    )
    from restorekit.evaluation.distribution.pictures import Reading
    from restorekit.evaluation.distribution.scores import Scores, Settings, distribution_scores
    from restorekit.evaluation.distribution.stored import Statistics, read_statistics, write_statistics

__all__ = [
    "DISTRIBUTION_METRICS",
    "FeatureNetwork",
    "Moments",
    "Reading",
    "Scores",
    "Settings",
    "Statistics",
    "compare_folders",
    "distribution_scores",
    "feature_network",
    "feature_networks",
    "folder_statistics",
    "frechet_distance",
    "is_distribution_metric",
    "metrics_on",
    "read_statistics",
    "register_feature_network",
    "write_statistics",
]

# Loaded on first use: the command line names metrics without paying for torch.
_HOMES = {
    "folders": ("compare_folders", "folder_statistics"),
    "frechet": ("frechet_distance",),
    "moments": ("Moments",),
    "networks": ("FeatureNetwork", "feature_network", "feature_networks", "register_feature_network"),
    "pictures": ("Reading",),
    "scores": ("Scores", "Settings", "distribution_scores"),
    "stored": ("Statistics", "read_statistics", "write_statistics"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
