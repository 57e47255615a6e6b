"""Captured steps: the same training as step by step, and never a wait for the device."""

from __future__ import annotations

import dataclasses
import warnings

import pytest
import torch

from restorekit.contract import Batch
from restorekit.inference.device import Runtime
from restorekit.registry import registry
from restorekit.sources import Sampler
from restorekit.training import graph as graphs
from restorekit.training import load_plan
from restorekit.training.data import clean_batch, degraded
from restorekit.training.graph import StepGraph
from restorekit.training.update import Updater
from restorekit.values import resolve
from tests.unsynced import Unsynced

from .conftest import RUN, TINY
from .test_resume import assert_same_run, tensors

CPU = Runtime(torch.device("cpu"), "fp32", "tests")
TRAINABLE = [spec.name for spec in registry().generators if spec.trainer]


class Tape:
    """Stands in for a CUDA graph: what is recorded is not run, and replaying calls it on the recorded tensors."""

    def __init__(self, *_: object):
        self.recorded = 0
        self.replayed = 0

    def run(self, function):
        return function()

    def record(self, function):
        self.recorded += 1

        def replay():
            self.replayed += 1
            return function()

        return replay


@pytest.fixture
def tape(monkeypatch) -> Tape:
    """Let the loop capture on the CPU, with a tape."""
    tape = Tape()
    monkeypatch.setattr("restorekit.training.loop.CudaRecorder", lambda device: tape)
    monkeypatch.setattr("restorekit.training.loop.Loop._can_capture", lambda loop: True)
    monkeypatch.setattr(graphs, "WARM_UP", 3)
    return tape


@pytest.mark.parametrize("name", TRAINABLE)
def test_a_captured_run_ends_with_the_same_bits(tmp_path, teach, name, tape):
    teach(tmp_path / "plain", name, settings=["run.graph=off"])
    assert not tape.recorded
    teach(tmp_path / "captured", name, settings=["run.graph=auto"])
    assert (tape.recorded, tape.replayed) == (1, 5)
    one, other = (tensors(tmp_path / run, 8) for run in ("plain", "captured"))
    for key, value in one.items():
        assert (value == other[key]).all(), key


def test_a_captured_run_resumes_with_the_same_bits(tmp_path, teach, tape):
    teach(tmp_path / "whole")
    teach(tmp_path / "parts", steps=4)
    teach(tmp_path / "parts", resume=True)
    assert tape.replayed
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)


def test_trainers_that_do_not_say_so_are_captured_only_on_demand(tmp_path, teach, tape, monkeypatch):
    monkeypatch.setattr("restorekit_denoiser.training.Training.capturable", False)
    teach(tmp_path / "auto", "denoiser")
    assert not tape.recorded
    teach(tmp_path / "on", "denoiser", settings=["run.graph=on"])
    assert tape.recorded == 1


def test_a_graph_that_is_asked_for_where_there_are_none_is_one_message(tmp_path, teach):
    with pytest.warns(UserWarning, match=r"run\.graph: there are no graphs on cpu"):
        teach(tmp_path / "run", settings=["run.graph=on"], steps=1)


def numbers(count: int, start: float) -> Batch:
    images = torch.arange(start, start + count).reshape(-1, 1, 1, 1)
    return Batch(images, targets=images)


def test_what_cannot_be_captured_falls_back_with_one_message(monkeypatch):
    monkeypatch.setattr(graphs, "WARM_UP", 1)

    class Failing(Tape):
        def record(self, function):
            raise RuntimeError("operation not permitted when stream is capturing\nCompile with ...")

    step = StepGraph(lambda batches: {"sum": batches[0].images.sum()}, Failing())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        values = [float(step([numbers(2, i)])["sum"]) for i in range(4)]
    assert values == [1, 3, 5, 7]
    assert [str(w.message) for w in told] == [
        "run.graph: steps are not captured (operation not permitted when stream is capturing Compile with ...)"
    ]


def test_batches_of_another_shape_run_beside_the_captured_one(monkeypatch):
    monkeypatch.setattr(graphs, "WARM_UP", 1)
    tape = Tape()
    seen = []

    def forward(batches):
        seen.append(batches[0].targets is batches[0].images)
        return {"sum": batches[0].images.sum()}

    step = StepGraph(forward, tape)
    with pytest.warns(UserWarning, match="other shapes") as told:
        values = [float(step([numbers(*batch)])["sum"]) for batch in ((2, 1), (2, 2), (3, 3), (2, 4), (3, 5))]
    assert values == [3, 5, 12, 9, 18]
    assert len(told) == 1
    assert tape.replayed == 2
    assert all(seen), "clean pictures that serve as targets stay one tensor"


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", TRAINABLE)
def test_no_step_waits_for_the_device(name, precision, tiles):
    spec = registry().spec(name)
    plan = load_plan(spec, settings=[*TINY[name], *RUN])
    trainer = resolve(spec, spec.trainer)(registry().construct(spec, plan.network), plan.recipe)
    runtime = dataclasses.replace(CPU, precision=precision)
    update = Updater(trainer.networks(), trainer.phases(), runtime)
    batch = clean_batch(Sampler(tiles, 0, plan.run.crop), range(4))
    if hasattr(trainer, "degradation"):
        from restorekit.degradations import parse

        batch = degraded(batch, parse(trainer.degradation()))
    batches = [batch] * trainer.batches_per_step
    trainer.training_step(batches, update)
    with Unsynced():
        update.begin_step(1, 0.5)
        scalars = trainer.training_step(batches, update)
    assert scalars


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", TRAINABLE)
def test_steps_captured_on_a_gpu_train_as_uncaptured_ones(tmp_path, tiles, name):
    from restorekit.training import train

    torch.backends.cudnn.deterministic = True
    runs = {}
    for graph in ("off", "on"):
        settings = [*TINY[name], *RUN, "run.steps=24", "run.checkpoint_every=24", "run.sample_every=24"]
        plan = load_plan(registry().spec(name), settings=[*settings, f"run.graph={graph}", "run.precision=fp32"])
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="run.graph")
            train(plan, tiles, tmp_path / graph, registry=registry(), device="cuda")
        runs[graph] = tensors(tmp_path / graph, 24)
    for key, value in runs["off"].items():
        torch.testing.assert_close(
            torch.from_numpy(value), torch.from_numpy(runs["on"][key]), atol=1e-4, rtol=1e-3, msg=key
        )
