"""Killed, interrupted, or out of space: nothing is lost, nothing is half, and the next run goes on."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from restorekit import files as output_module
from restorekit.batch import restore as batch
from restorekit.batch.manifest import read_history
from restorekit.batch.restore import Options
from restorekit.errors import OutputError
from restorekit.registry import registry
from restorekit.specs import Step

from .conftest import contents, noisy_pictures

OPTIONS = Options(steps=(Step.parse("median:3"), Step.parse("bicubic:2")), report=False)


def restore(source: Path, target: Path):
    return batch.restore([source], target, OPTIONS, registry=registry())


def results(target: Path) -> list[dict]:
    whole = (target / "manifest.jsonl").read_bytes().split(b"\n")[:-1]
    return [line for line in map(json.loads, whole) if line["kind"] == "result"]


# Imports once, then forks a child for each run: what is killed is a real process, and the imports are paid once.
DRIVER = """
import json, os, random, signal, sys, time
from pathlib import Path
import restorekit
from restorekit.batch.restore import Options, restore
from restorekit.registry import registry
from restorekit.specs import Step

folder, kills, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
options = Options(steps=(Step.parse("median:3"), Step.parse("bicubic:2")), report=False)
restorekit.load("median:3"), restorekit.load("bicubic:2")
rng = random.Random(seed)

def child(name):
    process = os.fork()
    if process == 0:
        restore([folder / "in"], folder / name, options, registry=registry())
        os._exit(0)
    return process

begun = time.perf_counter()
os.waitpid(child("reference"), 0)
seconds = time.perf_counter() - begun
told = []
for trial in range(kills):
    process = child(f"out{trial}")
    time.sleep(rng.uniform(0.05, 0.95) * seconds)
    os.kill(process, signal.SIGKILL)
    told.append(os.waitpid(process, 0)[1])
print(json.dumps(told))
"""


def test_kill_9_at_twenty_random_moments_loses_nothing_and_repeats_nothing(tmp_path):
    noisy_pictures(tmp_path / "in", 120, side=96)
    arguments = [sys.executable, "-c", DRIVER, str(tmp_path), "20", "11"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    reference = contents(tmp_path / "reference")
    assert len(reference) == 120
    killed = sum(os.WIFSIGNALED(status) for status in json.loads(done.stdout))
    assert killed >= 10, "the runs ended before they were killed; the test proves nothing"
    halfway = 0
    for trial in range(20):
        target = tmp_path / f"out{trial}"
        left = contents(target) if target.exists() else {}
        assert all(reference[name] == data for name, data in left.items()), "an output was partial"
        recorded = {line["input"] for line in results(target)} if (target / "manifest.jsonl").exists() else set()
        assert {line["output"] for line in results(target)} <= set(left) if recorded else True
        halfway += 0 < len(recorded) < 120
        resumed = restore(tmp_path / "in", target)
        assert resumed.failed == 0
        assert contents(target) == reference
        assert {record.input for record in resumed.records if record.status == "done"}.isdisjoint(recorded)
        assert set(Counter(line["input"] for line in results(target)).values()) == {1}
        assert not list(target.rglob("*.partial"))
    assert halfway >= 5, "too few runs were killed in the middle of their work"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_ends_cleanly_and_goes_on_later(tmp_path, number, status):
    noisy_pictures(tmp_path / "in", 200, side=160)
    command = [sys.executable, "-m", "restorekit", "restore", "in", "-o", "out", "--with", "nlmeans:15", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while len(contents(tmp_path / "out")) < 3 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == status, stderr
    summary = json.loads(stdout)
    assert 3 <= summary["done"] < 200
    assert "run the same command again" in stderr
    assert len(contents(tmp_path / "out")) == summary["done"] == len(results(tmp_path / "out"))
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_a_torn_last_line_is_cut_away_and_its_picture_done_again(tmp_path):
    noisy_pictures(tmp_path / "in", 6)
    restore(tmp_path / "in", tmp_path / "out")
    manifest = tmp_path / "out/manifest.jsonl"
    whole = manifest.read_bytes()
    last = json.loads(whole.splitlines()[-1])
    manifest.write_bytes(whole[:-25])
    result = restore(tmp_path / "in", tmp_path / "out")
    # Its intent line is there and the output matches it, so it counts as done without being restored again.
    assert (result.done, result.skipped) == (0, 6)
    assert Counter(line["input"] for line in results(tmp_path / "out"))[last["input"]] == 1


def test_an_intent_whose_output_never_arrived_is_done_again(tmp_path):
    noisy_pictures(tmp_path / "in", 6)
    restore(tmp_path / "in", tmp_path / "out")
    manifest = tmp_path / "out/manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    last = json.loads(lines[-1])
    manifest.write_bytes(b"".join(lines[:-1]))
    (tmp_path / "out" / last["output"]).unlink()
    result = restore(tmp_path / "in", tmp_path / "out")
    assert [record.input for record in result.records if record.status == "done"] == [last["input"]]


@pytest.mark.parametrize("first", range(1, 16))
def test_a_full_disk_stops_the_run_with_one_line_and_loses_nothing(tmp_path, monkeypatch, first):
    noisy_pictures(tmp_path / "in", 9)
    reference = tmp_path / "reference"
    restore(tmp_path / "in", reference)
    calls = [0]
    fsync = os.fsync

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] >= first:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(output_module.os, "fsync", full)
    with pytest.raises(OutputError, match="No space left on device") as caught:
        restore(tmp_path / "in", tmp_path / "out")
    monkeypatch.undo()
    assert "\n" not in str(caught.value)
    left = contents(tmp_path / "out")
    assert all(contents(reference)[name] == data for name, data in left.items())
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert restore(tmp_path / "in", tmp_path / "out").failed == 0
    assert contents(tmp_path / "out") == contents(reference)


@pytest.fixture
def small_disk(tmp_path: Path):
    """A real file system of one megabyte, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"may not mount a file system here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_really_full_disk_does_the_same(tmp_path, small_disk, cli):
    noisy_pictures(tmp_path / "in", 60, side=128)
    command = ("restore", tmp_path / "in", "-o", small_disk / "out", "--with", "bicubic:2")
    done = cli(*command, check=1)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(small_disk.rglob("*.partial"))
    history = read_history(small_disk / "out/manifest.jsonl")
    assert {record.output for record in history.records.values()} == set(contents(small_disk / "out"))
    assert 0 < len(history.records) < 60
    subprocess.run(["mount", "-o", "remount,size=64m", small_disk], check=True)
    assert "failed" not in cli(*command).stderr
    assert len(contents(small_disk / "out")) == 60


def test_a_manifest_of_something_else_is_not_touched(tmp_path):
    noisy_pictures(tmp_path / "in", 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out/manifest.jsonl").write_text('{"my": "own file"}\n')
    with pytest.raises(OutputError, match="no restorekit manifest"):
        restore(tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out/manifest.jsonl").read_text() == '{"my": "own file"}\n'
