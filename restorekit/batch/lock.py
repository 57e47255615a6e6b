"""Keeps two runs from writing into one folder at the same time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import filelock

from restorekit.batch.plan import Shard
from restorekit.errors import OutputError

__all__ = ["locked"]


@contextlib.contextmanager
def locked(folder: Path, shard: Shard) -> Iterator[None]:
    """Hold a folder for one run, or for one shard beside other shards; the system frees it when the process dies.

    Raises
    ------
    OutputError
        Another run holds the folder, or it cannot be written to.
    """
    with contextlib.ExitStack() as held:
        own = folder / f".restorekit{shard.suffix}.lock"
        held.enter_context(_acquired(own, folder))
        # Everyone takes their own lock before looking at the others', so of two that meet at least one sees the other.
        whole = folder / ".restorekit.lock"
        if shard.count > 1:
            with _acquired(whole, folder):
                pass
        else:
            for other in sorted(folder.glob(".restorekit.*-of-*.lock")):
                held.enter_context(_acquired(other, folder))
        yield


@contextlib.contextmanager
def _acquired(path: Path, folder: Path) -> Iterator[None]:
    lock = filelock.FileLock(path, blocking=False)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        raise OutputError(folder, "another run is writing here", "wait for it, or choose another -o") from error
    except OSError as error:
        raise OutputError(folder, f"cannot be written to ({error.strerror})", "check its permissions") from error
    try:
        yield
    finally:
        lock.release()
