"""``pytest --restorekit NAME``: the kit's checks as tests. Costs nothing until it is asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from restorekit.testing.check import BoundCheck

__all__: list[str] = []


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    group = parser.getgroup("restorekit")
    group.addoption(
        "--restorekit",
        action="append",
        default=[],
        metavar="NAME",
        help="check this generator, or every generator of this plugin, against restorekit's contract; may be repeated",
    )


def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the checks to what was collected."""
    names: list[str] = config.getoption("--restorekit") or []
    if not names:
        return
    from restorekit.errors import RestorekitError
    from restorekit.testing.examination import checks_for

    for name in names:
        try:
            bound = checks_for(name)
        except RestorekitError as error:
            raise pytest.UsageError(f"--restorekit: {error}") from None
        items.extend(CheckItem.from_parent(session, name=f"restorekit::{each}", bound=each) for each in bound)


class CheckItem(pytest.Item):
    """One check as a test."""

    def __init__(self, *, bound: BoundCheck, **others: object):
        super().__init__(**others)  # pyright: ignore[reportArgumentType]
        self.bound = bound

    def runtest(self) -> None:
        """Run the check."""
        self.bound()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: object = None) -> str:
        """Show the failure's own three lines, and not the kit's code."""
        from restorekit.testing.check import Failure

        if isinstance(excinfo.value, Failure):
            return str(excinfo.value)
        return str(super().repr_failure(excinfo))

    def reportinfo(self) -> tuple[str, None, str]:
        """Name the check."""
        return "restorekit", None, str(self.bound)
