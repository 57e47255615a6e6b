"""Finds what a name stands for, and runs the checks that concern it."""

from __future__ import annotations

import difflib
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import Plugin, Registry, registry
from restorekit.specs import Step
from restorekit.testing.check import BoundCheck, Failure
from restorekit.weights.sources import brought

__all__ = ["Result", "checks_for", "examine"]


@dataclass(frozen=True)
class Result:
    """What came of one check.

    Parameters
    ----------
    generator : str
        That was looked at.
    check : str
        The check's name.
    failure : Failure or None
        What is wrong; ``None`` where it passed.
    seconds : float
        That it took.
    """

    generator: str
    check: str
    failure: Failure | None
    seconds: float


def checks_for(name: str, found: Registry | None = None) -> list[BoundCheck]:
    """Return the checks that concern a generator, or every generator of a plugin.

    Parameters
    ----------
    name : str
        A generator's, with settings where it needs some (``NAME,weights=FILE``), or that of a plugin's entry point.
    found : Registry, optional
        Where to look; by default what is installed.

    Returns
    -------
    list of BoundCheck
        Each is called without arguments, raises `Failure`, and has its name as ``str``.

    Raises
    ------
    UsageError
        Nothing of that name is installed.
    NotAvailable
        The plugin is disabled.
    """
    from restorekit.testing.checks import CHECKS, Subject, loads

    found = found or registry()
    step = Step.parse(name)
    if step.name in {spec.name for spec in found.generators}:
        names = [step.name]
    else:
        plugin = _plugin(name, found)
        if plugin.status == "disabled":
            raise NotAvailable(name, f"is disabled ({plugin.reason})", "enable it to check it")
        if plugin.status == "broken" or not plugin.generators:
            return [BoundCheck(loads, Subject(found, plugin, None, _folder()))]
        names = [spec.name for spec in plugin.generators]
    given = _in_place(found, step) if step.choice or step.settings else None
    subjects = [Subject(found, found.owner(each), found.spec(each), _folder(), given) for each in names]
    return [BoundCheck(check, subject) for subject in subjects for check in CHECKS if check.concerns(subject)]


def examine(
    name: str, found: Registry | None = None, begun: Callable[[BoundCheck], None] = lambda _: None
) -> Iterator[Result]:
    """Run the checks that concern a name, see `checks_for`, one after another.

    Parameters
    ----------
    name : str
        A generator's or a plugin's.
    found : Registry, optional
        Where to look; by default what is installed.
    begun : callable
        Is told of each check before it runs.
    """
    for bound in checks_for(name, found):
        begun(bound)
        failure, start = None, time.monotonic()
        try:
            bound()
        except Failure as caught:
            failure = caught
        yield Result(bound.subject.name, bound.check.name, failure, time.monotonic() - start)


def _in_place(found: Registry, step: Step) -> Step:
    """Return a step with its weights named so that another process finds them from another folder."""
    spec = found.spec(step.name)
    if not spec.weights_setting:
        return step
    paths = {field: str(path.absolute()) for field, path in brought(spec, step).items()}
    return replace(step, choice="" if spec.choice in paths else step.choice, settings={**step.settings, **paths})


def _plugin(name: str, found: Registry) -> Plugin:
    for plugin in found.plugins:
        if plugin.name == name:
            return plugin
    known = {spec.name for spec in found.generators} | {plugin.name for plugin in found.plugins}
    near = difflib.get_close_matches(name, known, n=2)
    way_out = f"did you mean {' or '.join(near)}?" if near else "`restorekit plugins` lists what is installed"
    raise UsageError(repr(name), "is neither a generator nor a plugin", way_out)


def _folder() -> tempfile.TemporaryDirectory[str]:
    """Make a scratch folder, which goes with whoever holds it."""
    return tempfile.TemporaryDirectory(prefix="restorekit-check-", ignore_cleanup_errors=True)
