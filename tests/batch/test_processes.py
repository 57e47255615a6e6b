"""Several processes under one command: the same bytes, and no worker's death loses anything."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from restorekit.batch import restore as batch
from restorekit.batch.engines import choice
from restorekit.batch.engines.local import LocalEngine
from restorekit.batch.engines.processes import ProcessEngine
from restorekit.batch.options import BatchOptions
from restorekit.batch.restore import Options
from restorekit.batch.run import run
from restorekit.errors import UsageError, WorkerError
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.specs import Step

from . import workshop
from .conftest import contents, noisy_pictures

OPTIONS = Options(steps=(Step.parse("median:3"), Step.parse("bicubic:2")), report=False)
TWO = dataclasses.replace(OPTIONS, device="cpu,cpu")


def restore(source: Path, target: Path, options: Options = TWO, **keywords):
    return batch.restore([source], target, options, registry=registry(), **keywords)


def work(source: Path, target: Path, make, processes: int = 2, **keywords):
    """Run a chain of the tests' own in worker processes."""
    engine = ProcessEngine(make, [choose_runtime("cpu", "fp32")] * processes)
    return run([source], target, BatchOptions(report=False), engine, settings={}, registry=registry(), **keywords)


class Warnings:
    """A listener that keeps what it is told."""

    def __init__(self):
        self.lines: list[str] = []
        self.records = []

    def planned(self, plan):
        self.plan = plan

    def finished(self, record):
        self.records.append(record)

    def warned(self, line: str):
        self.lines.append(line)


def until(condition, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_two_processes_write_what_one_writes_and_neither_does_it_again(pictures, tmp_path):
    (pictures / "broken.png").write_bytes(b"no picture")
    listener = Warnings()
    alone = restore(pictures, tmp_path / "alone", OPTIONS)
    result = restore(pictures, tmp_path / "out", dataclasses.replace(TWO, report=True), listener=listener)
    assert (result.done, result.failed, result.workers_lost) == (12, 1, 0)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert [r.reason for r in result.records if r.status == "failed"] == [
        r.reason for r in alone.records if r.status == "failed"
    ]
    assert len(listener.plan.items) == len(listener.records) == 13
    assert (tmp_path / "out/report.html").read_text().count("data:image/") >= 24
    again = restore(pictures, tmp_path / "out", OPTIONS)  # one process goes on where two were
    assert (again.done, again.skipped) == (0, 12)


def test_networks_give_the_same_bytes_in_two_processes(tmp_path):
    noisy_pictures(tmp_path / "in", 4, side=48)
    options = Options(steps=(Step.parse("super-resolver:x4"),), report=False)
    restore(tmp_path / "in", tmp_path / "alone", options)
    restore(tmp_path / "in", tmp_path / "out", dataclasses.replace(options, device="cpu", processes=2))
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


def test_every_process_takes_part_and_they_share_the_cores(tmp_path, monkeypatch):
    noisy_pictures(tmp_path / "in", 24, side=16)
    monkeypatch.setattr("torch.get_num_threads", lambda: 5)
    monkeypatch.setattr("restorekit.batch.engines.processes.cores", lambda: 5)  # as if this machine had as many
    make = functools.partial(workshop.make_negative, tmp_path / "log", 0.02)
    assert work(tmp_path / "in", tmp_path / "out", make).done == 24
    lines = workshop.told(tmp_path / "log")
    assert len({process for process, _, _ in lines}) == 2
    assert {threads for _, threads, _ in lines} == {"2"}
    assert str(os.getpid()) not in {process for process, _, _ in lines}


def test_a_killed_worker_loses_nothing(tmp_path):
    noisy_pictures(tmp_path / "in", 40, side=32)
    make, log = functools.partial(workshop.make_negative, tmp_path / "log", 0.05), tmp_path / "log"
    listener = Warnings()
    reference = work(tmp_path / "in", tmp_path / "reference", functools.partial(make), processes=1)
    log.unlink()

    def murder() -> None:
        until(lambda: len(workshop.told(log)) > 10)
        os.kill(int(workshop.told(log)[-1][0]), signal.SIGKILL)

    murderer = threading.Thread(target=murder)
    murderer.start()
    result = work(tmp_path / "in", tmp_path / "out", make, listener=listener)
    murderer.join()
    assert (result.done, result.failed, result.workers_lost) == (reference.done, 0, 1) == (40, 0, 1)
    assert contents(tmp_path / "out") == contents(tmp_path / "reference")
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert len(listener.lines) == 1
    assert "SIGKILL" in listener.lines[0]
    assert len({process for process, _, _ in workshop.told(log)}) == 3, "nobody took the dead worker's place"


def test_a_picture_that_kills_workers_fails_alone(tmp_path):
    noisy_pictures(tmp_path / "in", 20, side=16)
    (tmp_path / "in/p003.png").rename(tmp_path / "in/deadly.png")
    result = work(tmp_path / "in", tmp_path / "out", functools.partial(workshop.make_deadly, tmp_path / "log"))
    assert (result.done, result.failed, result.workers_lost) == (19, 1, 2)
    failed = next(record for record in result.records if record.status == "failed")
    assert failed.input == "deadly.png"
    assert "ended the worker that restored it, twice (SIGKILL)" in failed.reason
    lines = [json.loads(line) for line in result.manifest.read_text().splitlines()]
    assert [line["status"] for line in lines if line["input" if "input" in line else "kind"] == "deadly.png"] == [
        "failed"
    ]
    (tmp_path / "in/deadly.png").rename(tmp_path / "in/harmless.png")
    assert work(tmp_path / "in", tmp_path / "out", functools.partial(workshop.make_deadly, tmp_path / "log")).done == 1


def test_workers_that_never_live_end_the_run_with_one_line_and_write_nothing(pictures, tmp_path):
    with pytest.raises(WorkerError, match=r"none stays alive .*SIGKILL") as caught:
        work(pictures, tmp_path / "out", workshop.make_dead)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_what_a_worker_cannot_load_is_told_before_anything_is_written(pictures, tmp_path):
    with pytest.raises(UsageError, match="did you mean median"):
        restore(pictures, tmp_path / "out", dataclasses.replace(TWO, steps=(Step.parse("medain"),)))
    assert not (tmp_path / "out").exists()


def test_devices_that_would_compute_differently_are_refused(monkeypatch):
    def chosen(device, precision):
        return choose_runtime("cpu", {"cuda:0": "bf16", "cpu": "fp32"}[device])

    monkeypatch.setattr(choice, "choose_runtime", chosen)
    with (
        pytest.raises(UsageError, match="cuda:0 would compute in bf16 and cpu in fp32"),
        choice.choose_engine("local", workshop.make_dead, registry(), device="cuda:0,cpu"),
    ):
        pass


COMMAND = [sys.executable, "-m", "restorekit", "restore", "in", "-o", "out", "--with", "nlmeans:15", "--device=cpu,cpu"]


def begun(folder: Path) -> subprocess.Popen[str]:
    """Start the command line in a group of its own, and wait until it has written something."""
    before = len(contents(folder / "out"))
    process = subprocess.Popen(
        COMMAND, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    until(lambda: len(contents(folder / "out")) > before + 3)
    return process


def alive(group: int) -> list[str]:
    """Name the processes of a group that still run."""
    running = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, _, rest = (folder / "stat").read_text().rpartition(")")
            if int(rest.split()[2]) == group and rest.split()[0] != "Z":
                running.append(name)
        except (FileNotFoundError, ProcessLookupError):
            continue
    return running


def test_ctrl_c_and_kill_9_leave_no_process_behind_and_the_next_run_goes_on(tmp_path):
    noisy_pictures(tmp_path / "in", 60, side=64)
    process = begun(tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to everyone
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    assert "run the same command again" in stderr
    assert "Traceback" not in stderr
    until(lambda: not alive(process.pid))
    first = contents(tmp_path / "out")
    assert 3 < len(first) < 56
    process = begun(tmp_path)
    process.kill()
    process.communicate(timeout=60)
    until(lambda: not alive(process.pid))
    done = subprocess.run(COMMAND, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert f" {len(first)} done before" not in done.stderr, "the killed run had done nothing"
    assert "failed" not in done.stderr
    assert len(contents(tmp_path / "out")) == 60
    assert not list((tmp_path / "out").rglob("*.partial"))


def test_the_network_keeps_its_cores_while_the_other_threads_take_one_each(pictures, tmp_path, monkeypatch):
    def make(runtime, registry, stopped, told):
        return workshop.Negative(tmp_path / "log")

    before = torch.get_num_threads()
    monkeypatch.setattr("restorekit.batch.engines.local.cores", lambda: 4)
    torch.set_num_threads(3)
    try:
        engine = LocalEngine(make, choose_runtime("cpu", "fp32"), registry())
        run([pictures], tmp_path / "out", BatchOptions(report=False), engine, settings={}, registry=registry())
    finally:
        torch.set_num_threads(before)
    assert {threads for _, threads, _ in workshop.told(tmp_path / "log")} == {"3"}
