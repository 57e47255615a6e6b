"""Plugins laid down as pip would, for this process and its children."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from restorekit.discovery import discover
from restorekit.registry import Registry, assemble

from .plugins import BASES, CONFIG, HOOK

#: Lays a plugin down, and returns a registry of it and the classical methods.
Install = Callable[..., Registry]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make an installed package of a right plugin and replacements in its text."""

    def lay_down(name: str, base: str, changes: Sequence[tuple[str, str]] = ()) -> Registry:
        body, task, more = BASES[base]
        module = name.replace("-", "_")
        texts = [HOOK.replace("TASK", task).replace("MORE", more), CONFIG + body]
        for old, new in changes:
            assert any(old in text for text in texts), old
            texts = [text.replace(old, new) for text in texts]
        for file, text in zip((module, f"{module}_code"), texts, strict=True):
            text = text.replace('"@"', f'"{name}"').replace("@_code", f"{module}_code")
            (tmp_path / f"{file}.py").write_text(text)
        about = tmp_path / f"{module}-1.0.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text(f"[restorekit]\n{name} = {module}\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        importlib.invalidate_caches()
        return assemble(found for found in discover() if found.name in (name, "classical"))

    return lay_down
