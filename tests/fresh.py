"""A fresh environment as a new user has it, without the network: what it needs comes from that of the tests."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
OFFLINE = ["--no-index", "--no-deps"]


def ran(*command: object, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run a command outside the environment of the tests."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=600
    )
    assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


def wheel_of(project: Path, folder: Path) -> Path:
    """Build a wheel into a folder."""
    folder.mkdir(exist_ok=True)
    before = set(folder.iterdir())
    ran(*PIP, "wheel", *OFFLINE, "--no-build-isolation", "-w", folder, project, cwd=folder)
    (made,) = set(folder.iterdir()) - before
    return made


def own_wheel(folder: Path) -> Path:
    """Build restorekit's own wheel."""
    copy = folder / "source"
    copy.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, copy)
    for name in ("restorekit", "plugins"):
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    return wheel_of(copy, folder / "wheels")


def environment_with(wheel: Path, folder: Path) -> Path:
    """Make an environment with a wheel in it; return the folder of its commands."""
    ran(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    (packages,) = folder.glob("lib/python*/site-packages")
    # What restorekit depends on is found where the tests find it.
    (packages / "parent.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")))
    put(folder / "bin", wheel)
    return folder / "bin"


def put(commands: Path, wheel: Path) -> None:
    """Install a wheel into an environment."""
    ran(*PIP, f"--python={commands / 'python'}", "install", *OFFLINE, wheel, cwd=commands)
