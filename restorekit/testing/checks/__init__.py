"""The checks, in the order in which they are made: the first failure is often the cause of those after it."""

from __future__ import annotations

from restorekit.testing.check import Check
from restorekit.testing.checks import deciding, describing, networks, restoring, safety, sampling, teaching, whole
from restorekit.testing.checks.describing import loads
from restorekit.testing.checks.subject import Subject

__all__ = ["CHECKS", "Subject", "loads"]

#: The one list.
CHECKS: tuple[Check, ...] = (
    *describing.CHECKS,
    *restoring.CHECKS,
    *whole.CHECKS,
    *sampling.CHECKS,
    *deciding.CHECKS,
    *networks.CHECKS,
    *teaching.CHECKS,
    *safety.CHECKS,
)
