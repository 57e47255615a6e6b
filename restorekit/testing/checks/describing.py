"""Checks of what is said about a generator: its spec and its configuration."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pydantic
from pydantic_core import to_jsonable_python

from restorekit.contract import Detector, Planner, Restorer, Sampler
from restorekit.errors import RestorekitError
from restorekit.specs import TASKS
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.subject import Subject
from restorekit.values import described, resolve

__all__ = ["CHECKS", "loads"]

#: What a generator with a task has to be; for every other task it is a `Restorer`.
_PROTOCOLS = {"generate": Sampler, "detect": Detector, "plan": Planner}
_LONGEST_SUMMARY = 100


def _always(subject: Subject) -> bool:
    return True


@check(
    "loads",
    why="nothing of a plugin that cannot be loaded is listed or used; only `restorekit plugins` shows it",
    way_out="mend what the line says; the plugin's module needs a function restorekit_generators with the hookimpl "
    "decorator of restorekit.plugin, which yields a GeneratorSpec for each generator",
    concerns=_always,
)
def loads(subject: Subject) -> None:
    """Look whether the plugin was imported."""
    if subject.plugin.status != "ok":
        raise Failure(f"the plugin is {subject.plugin.status}: {subject.plugin.reason}")
    if not subject.plugin.generators:
        raise Failure("the plugin yields no generator")


@check(
    "spec",
    why="the listings, the planner and the command line know a generator by its spec alone",
    way_out="correct the GeneratorSpec in the plugin's __init__.py",
    concerns=_always,
)
def spec(subject: Subject) -> None:
    """Look whether everything the spec names is there and is what its tasks say."""
    described_by = subject.spec
    for label in ("factory", "config", "settings", "trainer", "recipe", "converter"):
        if reference := getattr(described_by, label):
            resolve(described_by, reference)
    summary = described_by.summary
    if not summary.strip() or "\n" in summary or len(summary) > _LONGEST_SUMMARY:
        raise Failure(
            f"the summary has {len(summary)} characters and {summary.count(chr(10)) + 1} lines",
            way_out=f"say in one line of at most {_LONGEST_SUMMARY} characters what the generator does",
        )
    if unknown := sorted(described_by.tasks - set(TASKS)):
        raise Failure(
            f"the task {unknown[0]!r} is no standard one",
            "planners and `restorekit generators` find generators by their tasks",
            f"use those of {', '.join(TASKS)} that fit",
        )
    if described_by.choice and described_by.choice not in _fields(subject):
        raise Failure(f"its choice {described_by.choice!r} is no field of its configuration or settings")


@check(
    "builds",
    why="a generator that cannot be built fails at its first use, after the user has chosen it",
    way_out="the factory takes the configuration as its only argument, and every field of it has a default",
    concerns=lambda subject: not subject.lacks_weights,
)
def builds(subject: Subject) -> None:
    """Build it, and see what it is."""
    generator = subject.generator
    if not isinstance(generator, Restorer | Detector | Planner | Sampler):
        methods = "geometry and restore(batch), detect(batch), plan(request), or latents(seeds) and decode(latents)"
        raise Failure(
            f"{subject.spec.factory} makes a {type(generator).__name__}, which is no restorer, detector, planner or "
            "sampler",
            way_out=f"give it {methods}",
        )
    for task in sorted(subject.spec.tasks):
        protocol = _PROTOCOLS.get(task, Restorer)
        if not isinstance(generator, protocol):
            raise Failure(
                f"its task {task!r} is that of a {protocol.__name__.lower()}, which it is not",
                way_out=f"give it the methods of restorekit.plugin.{protocol.__name__}, or take the task away",
            )
    if isinstance(generator, Restorer) and subject.geometry.needs_mask and "inpaint" not in subject.spec.tasks:
        raise Failure(
            "it needs a mask, but 'inpaint' is none of its tasks",
            "the core keeps the pixels outside the mask only for inpainters",
            "add 'inpaint' to the spec's tasks",
        )


@check(
    "config",
    why="a value that nobody validates shows up as a wrong picture; one that is not documented is not found",
    way_out="make it a frozen dataclass of pydantic.dataclasses with config=ConfigDict(extra='forbid'), a type and a "
    "default for each field, and a numpydoc docstring that names each",
    concerns=_always,
)
def config(subject: Subject) -> None:
    """Give each configuration class what it must take, and what it must refuse."""
    for label in ("config", "settings", "recipe"):
        if reference := getattr(subject.spec, label):
            _check_class(label, resolve(subject.spec, reference))


CHECKS = (loads, spec, builds, config)


def _fields(subject: Subject) -> set[str]:
    owners = [resolve(subject.spec, r) for r in (subject.spec.config, subject.spec.settings) if r]
    return {field.name for owner in owners for field in dataclasses.fields(owner)}


def _check_class(label: str, owner: Any) -> None:
    shown = f"{label} ({owner.__name__})"
    parameters = getattr(owner, "__dataclass_params__", None)
    if parameters is None:
        raise Failure(f"{shown} is no dataclass")
    if not parameters.frozen:
        raise Failure(f"{shown} is not frozen", "what was validated could be changed afterwards")
    adapter = pydantic.TypeAdapter(owner)
    try:
        defaults = adapter.validate_python({})
    except pydantic.ValidationError as error:
        missing = ".".join(map(str, error.errors()[0]["loc"]))
        raise Failure(f"{shown} cannot be made without values: {missing} has no default") from None
    for values in (getattr(owner, "smoke", {}), _written(defaults)):
        try:
            again = adapter.validate_json(json.dumps(to_jsonable_python(values)))
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            what = "its smoke settings" if values is getattr(owner, "smoke", {}) else "its own defaults"
            raise Failure(
                f"{shown} refuses {what}: {'.'.join(map(str, first['loc']))}: {first['msg']}",
                "a weights file holds the configuration as JSON, and is read with it",
            ) from None
    if again != defaults:
        raise Failure(f"{shown} is another one after a way through JSON", "a weights file holds it as JSON")
    _check_refusals(shown, owner, adapter)
    for field in described(owner):
        if not field["type"] or not field["help"]:
            raise Failure(
                f"{shown} has no line on {field['name']!r} in its docstring",
                "`restorekit generators NAME` shows users what that docstring says",
                "add 'NAME : TYPE' and an indented sentence under Parameters",
            )


def _check_refusals(shown: str, owner: Any, adapter: pydantic.TypeAdapter[Any]) -> None:
    if _takes(adapter, {"no_such_setting_of_anyone": 1}):
        raise Failure(
            f"{shown} takes a setting that it does not have",
            "a misspelt setting would be left out in silence",
            "write @dataclass(frozen=True, config=ConfigDict(extra='forbid'))",
        )
    for field in dataclasses.fields(owner):
        if _takes(adapter, {field.name: _Nothing()}):
            raise Failure(
                f"{shown} takes anything at all for {field.name!r}",
                way_out="give the field a type that pydantic validates: int, float, a Literal, Annotated[...]",
            )


class _Nothing:
    """A value of no type that a setting could have."""


def _takes(adapter: pydantic.TypeAdapter[Any], values: dict[str, object]) -> bool:
    try:
        adapter.validate_python(values)
    except (pydantic.ValidationError, RestorekitError):
        return False
    return True


def _written(defaults: Any) -> dict[str, Any]:
    return {field.name: getattr(defaults, field.name) for field in dataclasses.fields(defaults)}
