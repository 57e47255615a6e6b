"""What the tests of other projects' networks share: torchvision beside a torch it was not built for, and pictures."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import cv2
import numpy as np
import pytest

__all__ = ["beside_torch", "let_import", "written"]

_FOLDER = Path(__file__).parent / "beside_torch"


def let_import() -> None:
    """Let this process import what looks for torchvision."""
    runpy.run_path(str(_FOLDER / "sitecustomize.py"))


@pytest.fixture
def beside_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let processes that are started import what looks for torchvision."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(_FOLDER), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.syspath_prepend(str(_FOLDER))


def written(path: Path) -> np.ndarray:
    """Read a picture as it is in its file."""
    picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert picture is not None
    return picture
