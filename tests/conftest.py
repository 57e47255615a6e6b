"""What the tests share: running the command line, and small real pictures."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage import data

from tests.fresh import REPOSITORY, environment_with, own_wheel

__all__ = ["REPOSITORY"]

# Two test processes share the cores; a third layer of threads would only make them wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def photo() -> NDArray[np.uint8]:
    """A clean 160 x 200 RGB photo."""
    return np.ascontiguousarray(data.astronaut()[20:180, 130:330])


@pytest.fixture(scope="session")
def samples() -> Path:
    """The sample pictures that come with the repository."""
    return REPOSITORY / "data" / "samples"


@pytest.fixture
def cli(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``restorekit`` in a subprocess, in an empty folder."""

    def run(*arguments: object, check: int | None = 0, **options: object) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "RESTOREKIT_DISABLE_PLUGINS": "", **options.pop("env", {})}  # pyright: ignore
        done = subprocess.run(
            [sys.executable, "-m", "restorekit", *map(str, arguments)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=environment,
            timeout=300,
            **options,  # pyright: ignore
        )
        if check is not None:
            assert done.returncode == check, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """restorekit's own wheel."""
    return own_wheel(tmp_path_factory.mktemp("restorekit"))


@pytest.fixture
def commands(ours: Path, tmp_path: Path) -> Path:
    """The commands of a fresh environment with restorekit in it."""
    return environment_with(ours, tmp_path / "venv")
