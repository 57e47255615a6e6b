"""Puts finished pictures in place: written aside, synced, announced in the manifest, renamed, recorded."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restorekit.batch.manifest import Manifest, Record
from restorekit.errors import OutputError
from restorekit.files import sync_folder, write_error

__all__ = ["Committer", "Finished"]


@dataclass(frozen=True, slots=True)
class Finished:
    """A picture's record, and the files that wait aside with the places they go to (none where it failed)."""

    record: Record
    files: tuple[tuple[Path, Path], ...] = ()

    def discard(self) -> None:
        """Delete what waits aside."""
        for aside, _ in self.files:
            aside.unlink(missing_ok=True)


class Committer:
    """A thread that puts finished pictures in place, as many at once as have gathered.

    Three syncs a picture would cost more than decoding and encoding a small one; here a group shares two of the
    manifest's and one of each folder's.

    Parameters
    ----------
    manifest : Manifest
        Where intents and results are recorded.
    on_result : callable
        Told each record after it is safe on disk; called from the committer's thread.
    """

    def __init__(self, manifest: Manifest, on_result: Callable[[Record], None]):
        self._manifest = manifest
        self._on_result = on_result
        self._queue: queue.SimpleQueue[Finished | None] = queue.SimpleQueue()
        self.failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="restorekit-commit", daemon=True)
        self._thread.start()

    def submit(self, finished: Finished) -> None:
        """Hand over a picture; returns at once."""
        self._queue.put(finished)

    def close(self) -> None:
        """Wait until everything submitted is in place.

        Raises
        ------
        OutputError
            Something could not be put in place; what was still aside is removed.
        """
        self._queue.put(None)
        self._thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        open_ = True
        while open_:
            group = [self._queue.get()]
            while not self._queue.empty():
                group.append(self._queue.get())
            open_ = group[-1] is not None
            finished = [item for item in group if item is not None]
            try:
                if self.failure is None:
                    self._commit(finished)
            except Exception as error:
                self.failure = error
            if self.failure is not None:
                for item in finished:
                    item.discard()

    def _commit(self, finished: Sequence[Finished]) -> None:
        self._manifest.intend(item.record for item in finished if item.files)
        records = [self._renamed(item) for item in finished]
        for folder in {target.parent for item in finished for _, target in item.files}:
            sync_folder(folder)
        self._manifest.conclude(record for record in records if record.status != "skipped")
        for record in records:
            self._on_result(record)

    def _renamed(self, item: Finished) -> Record:
        # The picture itself comes last, so that its presence says that all of its files are there.
        for aside, target in reversed(item.files):
            try:
                aside.replace(target)
            except OSError as error:
                item.discard()
                failure = write_error(target, error)
                if isinstance(failure, OutputError):
                    raise failure from error
                return dataclasses.replace(item.record, status="failed", reason=failure.reason, output_sha256="")
        return item.record
