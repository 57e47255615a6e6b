"""Files from the network, only when the user asks: into a cache, checked, kept whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from restorekit.errors import NotAvailable, OutputError

__all__ = ["CACHE_VARIABLE", "cache_folder", "download"]

#: Overrides the folder that fetched files go to.
CACHE_VARIABLE = "RESTOREKIT_CACHE"

#: Seconds a server may stay silent.
_TIMEOUT = 30


def cache_folder() -> Path:
    """Return where fetched weights are kept: ``RESTOREKIT_CACHE``, or what the system has for such things."""
    if chosen := os.environ.get(CACHE_VARIABLE, "").strip():
        return Path(chosen).expanduser().absolute()
    import pooch

    return Path(pooch.os_cache("restorekit"))


def download(url: str, checksum: str, path: Path, subject: object, *, progress: Any = None) -> None:
    """Download a file unless it is there already, and check it.

    Parameters
    ----------
    url : str
        Where it is.
    checksum : str
        ``"sha256:..."`` or ``"md5:..."``.
    path : Path
        Where it goes.
    subject : object
        What an error is about.
    progress : object, optional
        Has a ``total`` and is told of bytes through ``update``, ``reset`` and ``close``, as pooch does it.

    Raises
    ------
    NotAvailable
        The download failed or is not what it should be; nothing of it is kept.
    OutputError
        The cache cannot be written.
    """
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    by_hand = f"check the connection, or put the file from {url} at {path}"
    try:
        downloader: Any = pooch.HTTPDownloader(progressbar=progress or False, timeout=_TIMEOUT)
        pooch.retrieve(url, checksum, path.name, path.parent, downloader=downloader)
    except requests.RequestException as error:  # before OSError, which it is one of
        raise NotAvailable(subject, f"cannot be downloaded ({_told(error)})", by_hand) from error
    except OSError as error:
        raise OutputError(path, f"cannot be written ({error.strerror or error})", f"set {CACHE_VARIABLE}") from error
    except ValueError as error:
        problem = f"what {url} sends is not what it should be (its checksum is another)"
        raise NotAvailable(subject, problem, "try again later, or ask who published it") from error


def _told(error: Exception) -> str:
    """Find what happened at the bottom of a chain of wrapped network errors."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"the server answers {response.status_code}"
    text = str(error)
    for known in ("Name or service not known", "Temporary failure in name resolution", "getaddrinfo failed"):
        if known in text:
            return "its server is not found"
    if "timed out" in text.lower():
        return "its server does not answer"
    if "refused" in text.lower():
        return "its server refuses connections"
    return type(error).__name__
