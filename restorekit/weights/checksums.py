"""Checksums of weights that users bring: a file, or a folder of files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

from restorekit.errors import NotAvailable
from restorekit.weights.files import current_sha256

__all__ = ["content_sha256"]


def content_sha256(path: Path, *others: Path) -> str:
    """Return the SHA-256 of a file, or of the names and checksums of all in a folder; of several of their own.

    Hidden files and folders are left out: what version control and downloads keep there is not computed with.

    Raises
    ------
    NotAvailable
        Something cannot be read.
    """
    if others:
        return hashlib.sha256(json.dumps([content_sha256(each) for each in (path, *others)]).encode()).hexdigest()
    if not path.is_dir():
        return current_sha256(path)
    digest = hashlib.sha256()
    for file in sorted(_files(path), key=lambda file: file.relative_to(path).parts):
        digest.update(json.dumps([file.relative_to(path).as_posix(), current_sha256(file)]).encode() + b"\n")
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise NotAvailable(error.filename or folder, f"cannot be read ({error.strerror})") from error

    found: list[Path] = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(parent, name) for name in names if not name.startswith(".")]
    return found
