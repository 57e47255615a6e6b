"""Every error a user can meet: one line that names the thing and the way out."""

from __future__ import annotations

__all__ = ["NotAvailable", "OutputError", "PictureError", "RestorekitError", "UsageError", "WorkerError"]


class RestorekitError(Exception):
    """An expected failure, told in one line.

    Parameters
    ----------
    subject : object
        What the error is about: usually a path, or the name of a plugin, generator or option.
    problem : str
        What is wrong with it.
    way_out : str, optional
        What the user can do about it.
    """

    #: Exit status of the command line when this error ends a command.
    exit_code = 1

    def __init__(self, subject: object, problem: str, way_out: str = ""):
        self.subject = str(subject)
        self.problem = problem
        self.way_out = way_out
        super().__init__(self.subject, problem, way_out)

    def __str__(self) -> str:
        line = f"{self.subject}: {self.reason}"
        return " ".join(line.split())

    @property
    def reason(self) -> str:
        """The line without its subject, for reports that already name it."""
        return f"{self.problem}; {self.way_out}" if self.way_out else self.problem


class PictureError(RestorekitError):
    """One picture cannot be read, restored or encoded; the others go on."""


class OutputError(RestorekitError):
    """The output folder cannot be written any more (disk full, locked, gone): the whole run stops."""


class WorkerError(RestorekitError):
    """The processes that do the work keep dying: the whole run stops; what was finished is safe."""


class UsageError(RestorekitError):
    """The request itself is wrong: an unknown name, a value out of range, options that exclude each other."""

    exit_code = 2


class NotAvailable(RestorekitError):
    """A plugin, weights file, library or device that was asked for is not here."""

    exit_code = 3
