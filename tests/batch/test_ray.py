"""A Ray cluster of this machine: the same bytes as without, and no actor's death loses anything."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import signal
import subprocess
import sys
import threading
from importlib.util import find_spec
from pathlib import Path

import pytest

from restorekit.batch import restore as batch
from restorekit.batch.engines.choice import choose_engine
from restorekit.batch.options import BatchOptions
from restorekit.batch.restore import Options
from restorekit.batch.run import run
from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import registry
from restorekit.specs import Step

from . import workshop
from .conftest import contents, noisy_pictures
from .test_processes import Warnings, alive, until

if find_spec("ray") is None:  # not imported here: whoever does that first decides how private a cluster is
    pytest.skip("Ray is not installed: pip install 'restorekit[ray]'", allow_module_level=True)

STEPS = (Step.parse("median:3"), Step.parse("bicubic:2"))
LOCAL = Options(steps=STEPS, precision="fp32", report=False)
RAY = dataclasses.replace(LOCAL, engine="ray", processes=2)


@pytest.fixture(scope="module")
def cluster():
    """One cluster for all tests: starting Ray takes longer than they do."""
    from restorekit.batch.engines import cluster

    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("RAY_ADDRESS", raising=False)
        patched.setattr(cluster, "cores", lambda: 2)
        with cluster.connected():
            yield


def test_two_actors_write_what_one_process_writes_and_it_goes_on_where_they_ended(pictures, tmp_path, cluster):
    (pictures / "broken.png").write_bytes(b"no picture")
    alone = batch.restore([pictures], tmp_path / "alone", LOCAL, registry=registry())
    result = batch.restore([pictures], tmp_path / "out", RAY, registry=registry())
    assert (result.done, result.failed, result.workers_lost) == (12, 1, 0)
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")
    assert [r.reason for r in result.records if r.status == "failed"] == [
        r.reason for r in alone.records if r.status == "failed"
    ]
    again = batch.restore([pictures], tmp_path / "out", LOCAL, registry=registry())
    assert (again.done, again.skipped, again.failed) == (0, 12, 1)


def test_a_killed_actor_loses_nothing_and_a_picture_that_kills_actors_fails_alone(tmp_path, cluster):
    noisy_pictures(tmp_path / "in", 40, side=32)
    (tmp_path / "in/p039.png").rename(tmp_path / "in/z-deadly.png")  # comes last
    log, listener = tmp_path / "log", Warnings()

    def murder() -> None:
        until(lambda: len(workshop.told(log)) > 8)
        os.kill(int(workshop.told(log)[-1][0]), signal.SIGKILL)

    murderer = threading.Thread(target=murder)
    murderer.start()
    with choose_engine(
        "ray", functools.partial(workshop.make_deadly, log), registry(), precision="fp32", processes=2
    ) as engine:
        options = BatchOptions(report=False)
        result = run(
            [tmp_path / "in"], tmp_path / "out", options, engine, settings={}, registry=registry(), listener=listener
        )
    murderer.join()
    assert (result.done, result.failed) == (39, 1), listener.lines
    assert result.workers_lost in (2, 3), (
        "two that the picture ended, and one that was killed unless it had that picture"
    )
    assert len(listener.lines) == result.workers_lost
    assert all(line.startswith("the worker at Ray actor") for line in listener.lines)
    failed = next(record for record in result.records if record.status == "failed")
    assert failed.input == "z-deadly.png"
    assert "ended the worker that restored it, twice" in failed.reason
    assert len(contents(tmp_path / "out")) == 39
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert {threads for _, threads, _ in workshop.told(log)} == {"1"}


@pytest.mark.slow
def test_what_an_actor_cannot_load_is_told_before_anything_is_written(pictures, tmp_path, cluster):
    with pytest.raises(UsageError, match="did you mean median"):
        batch.restore(
            [pictures], tmp_path / "out", dataclasses.replace(RAY, steps=(Step.parse("medain"),)), registry=registry()
        )
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_precision_is_asked_of_the_cluster_and_networks_give_the_same_bytes(tmp_path, cluster):
    noisy_pictures(tmp_path / "in", 4, side=48)
    options = dataclasses.replace(LOCAL, steps=(Step.parse("super-resolver:x4"),), precision="auto")
    batch.restore([tmp_path / "in"], tmp_path / "alone", options, registry=registry())
    batch.restore(
        [tmp_path / "in"],
        tmp_path / "out",
        dataclasses.replace(options, engine="ray", processes=2),
        registry=registry(),
    )
    assert contents(tmp_path / "out") == contents(tmp_path / "alone")


@pytest.mark.slow
def test_a_cluster_of_its_own_is_private_survives_a_kill_and_leaves_nothing_behind(tmp_path):
    noisy_pictures(tmp_path / "in", 80, side=96)
    command = [sys.executable, "-m", "restorekit", "restore", "in", "-o", "out", "--with", "nlmeans:15", "--json"]
    command += ["--engine", "ray", "--processes", "2"]
    start = functools.partial(
        subprocess.Popen,
        command,
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    process = start()
    until(lambda: len(contents(tmp_path / "out")) > 5, 180)
    os.kill(process.pid, signal.SIGINT)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 130, stderr
    assert 5 < json.loads(stdout)["done"] < 80
    until(lambda: not alive(process.pid))
    process = start()
    first = len(contents(tmp_path / "out"))
    until(lambda: len(contents(tmp_path / "out")) > first + 5, 180)
    actors = [pid for pid in pids_of(process.pid) if "ray::_Actor" in name_of(pid)]
    assert len(actors) == 2
    os.kill(actors[0], signal.SIGKILL)
    stdout, stderr = process.communicate(timeout=300)
    assert process.returncode == 0, stderr
    assert json.loads(stdout)["failed"] == 0, "stdout holds more than the summary, or pictures failed"
    assert "the worker at Ray actor" in stderr
    assert len(contents(tmp_path / "out")) == 80
    until(lambda: not alive(process.pid))


def pids_of(session: int) -> list[int]:
    """List the processes of a session."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if int((folder / "stat").read_text().rpartition(")")[2].split()[3]) == session:
                found.append(int(folder.name))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def name_of(pid: int) -> str:
    return (Path("/proc") / str(pid) / "cmdline").read_text()


def test_a_cluster_is_divided_by_its_gpus_or_else_by_its_cores():
    from restorekit.batch.engines.cluster import share

    small, large = {"CPU": 4.0}, {"CPU": 64.0, "GPU": 8.0}
    assert share([small], "auto", None) == (1, 4, 0)
    assert share([{"CPU": 64.0}] * 2, "auto", None) == (16, 8, 0)
    assert share([{"CPU": 2.0}], "auto", 2) == (2, 1, 0)
    assert share([small, {"CPU": 6.0}], "cpu", 3) == (3, 3, 0)
    assert share([small, large], "auto", None) == (8, 8, 1)
    assert share([small, large], "cuda", 3) == (3, 8, 1)
    assert share([small, large], "cpu", None) == (17, 4, 0)
    with pytest.raises(UsageError, match="9 are more than the cluster's 8 GPUs"):
        share([large], "auto", 9)
    with pytest.raises(UsageError, match="5 are more than the cluster's 4 cores"):
        share([small], "auto", 5)
    with pytest.raises(NotAvailable, match="no GPU"):
        share([small], "cuda", None)


def test_without_ray_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "restorekit.batch.engines.cluster", raising=False)
    with (
        pytest.raises(NotAvailable, match=r"--engine: Ray is not installed; pip install 'restorekit\[ray\]'"),
        choose_engine("ray", workshop.make_dead, registry()),
    ):
        pass


def test_an_unknown_engine_and_no_processes_are_refused(tmp_path):
    for options, problem in [({"engine": "dask"}, "choose one of local, ray"), ({"processes": 0}, "give 1 or more")]:
        with pytest.raises(UsageError, match=problem):
            batch.restore([tmp_path], tmp_path / "out", dataclasses.replace(LOCAL, **options), registry=registry())
