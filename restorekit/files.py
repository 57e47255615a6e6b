"""Files that are whole or not there: written aside, synced, renamed."""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable, Sequence
from pathlib import Path

from restorekit.errors import OutputError, PictureError, RestorekitError

__all__ = ["remove_leftovers", "replace_file", "sync_folder", "write_aside", "write_error"]

#: What cannot be written now cannot be written for the next picture either.
_FATAL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EMFILE, errno.ENFILE}


def write_aside(
    target: Path, data: bytes | Iterable[bytes], tag: str = "", times: tuple[int, int] | None = None
) -> Path:
    """Write ``data`` to a synced file of its own in the target's folder, and return its path.

    Parameters
    ----------
    target : Path
        Where the file is to be renamed to later; its folder is created.
    data : bytes or iterable of bytes
        The content, or its pieces.
    tag : str, optional
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
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        if times is not None:
            os.utime(aside, ns=times)
    except BaseException as error:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise write_error(target, error) from error
        raise
    return aside


def replace_file(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write a file aside, sync it and rename it: whoever looks sees the old one or the new one, both whole.

    Raises
    ------
    OutputError
        It cannot be written; nothing of it remains, and an older one stays.
    """
    try:
        aside = write_aside(path, data)
        try:
            aside.replace(path)
        except OSError as error:
            aside.unlink(missing_ok=True)
            raise write_error(path, error) from error
    except PictureError as error:
        raise OutputError(error.subject, error.problem, error.way_out) from error
    sync_folder(path.parent)


def remove_leftovers(folders: Sequence[Path], tag: str) -> None:
    """Delete what a killed run of the same tag had written aside."""
    for folder in folders:
        for leftover in folder.glob(f".restorekit{tag}-*.partial"):
            leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames within a folder durable, where the system can.

    Raises
    ------
    OutputError
        The disk is full or failing.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    except OSError as error:  # some file systems cannot sync a folder, and say so
        if error.errno in _FATAL:
            raise write_error(folder, error) from error
    finally:
        os.close(descriptor)


def write_error(path: Path, error: OSError) -> RestorekitError:
    """Tell what ends a run (a full disk) from what concerns one picture (a name that is too long)."""
    problem = f"cannot be written ({error.strerror or error})"
    if error.errno in _FATAL:
        return OutputError(path, problem, "free some space and run the same command again")
    return PictureError(path, problem, "check its name and the permissions of its folder")
