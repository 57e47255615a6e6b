"""The threads of a run: pictures taken one by one, put in place in groups, stopped by a signal or a full disk."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import cv2
import torch

from restorekit.batch.manifest import Manifest, Record
from restorekit.batch.output import Committer
from restorekit.batch.pipeline import Pipeline
from restorekit.batch.plan import Item, Plan
from restorekit.batch.report import Preview
from restorekit.inference.executor import Cancelled

__all__ = ["Listener", "Silent", "Stop", "work_through"]


class Listener(Protocol):
    """Is told how a run goes on; called from several threads, one call at a time.

    It may also have ``working(name, done)``: a generator whose calls take long is at this picture, and has done this
    share, 0 to 1, of the call. It comes from the thread that restores, whatever the others call meanwhile.
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


def work_through(
    pipeline: Pipeline,
    manifest: Manifest,
    items: Sequence[Item],
    earlier: Mapping[str, Record],
    listener: Listener,
    stop: Stop,
    *,
    workers: int | None = None,
    previews_wanted: int = 0,
) -> tuple[dict[str, Record], dict[str, Preview]]:
    """Run the pipeline over the items.

    Parameters
    ----------
    pipeline : Pipeline
        Carries one picture from file to file.
    manifest : Manifest
        Where results are recorded.
    items : sequence of Item
        The pictures.
    earlier : mapping
        What earlier runs recorded, by input name.
    listener : Listener
        Is told of each result.
    stop : Stop
        Ends the run early.
    workers : int, optional
        Pictures worked on at once; by default one more than there are cores, since some wait for the disk.
    previews_wanted : int
        How many pictures, evenly spread, get a preview.

    Returns
    -------
    records, previews : dict
        By input name; of the pictures that were reached.

    Raises
    ------
    OutputError
        Nothing can be written any more. What was finished before is recorded.
    """
    records: dict[str, Record] = {}
    previews: dict[str, Preview] = {}
    failures: list[BaseException] = []
    every = -(-len(items) // previews_wanted) if previews_wanted else 0
    with_preview = {item.name for item in items[::every]} if every else set()
    remaining = iter(items)
    taking = threading.Lock()

    def concluded(record: Record) -> None:
        records[record.input] = record
        listener.finished(record)

    committer = Committer(manifest, concluded)

    def work() -> None:
        torch.set_num_threads(1)  # of this thread: the network thread keeps its own
        while not stop.is_set() and committer.failure is None:
            with taking:
                item = next(remaining, None)
            if item is None:
                return
            try:
                finished, shown = pipeline.restore(item, earlier.get(item.name), item.name in with_preview)
            except Cancelled:
                return
            except BaseException as error:
                failures.append(error)
                stop.set()
                return
            if shown is not None:
                previews[item.name] = shown
            committer.submit(finished)

    count = min(workers or (os.cpu_count() or 1) + 1, max(1, len(items)))
    opencv_threads = cv2.getNumThreads()
    if count > 1:
        cv2.setNumThreads(1)  # the workers themselves keep the cores busy
    threads = [threading.Thread(target=work, name=f"restorekit-{i}", daemon=True) for i in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():  # a join without end would not let signals through on every system
                thread.join(0.5)
    finally:
        cv2.setNumThreads(opencv_threads)
        committer.close()
    if failures:
        raise failures[0]
    return records, previews
