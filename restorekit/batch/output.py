"""Puts finished pictures in place: written aside, synced, announced in the manifest, renamed, recorded."""

from __future__ import annotations

import dataclasses
import errno
import os
import queue
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restorekit.batch.manifest import Manifest, Record
from restorekit.errors import OutputError, PictureError, RestorekitError

__all__ = ["Committer", "Finished", "remove_leftovers", "sync_folder", "write_aside"]

#: What cannot be written now cannot be written for the next picture either.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


def write_aside(target: Path, data: bytes, tag: str, times: tuple[int, int] | None = None) -> Path:
    """Write ``data`` to a synced file of its own in the target's folder, and return its path.

    Parameters
    ----------
    target : Path
        Where the file is to be renamed to later; its folder is created.
    data : bytes
        The content.
    tag : str
        Tells the leftovers of one run from another's, see `remove_leftovers`.
    times : tuple of int, optional
        Access and modification time in nanoseconds.

    Raises
    ------
    OutputError
        No file can be written any more: the disk is full, say. Nothing of this one remains.
    PictureError
        This file cannot be written. Nothing of it remains.
    """
    aside = target.with_name(f".restorekit{tag}-{uuid.uuid4().hex}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if times is not None:
            os.utime(aside, ns=times)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise _write_error(target, error) from error
    return aside


def remove_leftovers(folders: Sequence[Path], tag: str) -> None:
    """Delete what a killed run of the same tag had written aside."""
    for folder in folders:
        for leftover in folder.glob(f".restorekit{tag}-*.partial"):
            leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames within a folder durable, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_error(path: Path, error: OSError) -> RestorekitError:
    """Tell what ends the run (a full disk) from what concerns one picture (a name that is too long)."""
    problem = f"cannot be written ({error.strerror or error})"
    if error.errno in _FATAL:
        return OutputError(path, problem, "free some space and run the same command again")
    return PictureError(path, problem, "check its name and the permissions of its folder")


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
                failure = _write_error(target, error)
                if isinstance(failure, OutputError):
                    raise failure from error
                return dataclasses.replace(item.record, status="failed", reason=failure.reason, output_sha256="")
        return item.record
