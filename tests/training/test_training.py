"""Training: what it learns, what it leaves, what it refuses."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.numpy import load_file
from torch import nn

from restorekit.contract import Batch, Phase
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.inference.device import Runtime
from restorekit.registry import registry
from restorekit.sources import Sampler
from restorekit.specs import Step
from restorekit.training import load_plan, train
from restorekit.training.config import RunConfig
from restorekit.training.data import Batches, clean_batch
from restorekit.training.smoke import smoke_data, smoke_settings
from restorekit.training.update import PATIENCE, Diverged, Updater
from restorekit.weights.card import card
from restorekit.weights.files import file_sha256, read_header

from .conftest import RUN, TINY

CPU = Runtime(torch.device("cpu"), "fp32", "tests")


def test_a_super_resolver_learns_to_beat_bicubic_in_seconds(tmp_path, teach, tiles):
    settings = ["network.features=16", "run.log_every=50", "run.validate_every=150", "recipe.learning_rate=2e-3"]
    start = teach(tmp_path / "start", horizon=1, settings=settings, validation=tiles).metrics["psnr"]
    result = teach(tmp_path / "run", horizon=150, settings=settings, validation=tiles)
    assert result.metrics["psnr"] > start + 0.5, "an untrained network is bicubic"


def test_a_denoiser_learns_in_seconds(tmp_path, teach, tiles):
    settings = ["run.log_every=50", "recipe.learning_rate=3e-3", 'recipe.degradation=["noise:25"]']
    result = teach(tmp_path / "run", "denoiser", horizon=250, settings=settings, validation=tiles)
    assert result.metrics["psnr"] > 20.2 + 3, "the noisy pictures have 20.2 dB"


def test_a_run_leaves_everything_there_is_to_look_at(tmp_path, teach, tiles):
    result = teach(tmp_path / "run", validation=tiles)
    folder = tmp_path / "run"
    assert {path.name for path in folder.iterdir() if not path.name.startswith(".")} >= {
        *("config.json", "log.jsonl", "curves.png", "samples", "checkpoints", "weights.safetensors"),
    }
    assert Image.open(folder / "curves.png").size[0] > 300
    assert Image.open(folder / "samples/step-000000008.png").size[0] > 60
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "pixel" in line] == list(range(1, 9))
    assert result.metrics["psnr"] == lines[-1]["validation_psnr"]
    config = json.loads((folder / "config.json").read_text())
    assert config["network"]["features"] == 8
    assert config["run"]["steps"] == 8


def test_trained_weights_restore_pictures_from_the_command_line(tmp_path, teach, photo, cli):
    teach(tmp_path / "run")
    Image.fromarray(photo).save(tmp_path / "a.png")
    cli("restore", "a.png", "-o", "out", "--with", tmp_path / "run/weights.safetensors")
    assert Image.open(tmp_path / "out/a.png").size == (photo.shape[1] * 2, photo.shape[0] * 2)


def test_the_header_tells_which_weights_a_run_started_from_also_after_it_was_resumed(tmp_path, teach):
    first = teach(tmp_path / "first", horizon=2).weights
    teach(tmp_path / "second", horizon=8, start=first, steps=4)
    second = teach(tmp_path / "second", horizon=8, resume=True).weights
    assert read_header(first).training["start"] == ""
    assert read_header(second).training["start"] == file_sha256(first)
    third = teach(tmp_path / "third", horizon=3, start=second, terms="CC0").weights
    fourth = teach(tmp_path / "fourth", horizon=1, start=third).weights
    earlier = card(fourth)["training"]["earlier"]
    assert [(each["steps"], each["terms"]) for each in earlier] == [(2, ""), (8, ""), (3, "CC0")]
    assert earlier[2]["start"] == file_sha256(second)
    assert earlier[0]["config"]["run"]["steps"] == 2


def test_a_run_takes_what_fits_of_weights_for_another_scale(tmp_path, teach):
    first = teach(tmp_path / "first", horizon=2).weights
    settings = ["network.scale=4", "recipe.learning_rate=1e-12"]
    with pytest.raises(NotAvailable, match=r"does not fit.*--fitting"):
        teach(tmp_path / "whole", horizon=1, settings=settings, start=first)
    second = teach(tmp_path / "second", horizon=1, settings=settings, start=first, fitting=True)
    before, after = load_file(first), load_file(second.weights)
    alike = {name for name in after if name in before and before[name].shape == after[name].shape}
    assert len(alike) < len(after)
    for name in alike:
        assert np.allclose(before[name], after[name], atol=1e-6), name
    told = read_header(second.weights).training["start"]
    assert told == f"{file_sha256(first)} ({len(alike)} of {len(after)} tensors)"


def test_weights_of_which_nothing_fits_are_refused(tmp_path, teach):
    first = teach(tmp_path / "first", horizon=1).weights
    with pytest.raises(NotAvailable, match="no tensor that fits"):
        teach(tmp_path / "second", horizon=1, name="dcgan", start=first, fitting=True)


def test_a_network_that_was_never_taught_restores_nothing():
    with pytest.raises(NotAvailable, match="restorekit train translate"):
        registry().load("translate")


def test_two_processes_learn_what_one_does_with_the_same_global_batch(tmp_path, tiles):
    np.savez(tmp_path / "tiles.npz", x_train=tiles.pictures)
    # Lower precision rounds the sums of half a batch where it would not round those of a whole one.
    settings = [*TINY["super-resolver"], *RUN, "run.steps=6", "run.checkpoint_every=6", "run.precision=fp32"]
    arguments = ["train", "super-resolver", "--data", str(tmp_path / "tiles.npz"), "--device", "cpu"]
    arguments += [part for setting in settings for part in ("--set", setting)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    one = [sys.executable, "-m", "restorekit", *arguments, "-o", str(tmp_path / "one")]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", "--master-port=29611"]
    two = [*torchrun, "-m", "restorekit", *arguments, "-o", str(tmp_path / "two")]
    for command in (one, two):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
    first, second = (load_file(tmp_path / name / "weights.safetensors") for name in ("one", "two"))
    for key, value in first.items():
        np.testing.assert_allclose(value, second[key], atol=2e-6, err_msg=key)


def test_batches_are_the_same_whatever_the_number_of_threads_and_processes(tiles):
    def images(world: int, workers: int) -> torch.Tensor:
        parts = []
        for rank in range(world):
            batches = Batches(
                Sampler(tiles, 5, 16, rotate=True),
                None,
                batch_size=6,
                batches_per_step=2,
                device=torch.device("cpu"),
                rank=rank,
                world=world,
                workers=workers,
            )
            parts.append(torch.stack([b.images for step in batches.from_step(3, 6) for b in step]))
        return torch.cat(parts, dim=1)

    expected = images(1, 1)
    for world, workers in ((1, 4), (2, 1), (3, 2)):
        assert torch.equal(images(world, workers), expected)


def test_an_epoch_visits_every_picture_once(tiles):
    sampler = Sampler(tiles, 1, None, flip=False)
    pictures = clean_batch(sampler, range(len(tiles))).images
    rows = {tuple(picture.flatten().tolist()) for picture in pictures}
    assert len(rows) == len({tile.tobytes() for tile in tiles.pictures})


def updater(weight: float = 1.0, accumulate: int = 1, **changes) -> tuple[nn.Linear, Updater]:
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    phase = Phase(**{"networks": ("net",), "learning_rate": 0.1, **changes})
    return network, Updater({"net": network}, {"only": phase}, CPU, accumulate)


def batch(*values: float) -> Batch:
    return Batch(torch.tensor(values).reshape(-1, 1, 1, 1))


def test_accumulation_gives_the_gradient_of_the_whole_batch():
    weights = []
    for accumulate in (1, 2, 3, 7):
        network, update = updater(accumulate=accumulate)
        for _ in range(3):
            update(
                "only",
                lambda b, network=network: ((network(b.images.flatten(1)) ** 2).mean(), {}),
                batch(1.0, 2.0, 3.0, 4.0, 5.0),
            )
        weights.append(float(network.weight))
    np.testing.assert_allclose(weights, weights[0], rtol=1e-5)
    assert weights[0] < 1.0


def test_a_phase_moves_only_its_own_networks():
    one, two = nn.Linear(1, 1), nn.Linear(1, 1)
    phases = {"a": Phase(networks=("one",), learning_rate=0.1), "b": Phase(networks=("two",), learning_rate=0.1)}
    update = Updater({"one": one, "two": two}, phases, CPU)
    before = [parameter.clone() for parameter in two.parameters()]
    update("a", lambda b: (two(one(b.images.flatten(1))).mean(), {}), batch(1.0, 2.0))
    assert all(torch.equal(a, b) for a, b in zip(before, two.parameters(), strict=True))
    assert all(parameter.grad is None for parameter in two.parameters())


def test_gradients_that_are_not_finite_are_left_out_and_counted():
    network, update = updater()
    update("only", lambda b: (network(b.images.flatten(1)).mean() * float("nan"), {}), batch(1.0))
    assert float(network.weight) == 1.0
    assert int(update.skipped) == 1
    update.check()
    for _ in range(PATIENCE):
        update("only", lambda b: (network(b.images.flatten(1)).mean() * float("inf"), {}), batch(1.0))
    with pytest.raises(Diverged):
        update.check()


def test_a_diverged_run_ends_with_one_line(tmp_path, teach, monkeypatch):
    monkeypatch.setattr("restorekit.training.update.PATIENCE", 3)
    monkeypatch.setattr("restorekit_super_resolver.training.pixel_loss", lambda kind, x, y: (x * float("nan")).mean())
    with pytest.raises(RestorekitError, match="diverged") as caught:
        teach(tmp_path / "run", horizon=20)
    assert "\n" not in str(caught.value)


def test_gradients_are_clipped_to_their_norm():
    network, update = updater(clip_norm=1e-12)
    loose, other = updater()
    for net, run in ((network, update), (loose, other)):
        run("only", lambda b, net=net: ((net(b.images.flatten(1)) * 1000).mean(), {}), batch(1.0))
    assert abs(float(network.weight) - 1.0) < abs(float(loose.weight) - 1.0)


def test_the_moving_average_follows_its_definition():
    network, update = updater(ema_decay=0.9)
    expected = float(network.weight)
    for step in range(1000, 1005):
        update.begin_step(step, 1.0)
        update("only", lambda b: (network(b.images.flatten(1)).mean(), {}), batch(1.0))
        expected = 0.9 * expected + 0.1 * float(network.weight)
    (average,) = update.states["only"].averages.values()
    assert float(average) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_the_learning_rate_rises_falls_and_ends_where_it_is_told(schedule):
    run = RunConfig(steps=100, warmup=10, final=0.1, schedule=schedule)
    rates = [run.learning_rate(step) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.batch_size=0", "greater than or equal to 1"),
        ("run.batchsize=4", "run.batchsize: is no setting; run has .*batch_size"),
        ("network.scale=5", "scale=5 is not allowed"),
        ("recipe.loss=huber", "loss=huber is not allowed"),
        ("steps=5", "network.KEY=, recipe.KEY= or run.KEY"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(setting, message):
    with pytest.raises(UsageError, match=message):
        load_plan(registry().spec("super-resolver"), settings=[setting])


def test_a_configuration_file_and_settings_over_it(tmp_path):
    file = tmp_path / "recipe.toml"
    file.write_text('generator = "super-resolver"\n[network]\nfeatures = 24\n[run]\nsteps = 7\nseed = 3\n')
    plan = load_plan(registry().spec("super-resolver"), file, ["run.seed=4"])
    assert (plan.network.features, plan.run.steps, plan.run.seed) == (24, 7, 4)
    assert load_plan(registry().spec("super-resolver"), saved=plan.as_dict()) == plan
    with pytest.raises(UsageError, match="is for super-resolver, not for denoiser"):
        load_plan(registry().spec("denoiser"), file)


@pytest.mark.parametrize("recipe", sorted(Path(__file__).parents[2].glob("plugins/*/recipes/*.toml")), ids=str)
def test_every_recipe_that_ships_is_valid(recipe):
    name = next(line.split('"')[1] for line in recipe.read_text().splitlines() if line.startswith("generator"))
    plan = load_plan(registry().spec(name), recipe)
    assert dataclasses.is_dataclass(plan.network)


@pytest.mark.parametrize("name", [spec.name for spec in registry().generators if spec.trainer])
def test_every_trainable_has_a_smoke_that_runs(tmp_path, name):
    spec = registry().spec(name)
    plan = load_plan(spec, settings=[*smoke_settings(spec), "run.steps=2", "run.sample_every=2"])
    result = train(plan, smoke_data(), tmp_path / "run", registry=registry(), device="cpu")
    assert result.steps == 2
    assert list((tmp_path / "run/samples").iterdir())
    parameters = sum(p.numel() for p in registry().load(Step(str(result.weights))).generator.parameters())  # pyright: ignore
    assert parameters < 1_000_000, "a smoke is for small machines"


def test_the_smoke_runs_from_the_command_line(tmp_path, cli):
    done = cli("train", "super-resolver", "--smoke", "-o", "run", "--set", "run.steps=5", "--json")
    assert json.loads(done.stdout)["steps"] == 5
    assert "step 5 of 5" in done.stderr


def test_missing_data_is_one_line(cli):
    done = cli("train", "super-resolver", "-o", "run", check=2)
    assert "--smoke" in done.stderr
    done = cli("train", "super-resolver", "-o", "run", "--data", "nowhere", check=2)
    assert "nowhere: does not exist" in done.stderr
