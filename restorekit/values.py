"""What a step says in words, turned into the validated configuration and settings of its generator."""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import inspect
import itertools
from collections.abc import Mapping
from typing import Any

from restorekit.errors import NotAvailable, UsageError
from restorekit.specs import GeneratorSpec, Step

__all__ = ["described", "resolve", "split", "split_ensemble", "validated"]

#: Views that the results of a network can be averaged over, see `restorekit.inference.ensemble`.
ENSEMBLES = ("1", "2", "4", "8")


def resolve(spec: GeneratorSpec, reference: str) -> Any:
    """Import what a spec's ``"package.module:Name"`` stands for.

    Raises
    ------
    NotAvailable
        It cannot be imported.
    """
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:  # an import may raise anything
        text = " ".join(str(error).split())
        problem = f"{reference} cannot be imported ({type(error).__name__}: {text})"
        raise NotAvailable(spec.name, problem) from error


def described(owner: type) -> list[dict[str, str]]:
    """Describe a configuration's or settings' fields: ``name``, ``default``, ``type`` and ``help`` of each."""
    return [
        {"name": field.name, "default": str(_default(field)), **_documented(owner, field.name)}
        for field in dataclasses.fields(owner)
    ]


def split(step: Step, spec: GeneratorSpec, config: type | None, settings: type | None) -> tuple[dict[str, str], ...]:
    """Sort a step's values into those of the configuration and those of the settings.

    Parameters
    ----------
    step : Step
        Its choice, where it has one, is a value too.
    spec : GeneratorSpec
        Of the generator.
    config, settings : type, optional
        Dataclasses whose fields may be set; ``None`` for a configuration that weights have fixed.

    Raises
    ------
    UsageError
        A value belongs to neither; the message suggests the nearest.
    """
    in_config = {field.name for field in dataclasses.fields(config)} if config else set()
    in_settings = {field.name for field in dataclasses.fields(settings)} if settings else set()
    free = in_config | in_settings
    values = {key.replace("-", "_"): value for key, value in step.settings.items()}
    if step.choice:
        if not spec.choice:
            example = f",{min(free)}=..." if free else ""
            raise UsageError(str(step), f"{spec.name} has no main choice to set", f"write {spec.name}{example}")
        values.setdefault(spec.choice, step.choice)
    for key in values:
        if key not in free:
            near = difflib.get_close_matches(key, free, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(free)) or 'none'}"
            raise UsageError(str(step), f"{spec.name} has no setting {key!r}", hint)
    return (
        {key: value for key, value in values.items() if key in in_config},
        {key: value for key, value in values.items() if key not in in_config},
    )


def split_ensemble(step: Step) -> tuple[Step, int]:
    """Take ``ensemble=N``, which every generator with weights understands, out of a step.

    Raises
    ------
    UsageError
        It is not 1, 2, 4 or 8.
    """
    settings = dict(step.settings)
    text = settings.pop("ensemble", "1")
    if text not in ENSEMBLES:
        raise UsageError(str(step), f"ensemble={text} is not allowed", f"choose {', '.join(ENSEMBLES)}")
    return dataclasses.replace(step, settings=settings), int(text)


def validated(subject: object, owner: type, values: Mapping[str, Any]) -> Any:
    """Build a pydantic dataclass from values as a user writes them.

    Raises
    ------
    UsageError
        A value is not allowed; the message says which and why.
    """
    import pydantic

    try:
        return pydantic.TypeAdapter(owner).validate_python(dict(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        given = values.get(where)
        shown = f"{where}={given}" if given is not None else where
        raise UsageError(subject, f"{shown} is not allowed", first["msg"].replace("Value error, ", "")) from error


def _default(field: dataclasses.Field[Any]) -> object:
    default = field.default
    return getattr(default, "default", default)  # pydantic's Field(...) wraps it


def _documented(owner: type, name: str) -> dict[str, str]:
    """Take a field's type and meaning from the numpydoc ``Parameters`` of its class."""
    lines = (inspect.getdoc(owner) or "").splitlines()
    for index, line in enumerate(lines):
        names, colon, kind = line.partition(" : ")
        if colon and name in names.split(", "):
            indented = itertools.takewhile(lambda text: text.startswith("    "), lines[index + 1 :])
            return {"type": kind, "help": " ".join(text.strip() for text in indented)}
    return {"type": "", "help": ""}
