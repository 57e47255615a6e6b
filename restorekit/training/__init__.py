"""One runner that trains every generator: data, updates, checkpoints, journal, many devices."""

from restorekit.training.config import Plan, RunConfig, load_plan
from restorekit.training.runner import Run, train

__all__ = ["Plan", "Run", "RunConfig", "load_plan", "train"]
