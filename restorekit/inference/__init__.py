"""Runs generators over whole pictures: device, precision, tiling, masks, alpha, grey and depth."""

from restorekit.inference.device import Runtime, choose_runtime
from restorekit.inference.halo import measure_halo
from restorekit.inference.job import Job, Outcome, Target
from restorekit.inference.restoration import Restoration

__all__ = ["Job", "Outcome", "Restoration", "Runtime", "Target", "choose_runtime", "measure_halo"]
