"""What a check is: one demand of the contract, why it is made, and how to meet it."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restorekit.errors import RestorekitError

if TYPE_CHECKING:
    from restorekit.testing.checks.subject import Subject

__all__ = ["BoundCheck", "Check", "Failure", "check"]


class Failure(AssertionError):
    """A plugin does not do what the contract says.

    Parameters
    ----------
    problem : str
        What is wrong.
    why : str
        What goes wrong for its users; the check's own reason where it is left out.
    way_out : str
        How to mend it; the check's own where it is left out.
    """

    def __init__(self, problem: str, why: str = "", way_out: str = ""):
        self.problem = problem
        self.why = why
        self.way_out = way_out
        super().__init__(problem, why, way_out)

    def __str__(self) -> str:
        return "\n".join([self.problem, f"why it matters: {self.why}", f"how to mend it: {self.way_out}"])


@dataclass(frozen=True)
class Check:
    """One demand of the contract.

    Parameters
    ----------
    name : str
        Lower-case words joined by ``-``.
    why : str
        What goes wrong for users where a plugin does not meet it.
    way_out : str
        How to meet it.
    concerns : callable
        Tells whether it applies to a `Subject`.
    run : callable
        Takes the subject; raises `Failure` with the problem.
    """

    name: str
    why: str
    way_out: str
    concerns: Callable[[Subject], bool]
    run: Callable[[Subject], None]

    def __call__(self, subject: Subject) -> None:
        """Run it.

        Raises
        ------
        Failure
            The subject does not pass; problem, reason and way out are all filled in.
        """
        try:
            self.run(subject)
        except Failure as failure:
            raise Failure(failure.problem, failure.why or self.why, failure.way_out or self.way_out) from None
        except RestorekitError as error:
            raise Failure(str(error), self.why, self.way_out) from error
        except Exception as error:  # the plugin's code may raise anything
            raise Failure(_told(error, subject.homes), self.why, self.way_out) from error


@dataclass(frozen=True)
class BoundCheck:
    """A check with what it is to look at: call it without arguments."""

    check: Check
    subject: Subject

    def __call__(self) -> None:
        """Run it; see `Check`."""
        self.check(self.subject)

    def __str__(self) -> str:
        return f"{self.subject.name}-{self.check.name}"


def check(
    name: str, *, why: str, way_out: str, concerns: Callable[[Subject], bool]
) -> Callable[[Callable[[Subject], None]], Check]:
    """Make a `Check` of a function of a subject."""
    return lambda run: Check(name, why, way_out, concerns, run)


def _told(error: Exception, homes: Sequence[Path]) -> str:
    """Say what was raised, and in which line of the plugin; elsewhere in the last line that is no library's."""
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    frames = traceback.extract_tb(error.__traceback__)
    libraries = sysconfig.get_paths()["purelib"]
    own = [f for f in frames if any(Path(f.filename).is_relative_to(home) for home in homes)]
    near = own or [f for f in frames if not f.filename.startswith((libraries, "<"))] or list(frames)
    return f"{text} ({Path(near[-1].filename).name}, line {near[-1].lineno})" if near else text
