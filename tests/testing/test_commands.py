"""The command and the pytest option run the kit's checks, and say the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from .conftest import Install

LAST = "        return F.avg_pool2d(padded, side, 1)"


def option() -> list[str]:
    """Return what loads the option where restorekit is not installed with its entry point."""
    known = {point.name for point in metadata.entry_points(group="pytest11")}
    return [] if "restorekit" in known else ["-p", "restorekit.testing.pytest_plugin"]


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", *command], cwd=folder, env=environment, capture_output=True, text=True, timeout=300
    )


@pytest.fixture
def bright(install: Install, tmp_path: Path) -> Path:
    """The folder of a restorer that gives pictures in 0..255."""
    install("too-bright", "restorer", [(LAST, f"{LAST} * 255")])
    return tmp_path


def test_a_failed_check_says_what_why_and_how_in_json(bright):
    done = run(bright, "restorekit", "plugins", "check", "too-bright", "--json")
    assert done.returncode == 1, done.stderr
    rows = {row["check"]: row for row in json.loads(done.stdout)}
    assert all(
        set(row) == {"generator", "check", "ok", "problem", "why", "way_out", "seconds"} for row in rows.values()
    )
    assert rows["shape"]["ok"]
    assert rows["shape"]["problem"] is None
    assert not rows["range"]["ok"]
    assert "values from" in rows["range"]["problem"]
    assert "black or white" in rows["range"]["why"]
    assert "0 is black and 1 is white" in rows["range"]["way_out"]


def test_pytest_runs_the_same_checks_and_shows_the_same_words(bright):
    done = run(bright, "pytest", *option(), "--restorekit", "too-bright", "-k", "range or shape", "-q")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "why it matters: what lies outside [0, 1] is clipped" in done.stdout
    assert "how to mend it: return values where 0 is black" in done.stdout
    assert "1 failed, 1 passed" in done.stdout
    assert "restorekit::too-bright-range" in done.stdout


def test_without_being_asked_the_option_costs_nothing(tmp_path):
    code = (
        "import sys, pytest\n"
        f"pytest.main([*{option()!r}, '--collect-only', '-q'])\n"
        "print('LOADED', [n for n in ('torch', 'numpy', 'restorekit.registry', 'restorekit.testing.check') "
        "if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stdout.rstrip().endswith("LOADED []"), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "said"), [("nlmean", "did you mean nlmeans"), ("no-such-thing", "`restorekit plugins` lists")]
)
def test_an_unknown_name_is_one_line(cli, name, said):
    done = cli("plugins", "check", name, check=2)
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_disabled_plugin_is_one_line(cli):
    done = cli("plugins", "check", "classical", check=3, env={"RESTOREKIT_DISABLE_PLUGINS": "classical"})
    assert "is disabled" in done.stderr


def test_an_unknown_name_ends_pytest_with_a_line(tmp_path):
    done = run(tmp_path, "pytest", *option(), "--restorekit", "nlmean")
    assert done.returncode == 4
    assert "did you mean nlmeans" in done.stdout + done.stderr


@pytest.mark.parametrize("command", ["check", "new"])
def test_help_imports_nothing_heavy(command):
    code = (
        f"import sys; sys.argv[1:] = ['plugins', {command!r}, '--help']\n"
        "from restorekit.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print('HEAVY', [name for name in ('torch', 'numpy', 'cv2', 'jinja2', 'pytest') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.rstrip().endswith("HEAVY []"), done.stdout[-300:]
