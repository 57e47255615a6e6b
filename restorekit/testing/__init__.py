"""The kit that tells authors of plugins whether theirs keeps the contract.

``restorekit plugins check NAME`` and ``pytest --restorekit NAME`` run the same checks; in a plugin's own tests:

    import pytest
    from restorekit.testing import checks_for

    @pytest.mark.parametrize("check", checks_for("my-restorer"), ids=str)
    def test_contract(check):
        check()
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.testing.check import BoundCheck, Check, Failure
    from restorekit.testing.examination import Result, checks_for, examine

__all__ = ["BoundCheck", "Check", "Failure", "Result", "checks_for", "examine"]

# Loaded on first use: pytest imports this package at every start, whether anyone asks for the kit or not.
_HOMES = {"check": ("BoundCheck", "Check", "Failure"), "examination": ("Result", "checks_for", "examine")}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
