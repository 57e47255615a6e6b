"""The splits of a set are what they are called, and a generator sees them at its own size."""

import numpy as np
import pytest
import torch

from restorekit import images
from restorekit.errors import UsageError
from restorekit.evaluation.generative.pictures import Pictures, open_splits
from restorekit.sources.arrays import ArraySource

from .conftest import strokes


def test_a_set_with_both_splits_has_both(npz):
    splits = open_splits([str(npz)])
    assert splits.test is not None
    assert (len(splits.train), len(splits.test)) == (300, 120)
    assert splits.reference("")[1] == splits.reference("test")[1] == "test"
    assert splits.reference("train") == (splits.train, "train")
    with pytest.raises(UsageError, match="train or test"):
        splits.reference("validation")


def test_training_pictures_are_never_passed_off_as_held_out(tmp_path, npz):
    pictures, _ = strokes(20, 1)
    np.savez(tmp_path / "one.npz", x_train=pictures)
    splits = open_splits([str(tmp_path / "one.npz")])
    assert splits.test is None
    assert splits.reference("")[1] == "train"
    with pytest.raises(UsageError, match="--test"):
        splits.reference("test")
    assert len(open_splits([str(tmp_path / "one.npz")], [str(npz)]).reference("test")[0]) == 120


def test_a_folder_of_photos_has_no_test_split(samples):
    splits = open_splits([str(samples)])
    assert splits.test is None
    cropped = Pictures(splits.train, "train", side=32, count=5)
    assert torch.cat(list(cropped.pixels())).shape == (5, 3, 32, 32)
    assert cropped.facts()["seen"] == "random crops of 32 px"
    with pytest.raises(UsageError, match="several sizes"):
        list(Pictures(splits.train, "train").pixels())


def test_every_picture_comes_once_with_its_label_and_can_be_asked_for_by_number():
    pictures, labels = strokes(250, 3)
    drawn = Pictures(ArraySource("strokes", pictures, labels), "train", side=28)
    pixels = torch.cat(list(drawn.pixels()))[:, 0].numpy()
    assert drawn.facts() == {"data": "strokes", "split": "train", "pictures": 250, "seen": "whole"}
    places = [int(np.flatnonzero((pictures == one).all(axis=(1, 2)) & (labels == label))[0])
              for one, label in zip(pixels, drawn.labels, strict=True)]  # fmt: skip
    assert sorted(p.tobytes() for p in pixels) == sorted(p.tobytes() for p in pictures)
    assert len(places) == 250
    assert np.array_equal(drawn.picture(123)[..., 0], pixels[123])
    floats = torch.cat([batch.images for batch in drawn.batches()])
    assert torch.equal((floats * 255).round().byte()[:, 0], torch.from_numpy(pixels))


def test_fewer_pictures_are_the_first_of_all_and_small_ones_grow_as_in_training():
    source = ArraySource("strokes", *strokes(50, 3))
    few, every = (torch.cat(list(Pictures(source, "train", 28, n).pixels())) for n in (7, None))
    assert torch.equal(few, every[:7])
    assert next(Pictures(source, "train", 32).pixels()).shape[2:] == (32, 32)


def test_data_without_labels_says_so():
    with pytest.raises(UsageError, match="has no labels"):
        _ = Pictures(ArraySource("strokes", strokes(5, 1)[0]), "train").labels


def test_grey_files_are_seen_in_three_equal_channels(tmp_path):
    from restorekit.sampling import write_pictures

    grey, _ = strokes(3, 1)
    write_pictures(np.broadcast_to(grey[..., None], (3, 28, 28, 3)), tmp_path / "grey")
    assert images.read(tmp_path / "grey" / "00000.png").pixels.shape[2] == 1
    pixels = next(Pictures(open_splits([str(tmp_path / "grey")]).train, "train", 28).pixels())
    assert pixels.shape == (3, 3, 28, 28)
    assert torch.equal(pixels[:, 0], pixels[:, 2])
