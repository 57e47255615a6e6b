"""Jitter, mixup and grey pictures: functions of the samples' seeds alone, whatever the batch and the processes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from restorekit.degradations import parse
from restorekit.degradations.tone import luma
from restorekit.errors import UsageError
from restorekit.registry import registry
from restorekit.sources import Sampler
from restorekit.sources.arrays import ArraySource
from restorekit.training import load_plan
from restorekit.training.augment import grayed, jittered, mixed, partners
from restorekit.training.data import Augmentation, Batches

from .test_resume import assert_same_run

ALL = ["run.jitter=0.8", "run.mixup=0.4", "run.gray=0.5"]


@pytest.fixture(scope="module")
def pictures() -> torch.Tensor:
    """Eight random pictures."""
    return torch.rand(8, 3, 17, 13, generator=torch.Generator().manual_seed(0))


SEEDS = torch.arange(100, 108)


def test_jitter_changes_each_picture_in_a_way_of_its_own_whatever_the_batch(pictures):
    whole = jittered(pictures, SEEDS, 1.0)
    assert not torch.equal(whole, pictures)
    assert whole.min() >= 0
    assert whole.max() <= 1
    for i in range(8):
        assert torch.equal(jittered(pictures[i : i + 1], SEEDS[i : i + 1], 1.0)[0], whole[i])
    channels_last = pictures.contiguous(memory_format=torch.channels_last)
    assert torch.equal(jittered(channels_last, SEEDS, 1.0), whole)
    same = jittered(pictures[:1].expand(8, -1, -1, -1), SEEDS, 1.0)
    assert len({tuple(picture.flatten().tolist()) for picture in same}) == 8


def test_jitter_is_as_strong_as_it_is_told(pictures):
    inner = pictures * 0.2 + 0.4
    changes = [(jittered(inner, SEEDS, strength) - inner).abs().mean().item() for strength in (0.0, 0.1, 0.5, 1.0)]
    assert changes[0] == 0
    assert changes == sorted(changes)
    assert 0.01 < changes[-1] < 0.2


def test_jitter_leaves_grey_pictures_grey(pictures):
    grey = pictures[:, :1].expand(-1, 3, -1, -1)
    spread = jittered(grey, SEEDS, 1.0)
    assert (spread - spread[:, :1]).abs().max() < 1e-6


def test_jitter_turns_the_hue(pictures):
    """The angle of the colour plane about the grey axis changes, by up to 36 degrees."""
    red = torch.tensor([0.6, 0.5, 0.5]).view(1, 3, 1, 1).expand(200, 3, 2, 2)
    r, g, b = jittered(red, torch.arange(200), 1.0)[:, :, 0, 0].unbind(dim=1)
    degrees = torch.rad2deg(torch.atan2(3**0.5 * (g - b), 2 * r - g - b))
    assert degrees.abs().max() <= 36.01
    assert degrees.min() < -25
    assert degrees.max() > 25


def test_mixup_keeps_at_least_half_of_a_picture_and_its_shares_follow_alpha(pictures):
    zeros, ones = torch.zeros(2000, 3, 1, 1), torch.ones(2000, 3, 1, 1)
    little, much = (1 - mixed(ones, zeros, torch.arange(2000), alpha)[:, 0, 0, 0] for alpha in (0.2, 2.0))
    assert little.min() >= 0
    assert much.max() <= 0.5
    # E[min(x, 1 - x)] of Beta(2, 2) is 5/16.
    assert much.mean() == pytest.approx(5 / 16, abs=0.01)
    assert little.mean() < 0.15


def test_each_sample_of_a_batch_is_mixed_with_another_one_of_the_batch():
    for start in range(0, 1600, 16):
        others = partners(3, start, 16)
        assert sorted(others) == list(range(start, start + 16))
        assert (others != np.arange(start, start + 16)).all()
    assert len({tuple(partners(3, start, 16) - start) for start in range(0, 160, 16)}) > 3
    assert partners(3, 5, 1).tolist() == [5]


def test_pictures_lose_their_colours_as_often_as_asked_and_keep_their_luma():
    seeds = torch.arange(4000)
    vivid = torch.rand(4000, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    made = grayed(vivid, seeds, 0.3)
    is_gray = (made == made[:, :1]).flatten(1).all(dim=1)
    assert is_gray.float().mean() == pytest.approx(0.3, abs=0.03)
    assert torch.equal(made[~is_gray], vivid[~is_gray])
    torch.testing.assert_close(luma(made), luma(vivid))
    assert torch.equal(grayed(vivid[7:8], seeds[7:8], 0.3), made[7:8])
    assert grayed(vivid, seeds, 0.0) is vivid
    assert torch.equal(grayed(vivid, seeds, 1.0), luma(vivid).expand_as(vivid))


def test_grey_pictures_stay_grey_when_they_are_damaged_and_their_noise_as_strong_as_it_was_drawn(tiles):
    size, options = 64, {"batch_size": 64, "batches_per_step": 1, "device": torch.device("cpu")}
    recipe = parse(["noise:20"])
    made = Batches(Sampler(tiles, 5, 16), recipe, augmentation=Augmentation(gray=0.5), **options)  # pyright: ignore[reportArgumentType]
    (batch,) = next(iter(made.from_step(0, 1)))
    assert batch.targets is not None
    is_gray = (batch.targets == batch.targets[:, :1]).flatten(1).all(dim=1)
    assert 0.2 * size < is_gray.sum() < 0.8 * size
    assert torch.equal((batch.images == batch.images[:, :1]).flatten(1).all(dim=1), is_gray)
    for chosen in (is_gray, ~is_gray):
        assert (batch.images - batch.targets)[chosen].std().item() * 255 == pytest.approx(20, rel=0.05)


def batches(tiles: ArraySource, world: int = 1, workers: int = 1) -> torch.Tensor:
    parts = []
    for rank in range(world):
        made = Batches(
            Sampler(tiles, 5, 16, rotate=True),
            None,
            batch_size=6,
            batches_per_step=2,
            device=torch.device("cpu"),
            rank=rank,
            world=world,
            workers=workers,
            augmentation=Augmentation(0.7, 0.3, 0.4),
        )
        parts.append(torch.stack([b.images for step in made.from_step(3, 6) for b in step]))
    return torch.cat(parts, dim=1)


def test_augmented_batches_are_the_same_whatever_the_number_of_processes(tiles):
    expected = batches(tiles)
    for world, workers in ((1, 4), (2, 1), (3, 2), (6, 1)):
        assert torch.equal(batches(tiles, world, workers), expected)


@pytest.mark.parametrize("name", ["super-resolver", "vae"])
def test_augmented_runs_resume_exactly(tmp_path, teach, name):
    teach(tmp_path / "whole", name, settings=ALL)
    teach(tmp_path / "parts", name, settings=ALL, steps=4)
    teach(tmp_path / "parts", name, settings=ALL, resume=True)
    assert_same_run(tmp_path / "whole", tmp_path / "parts", 8)


def test_mixed_pictures_are_refused_where_labels_are_learned(tmp_path, teach):
    with pytest.raises(UsageError, match=r"run\.mixup: .*labels.*run\.mixup=0"):
        teach(tmp_path / "run", "dcgan", settings=["run.mixup=0.2", "network.classes=10"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("run.jitter=1.5", "jitter=1.5 is not allowed"),
        ("run.mixup=-1", "mixup=-1 is not allowed"),
        ("run.gray=2", "gray=2 is not allowed"),
    ],
)
def test_wrong_strengths_are_named(setting, message):
    with pytest.raises(UsageError, match=message):
        load_plan(registry().spec("vae"), settings=[setting])
