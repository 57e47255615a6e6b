"""Who is told how a run goes on, and what stops it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Protocol

from restorekit.batch.manifest import Record
from restorekit.batch.plan import Plan

__all__ = ["Listener", "Silent", "Stop"]


class Listener(Protocol):
    """Is told how a run goes on; called from several threads, one call at a time.

    It may also have two more. ``working(name, done)``: a generator whose calls take long is at this picture, and has
    done this share, 0 to 1, of the call; it comes from the thread that restores, whatever the others call meanwhile.
    ``warned(line)``: a worker process was lost, which concerns no picture yet.
    """

    def planned(self, plan: Plan) -> None:
        """The pictures are known."""
        ...

    def finished(self, record: Record) -> None:
        """One picture is done, skipped or failed, and safe on disk."""
        ...


class Silent:
    """A listener that says nothing."""

    def planned(self, plan: Plan) -> None:
        """Say nothing."""

    def finished(self, record: Record) -> None:
        """Say nothing."""


class Stop:
    """Set by the first SIGINT or SIGTERM; a second one ends the process the hard way, which is safe too.

    ``signal`` is the number of the one that came, 0 for none.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        self.signal = 0

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def set(self) -> None:
        """Ask everyone to stop."""
        self._event.set()

    @contextlib.contextmanager
    def on_signals(self) -> Iterator[None]:
        """Listen to signals; does nothing outside the main thread, where Python allows no handlers."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.getsignal(number) for number in numbers}

        def handle(number: int, _: object) -> None:
            self.signal = number
            self._event.set()
            for each, handler in before.items():
                signal.signal(each, handler)
            print("stopping after the pictures in work; once more to stop at once", file=sys.stderr)

        for number in numbers:
            signal.signal(number, handle)
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
