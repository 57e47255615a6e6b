"""Cores are divided so that workers do not take them from each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorekit.batch.engines import choice
from restorekit.batch.engines.share import Share, divided
from restorekit.errors import UsageError
from restorekit.inference.threads import cores
from tests.conftest import REPOSITORY

from .conftest import noisy_pictures
from .workshop import make_dead


@pytest.mark.parametrize("available", [1, 2, 4, 16])
@pytest.mark.parametrize("limit", [None, 1, 3, 64])
@pytest.mark.parametrize("pictures", [None, 1, 5, 40])
def test_networks_never_have_more_threads_than_there_are_cores(available, limit, pictures):
    for workers in range(1, available + 1):
        share = divided(available, workers=workers, limit=limit, pictures=pictures)
        assert share.network >= 1
        assert share.network * workers <= available
        assert share.network * workers <= max(limit or available, workers)
        assert workers * share.pictures <= max(pictures or available + workers, workers)
        assert share.opencv == 1 or share.pictures * share.opencv * workers <= available
    assert divided(available) == Share(network=available, pictures=available + 1, opencv=1)


@given(available=st.integers(1, 200), workers=st.integers(1, 200))
def test_no_core_that_could_be_given_is_left(available, workers):
    share = divided(available, workers=workers)
    assert share.network == 1 or available - share.network * workers < workers
    assert share.pictures == share.network + 1


def test_a_picture_alone_gets_all_cores_for_decoding_and_encoding():
    assert divided(16, pictures=1) == Share(network=16, pictures=1, opencv=16)


@pytest.mark.parametrize(("device", "processes"), [("cpu,cpu,cpu", None), ("cpu", 3)])
def test_more_workers_than_cores_are_refused(monkeypatch, device, processes):
    monkeypatch.setattr(choice, "cores", lambda: 2)
    with (
        pytest.raises(UsageError, match="3 workers on the CPU are more than the 2 cores they may use; ask for fewer"),
        choice.choose_engine("local", make_dead, None, device=device, processes=processes),  # pyright: ignore
    ):
        pass


SCRIPT = """
import functools, os, sys
from pathlib import Path
from restorekit.batch.engines.local import LocalEngine
from restorekit.batch.engines.processes import ProcessEngine
from restorekit.batch.options import BatchOptions
from restorekit.batch.run import run
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from tests.batch.workshop import make_telling

if __name__ == "__main__":
    folder, workers, cores = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])
    make, runtime = functools.partial(make_telling, folder / "log"), choose_runtime("cpu", "fp32")
    engine = LocalEngine(make, runtime, registry()) if workers == 1 else ProcessEngine(make, [runtime] * workers)
    options = BatchOptions(report=False)
    result = run([folder / "in"], folder / "out", options, engine, settings={}, registry=registry())
    assert result.done == 6, result
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="needs Linux")
@pytest.mark.parametrize(("workers", "allowed"), [(1, 2), (2, 2)])
def test_workers_get_what_they_were_dealt(tmp_path, workers, allowed):
    if cores() < allowed:
        pytest.skip(f"needs {allowed} cores")
    noisy_pictures(tmp_path / "in", 6, side=16)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    del environment["OMP_NUM_THREADS"]  # as users have it
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path), str(workers), str(allowed)]
    subprocess.run(command, check=True, env=environment, timeout=120)
    lines = [json.loads(line) for line in (tmp_path / "log.threads").read_text().splitlines()]
    networks = {line["process"]: line["torch"] for line in lines if line["place"] == "network"}
    assert len(networks) == workers
    assert sum(networks.values()) == allowed
    readers = [line for line in lines if line["place"] == "picture"]
    assert {line["torch"] for line in readers} == {1}
    assert {line["opencv"] for line in lines} == {1}
    for process in networks:
        threads = {line["thread"] for line in readers if line["process"] == process}
        assert len(threads) <= networks[process] + 1
