"""Tells how far a measurement is that goes through several stages."""

from __future__ import annotations

import sys
import time
from typing import Any

from restorekit.cli.console import say

__all__ = ["Stages"]


class Stages:
    """Tells on stderr what is done: a live line on a terminal, a line now and then elsewhere.

    Parameters
    ----------
    every : float
        Seconds between lines where there is no terminal.
    """

    def __init__(self, every: float = 10.0):
        self._every = every
        self._told = time.monotonic()
        self._status: Any = None
        if sys.stderr.isatty():
            from rich.console import Console

            self._status = Console(stderr=True).status("loading")
            self._status.start()

    def progress(self, what: str, done: int, total: int) -> None:
        """Tell how many pictures of a stage are done."""
        if self._status is not None:
            self._status.update(f"{what}: {done} of {total} pictures")
        elif time.monotonic() - self._told >= self._every and done < total:
            self._told = time.monotonic()
            say(f"{what}: {done} of {total} pictures")

    def close(self) -> None:
        """Take the line away."""
        if self._status is not None:
            self._status.stop()
