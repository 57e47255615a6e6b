"""Tells griffe this house's ways: validated dataclasses are dataclasses, and ``#:`` lines describe constants."""

from __future__ import annotations

import itertools

from griffe import Attribute, Class, Docstring, ExprCall, ExprName, Extension

VALIDATED = "pydantic.dataclasses.dataclass"
MARK = "#:"


class Docstrings(Extension):
    """Completes what griffe reads of the source."""

    def on_class_instance(self, *, cls: Class, **_: object) -> None:
        """Read pydantic's decorator as the standard library's, so that fields become parameters."""
        for decorator in cls.decorators:
            if isinstance(decorator.value, ExprCall) and decorator.value.canonical_path == VALIDATED:
                decorator.value.function = ExprName("dataclasses.dataclass")

    def on_attribute_instance(self, *, attr: Attribute, **_: object) -> None:
        """Take the lines above a constant for its docstring."""
        if attr.docstring is not None or attr.lineno is None:
            return
        above = reversed(attr.lines_collection[attr.filepath][: attr.lineno - 1])  # pyright: ignore[reportArgumentType]
        lines = [*itertools.takewhile(lambda line: line.lstrip().startswith(MARK), above)]
        if lines:
            text = "\n".join(line.lstrip().removeprefix(MARK).strip() for line in reversed(lines))
            attr.docstring = Docstring(text, parent=attr, parser="numpy")
