"""Restore folders of damaged pictures; train, measure and share the generators that do it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from restorekit.api import load, restore, restore_folder

__version__ = "0.1.0"

__all__ = ["__version__", "load", "restore", "restore_folder"]


def __getattr__(name: str) -> object:
    # The functions bring torch and OpenCV along; `restorekit --help` and plugins importing `restorekit.plugin` do not.
    if name in {"load", "restore", "restore_folder"}:
        from restorekit import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
