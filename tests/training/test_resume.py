"""2N steps equal N steps, an end of any kind, and N more: to the last bit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import registry
from restorekit.training import load_plan
from restorekit.training.history import History
from restorekit.weights.card import card

from .conftest import RUN, TINY

TRAINABLE = [spec.name for spec in registry().generators if spec.trainer]


def tensors(folder: Path, step: int) -> dict[str, np.ndarray]:
    """Read everything a checkpoint holds: networks, averages, optimizer moments."""
    found = {}
    for path in sorted((folder / "checkpoints" / f"step-{step:09d}").glob("*.safetensors")):
        found |= {f"{path.stem}:{key}": value for key, value in load_file(path).items()}
    return found


def log(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "pictures_per_second"} for line in lines]


def assert_same_run(one: Path, other: Path, step: int) -> None:
    first, second = tensors(one, step), tensors(other, step)
    assert first
    assert first.keys() == second.keys()
    for key, value in first.items():
        np.testing.assert_array_equal(value, second[key], err_msg=key)
    assert log(one) == log(other)
    assert (one / "weights.safetensors").read_bytes() == (other / "weights.safetensors").read_bytes()


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_run_in_two_parts_ends_with_the_same_bits_as_one(tmp_path, teach, name):
    teach(tmp_path / "whole", name)
    assert teach(tmp_path / "parts", name, steps=4).steps == 4
    assert teach(tmp_path / "parts", name, resume=True).steps == 8
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)


def test_accumulated_batches_resume_exactly_too(tmp_path, teach):
    settings = ["run.accumulate=2", "run.rotate=true", "run.warmup=3"]
    teach(tmp_path / "whole", settings=settings)
    teach(tmp_path / "parts", settings=settings, steps=4)
    teach(tmp_path / "parts", settings=settings, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)


@pytest.fixture
def command(tmp_path: Path, tiles) -> list[str]:
    """The command line of a run of forty steps on a real ``.npz``."""
    np.savez(tmp_path / "tiles.npz", x_train=tiles.pictures, y_train=tiles.labels)
    settings = [*TINY["super-resolver"], *RUN, "run.steps=40"]
    arguments = ["train", "super-resolver", "--data", str(tmp_path / "tiles.npz"), "--device", "cpu"]
    return [sys.executable, "-m", "restorekit", *arguments, *(part for s in settings for part in ("--set", s))]


def start(command: list[str], *more: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, *more], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def end_in_the_middle(process: subprocess.Popen[str], folder: Path, number: int) -> int:
    """Send a signal once the first checkpoint is there; return the exit status."""
    deadline = time.monotonic() + 60
    while not list(folder.glob("checkpoints/step-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_run_that_is_ended_by_a_signal_goes_on_with_the_same_bits(tmp_path, command, number, status):
    whole = start(command, "-o", str(tmp_path / "whole"))
    assert whole.wait(120) == 0, whole.stderr and whole.stderr.read()
    ended = start(command, "-o", str(tmp_path / "ended"))
    assert end_in_the_middle(ended, tmp_path / "ended", number) == status
    resumed = start(command, "-o", str(tmp_path / "ended"), "--resume")
    assert resumed.wait(120) == 0, resumed.stderr and resumed.stderr.read()
    assert_same_run(tmp_path / "whole", tmp_path / "ended", 40)


def test_settings_that_a_resumed_run_is_given_anew_are_said_and_recorded(tmp_path, teach):
    teach(tmp_path / "run", steps=4)
    others = ["recipe.optimizer=muon", "network.features=8"]
    with pytest.warns(UserWarning, match=r"other settings: recipe\.optimizer: adam -> muon, run\.steps: 8 -> 12$"):
        teach(tmp_path / "run", settings=others, horizon=12, resume=True, steps=10)
    teach(tmp_path / "run", settings=others, horizon=12, resume=True)
    told = card(tmp_path / "run/weights.safetensors")["training"]
    assert told["changes"] == ["step 4: recipe.optimizer: adam -> muon", "step 4: run.steps: 8 -> 12"]


def test_settings_that_are_younger_than_a_checkpoint_count_as_it_had_their_defaults():
    spec = registry().spec("super-resolver")
    older = load_plan(spec).as_dict()
    del older["run"]["gray"], older["recipe"]["loss"]
    for settings, expected in (([], []), (["run.gray=0.5"], ["run.gray: 0.0 -> 0.5"])):
        assert History().resumed({"step": 4, "config": older}, load_plan(spec, settings=settings), spec)[1] == expected
    older["run"]["gone"] = 1
    assert "run.gone: 1 -> None" in History().resumed({"step": 4, "config": older}, load_plan(spec), spec)[1]


def test_the_command_line_says_so_in_one_line(tmp_path, command):
    assert start(command, "-o", str(tmp_path / "run"), "--steps", "2").wait(120) == 0
    resumed = start(command, "-o", str(tmp_path / "run"), "--resume", "--set", "run.steps=4")
    said = resumed.communicate(timeout=120)[1].splitlines()
    assert resumed.returncode == 0
    assert "restorekit: resumed with other settings: run.steps: 40 -> 4" in said
    assert not any("Warning" in line for line in said)


def test_a_second_run_into_the_same_folder_is_refused(tmp_path, teach):
    teach(tmp_path / "run")
    with pytest.raises(UsageError, match="--resume"):
        teach(tmp_path / "run")


def test_a_damaged_checkpoint_is_named_with_the_way_out(tmp_path, teach):
    teach(tmp_path / "run", steps=4)
    file = tmp_path / "run/checkpoints/step-000000004/optimizers.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(NotAvailable, match=r"step-000000004.*delete it"):
        teach(tmp_path / "run", resume=True)


def test_old_checkpoints_are_pruned_and_the_best_is_kept(tmp_path, teach, tiles):
    settings = ["run.checkpoint_every=1", "run.validate_every=1", "run.keep=2", "recipe.learning_rate=0.5"]
    teach(tmp_path / "run", settings=settings, validation=tiles)
    kept = sorted(path.name for path in (tmp_path / "run/checkpoints").iterdir())
    state = json.loads((tmp_path / "run/checkpoints" / kept[-1] / "state.json").read_text())
    assert kept[-2:] == ["step-000000007", "step-000000008"]
    assert f"step-{state['best'][1]:09d}" in kept
    assert len(kept) <= 3
