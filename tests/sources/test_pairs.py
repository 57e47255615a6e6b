"""Pairs of pictures: found by name, cropped and turned together, learned from as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import registry
from restorekit.sources import Sampler, is_paired, open_source
from restorekit.sources.folder import FolderSource
from restorekit.training import load_plan, train
from restorekit.training.data import Augmentation, Batches
from restorekit.training.validation import Validation


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six pairs; each input is its target's negative."""
    chance = np.random.default_rng(0)
    for number in range(6):
        target = chance.integers(0, 256, (40 + number, 52, 3), np.uint8)
        write(tmp_path / "pairs" / "target" / f"sub{number % 2}" / f"{number}.png", target)
        write(tmp_path / "pairs" / "input" / f"sub{number % 2}" / f"{number}.webp", target)
        Image.fromarray(255 - target).save(
            tmp_path / "pairs" / "input" / f"sub{number % 2}" / f"{number}.webp", lossless=True
        )
    return tmp_path / "pairs"


def test_a_folder_with_inputs_and_targets_is_pairs_where_they_are_wanted(folder):
    source = open_source([str(folder)], pairs=True)
    assert is_paired(source)
    assert len(source) == 6
    for number in range(6):
        pair = source.picture(number)
        assert pair.shape[2] == 6
        assert np.array_equal(pair[..., :3], 255 - pair[..., 3:])
    alone = open_source([str(folder)])
    assert isinstance(alone, FolderSource)
    assert not is_paired(alone)
    assert alone.picture(0).shape[2] == 3


@pytest.mark.parametrize("shrink", [1.0, 0.5])
def test_both_pictures_of_a_pair_are_shrunk_cropped_mirrored_and_turned_alike(folder, shrink):
    options = {"seed": 3, "crop": 24, "flip": True, "rotate": True, "shrink": shrink}
    sampler = Sampler(open_source([str(folder)], pairs=True), **options)
    pictures, _, _ = sampler.batch(range(24))
    assert pictures.shape == (24, 24, 24, 6)
    # Averages of bytes are rounded, halves to even ones.
    assert np.abs(pictures[..., :3] - (255.0 - pictures[..., 3:])).max() <= (shrink < 1)
    targets = Sampler(open_source([str(folder / "target")]), **options)
    assert np.array_equal(pictures[..., 3:], targets.batch(range(24))[0])


def test_batches_of_pairs_give_and_ask_for_the_right_picture(folder):
    sampler = Sampler(open_source([str(folder)], pairs=True), seed=3, crop=24)
    options = {"batch_size": 4, "batches_per_step": 1, "device": torch.device("cpu"), "workers": 1}
    ((batch,),) = Batches(sampler, None, **options).from_step(0, 1)  # pyright: ignore[reportArgumentType]
    assert batch.targets is not None
    assert batch.images.shape == batch.targets.shape == (4, 3, 24, 24)
    torch.testing.assert_close(batch.images, 1 - batch.targets)
    assert not torch.equal(batch.images, batch.targets)
    mixing = Batches(sampler, None, augmentation=Augmentation(mixup=0.4), **options)  # pyright: ignore[reportArgumentType]
    ((mixed,),) = mixing.from_step(0, 1)
    assert mixed.targets is not None
    torch.testing.assert_close(mixed.images, 1 - mixed.targets)
    assert not torch.equal(mixed.targets, batch.targets)


def test_validation_restores_the_inputs_and_compares_with_the_targets(folder):
    validation = Validation(open_source([str(folder)], pairs=True), None, 16, 3)
    (first, *_) = validation._batches
    assert first.targets is not None
    torch.testing.assert_close(first.images, 1 - first.targets)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda f: (f / "input/sub0/2.webp").unlink(), "target has sub0/2, which input has not; give both pictures"),
        (lambda f: [p.unlink() for p in f.glob("target/sub*/*")], "input has sub0/0, sub0/2, sub0/4 and 3 more"),
        (lambda f: write(f / "input/sub0/2.png", np.zeros((8, 8, 3), np.uint8)), "has the name of"),
        (lambda f: write(f / "target/sub0/2.png", np.zeros((8, 8, 3), np.uint8)), "is 52x42, and its target 8x8"),
    ],
)
def test_what_is_no_pair_is_one_line(folder, damage, told):
    damage(folder)
    with pytest.raises(NotAvailable) as caught:
        open_source([str(folder)], pairs=True)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", ["input/sub0/2.webp", "target/sub0/2.png"])
def test_a_pair_that_cannot_be_read_is_left_out(folder, side):
    (folder / side).write_bytes(b"nothing")
    source = open_source([str(folder)], pairs=True)
    assert len(source) == 5
    assert side.split("/")[-1] in source.skipped[0]  # pyright: ignore[reportAttributeAccessIssue]


def taught(folder: Path, output: Path, name: str, *settings: str) -> Path:
    source = open_source([str(folder)], pairs=True)
    run = ["run.steps=2", "run.batch_size=2", "run.crop=16", "run.workers=1", *settings]
    plan = load_plan(registry().spec(name), settings=run)
    return train(plan, source, output, registry=registry(), validation=source, device="cpu").weights


def test_a_denoiser_learns_from_real_pairs_in_place_of_its_degradation(folder, tmp_path):
    from restorekit.weights.files import read_header

    small = ("network.widths=[4,8]", "network.blocks=1")
    header = read_header(taught(folder, tmp_path / "run", "denoiser", *small))
    assert header is not None
    assert header.training["degradation"] == []
    assert header.training["data"] == "pairs"


@pytest.mark.parametrize(
    ("name", "settings", "told"),
    [
        ("super-resolver", ["network.features=4", "network.blocks=1"], "holds pairs of one size, and super-resolver"),
        ("vae", ["network.size=32", "run.crop=32"], "holds pairs, and vae learns from single pictures"),
    ],
)
def test_pairs_are_refused_where_there_is_no_use_for_them(folder, tmp_path, name, settings, told):
    with pytest.raises(UsageError, match=told):
        taught(folder, tmp_path / "run", name, *settings)
