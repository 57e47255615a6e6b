"""How something that plugins or scripts use goes away: with a warning that names the release without it."""

from __future__ import annotations

import warnings

__all__ = ["RestorekitDeprecationWarning", "warn_deprecated"]


class RestorekitDeprecationWarning(FutureWarning):
    """Something works still, and will not in the release that the message names. Shown to users, too."""


def warn_deprecated(what: str, *, removed_in: str, instead: str, stacklevel: int = 2) -> None:
    """Warn the caller of the function that calls this.

    Parameters
    ----------
    what : str
        What is used, as its user knows it: ``"restorekit.nn.blocks.old_init"``.
    removed_in : str
        The first release without it.
    instead : str
        What to use.
    stacklevel : int
        As `warnings.warn` has it, counted from the function that calls this.
    """
    message = f"{what} is deprecated and will be gone in restorekit {removed_in}; use {instead}"
    warnings.warn(message, RestorekitDeprecationWarning, stacklevel=stacklevel + 1)
