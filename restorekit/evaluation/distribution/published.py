"""Where the published Inception network is, and where it is kept here. Free of torch."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from restorekit.downloads import cache_folder, download
from restorekit.errors import NotAvailable

__all__ = ["BYTES", "SHA256", "URL", "VARIABLE", "cached_path", "fetch", "listing", "locate"]

_NAME = "pt_inception-2015-12-05-6726825d.pth"
#: The pytorch-fid project's conversion of TensorFlow's ``inception-2015-12-05``.
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{_NAME}"
SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"
BYTES = 95_628_359
#: Names the file where it is not in the cache.
VARIABLE = "RESTOREKIT_INCEPTION"


def cached_path() -> Path:
    """Return where the fetched file is, or will be."""
    return cache_folder() / "inception" / _NAME


def fetch(*, progress: Any = None) -> Path:
    """Download the file unless it is here, check it, and return its path; see `restorekit.downloads.download`."""
    download(URL, f"sha256:{SHA256}", cached_path(), "inception", progress=progress)
    return cached_path()


def locate() -> Path:
    """Return the file that ``RESTOREKIT_INCEPTION`` names, or else the fetched one.

    Raises
    ------
    NotAvailable
        There is none; the message says how to get it.
    """
    chosen = os.environ.get(VARIABLE, "").strip()
    path = Path(chosen).expanduser() if chosen else cached_path()
    if path.is_file():
        return path
    subject, problem = (path, f"does not exist, but {VARIABLE} names it") if chosen else ("inception", "is not here")
    way_out = f"`restorekit weights fetch inception` downloads it from {URL}; or name a copy with --inception FILE"
    raise NotAvailable(subject, problem, way_out)


def listing() -> dict[str, Any]:
    """Describe the file as `restorekit.weights.card.listing` describes weights."""
    path = cached_path()
    present = path.is_file()
    return {
        "generator": "inception",
        "variant": "",
        "summary": "Inception-v3 for FID, KID and the Inception Score",
        "status": "fetched" if present else "missing",
        "path": str(path),
        "url": URL,
        "bytes": path.stat().st_size if present else None,
    }
