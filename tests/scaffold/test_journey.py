"""From nothing to a restored folder as a new user types it: in a fresh environment, from wheels."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.fresh import put, ran, wheel_of


def begun(commands: Path, folder: Path, name: str, kind: str) -> Path:
    """Let the command write a new plugin."""
    ran(commands / "restorekit", "plugins", "new", name, "--kind", kind, cwd=folder)
    return folder / name


def restored(commands: Path, folder: Path, step: str) -> dict[str, object]:
    pictures = folder / "old"
    pictures.mkdir()
    shutil.copy(REPOSITORY / "data/samples/clean.jpg", pictures)
    done = ran(commands / "restorekit", "restore", "old", "-o", "new", "--with", step, "--json", cwd=folder)
    assert (folder / "new/clean.jpg").stat().st_size > 1000
    measured = ran(commands / "restorekit", "evaluate", "new", "old", "--json", cwd=folder)
    assert json.loads(measured.stdout)["mean"]["psnr"] > 15
    return json.loads(done.stdout)


def listed(commands: Path, folder: Path, name: str) -> dict[str, str]:
    rows = json.loads(ran(commands / "restorekit", "generators", "--json", cwd=folder).stdout)
    return next(row for row in rows if row["name"] == name)


def checked(commands: Path, folder: Path, name: str) -> None:
    rows = json.loads(ran(commands / "restorekit", "plugins", "check", name, "--json", cwd=folder, check=False).stdout)
    assert {row["check"]: row["problem"] for row in rows if not row["ok"]} == {}
    assert {"shape", "tiles", "new-process", "no-pickle"} <= {row["check"] for row in rows}


@pytest.mark.parametrize(
    "kind", ["classical", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("restorer", "trainable"))]
)
def test_a_new_plugin_is_built_installed_and_restores(kind, tmp_path, commands):
    project = begun(commands, tmp_path, "my-restorer", kind)
    put(commands, wheel_of(project, tmp_path / "wheels"))
    assert listed(commands, tmp_path, "my-restorer")["distribution"] == "my-restorer"
    step = "my-restorer"
    if kind == "trainable":
        step = taught(commands, tmp_path, "my-restorer")
    assert restored(commands, tmp_path, step)["done"] == 1
    if kind != "classical":
        checked(commands, tmp_path, "my-restorer")


@pytest.mark.slow
def test_the_tests_of_a_new_plugin_pass(tmp_path, commands):
    project = begun(commands, tmp_path, "my-restorer", "classical")
    put(commands, wheel_of(project, tmp_path / "wheels"))
    done = ran(commands / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", cwd=project)
    assert " passed" in done.stdout
    assert "failed" not in done.stdout


@pytest.mark.slow
def test_a_bundled_plugin_stands_on_its_own(tmp_path, commands):
    project = begun(commands, tmp_path, "foreign-denoiser", "trainable")
    package = project / "src/foreign_denoiser"
    shutil.rmtree(package)
    # The weights say whose they are, so they stay behind.
    left_out = shutil.ignore_patterns("__pycache__", "weights")
    shutil.copytree(REPOSITORY / "plugins/restorekit_denoiser", package, ignore=left_out)
    for path in package.rglob("*.py"):
        text = path.read_text().replace("restorekit_denoiser", "foreign_denoiser")
        text = re.sub(r"\n        weights=\(.*?\n        \),", "", text, flags=re.DOTALL)
        path.write_text(text.replace('name="denoiser"', 'name="foreign-denoiser"'))
    put(commands, wheel_of(project, tmp_path / "wheels"))
    assert listed(commands, tmp_path, "foreign-denoiser")["distribution"] == "foreign-denoiser"
    assert restored(commands, tmp_path, taught(commands, tmp_path, "foreign-denoiser"))["done"] == 1
    checked(commands, tmp_path, "foreign-denoiser")


def taught(commands: Path, folder: Path, name: str) -> str:
    """Train a few steps; return the weights."""
    arguments = ["train", name, "--smoke", "--steps", "5", "-o", "run", "--device", "cpu"]
    ran(commands / "restorekit", *arguments, cwd=folder)
    return "run/weights.safetensors"
