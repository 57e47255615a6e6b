"""Sets that live on the device give the batches that the host gives, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.sources import Sampler
from restorekit.sources.arrays import ArraySource
from restorekit.sources.resident import Resident, can_reside
from restorekit.training.data import Augmentation, Batches

CPU = torch.device("cpu")


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    channels=st.sampled_from([1, 3]),
    crop=st.none() | st.integers(1, 12),
    flip=st.booleans(),
    rotate=st.booleans(),
    seed=st.integers(0, 2**40),
)
def test_crops_mirrors_and_turns_are_those_of_the_host(height, width, channels, crop, flip, rotate, seed):
    rng = np.random.default_rng(seed)
    shape = (5, height, width, channels)
    source = ArraySource("set", rng.integers(0, 256, shape, np.uint8), np.arange(5))
    sampler = Sampler(source, seed, crop, flip, rotate)
    if not can_reside(sampler, CPU):
        assert crop is None
        assert height != width
        return
    indices = range(7, 7 + 13)
    expected, labels, seeds = sampler.batch(indices)
    resident = Resident(sampler, CPU)
    places, own_labels, own_seeds = resident.places(indices)
    np.testing.assert_array_equal(resident.pictures(places).numpy(), expected)
    np.testing.assert_array_equal(own_labels, labels)
    np.testing.assert_array_equal(own_seeds, seeds)


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("channels", [1, 3])
def test_resident_batches_equal_the_hosts(channels, world):
    rng = np.random.default_rng(0)
    source = ArraySource("set", rng.integers(0, 256, (40, 28, 28, channels), np.uint8), np.arange(40) % 10)
    sampler = Sampler(source, 1, 24, rotate=True)

    def made(resident: Resident | None, augmentation: Augmentation):
        options = {"batch_size": 8, "batches_per_step": 2, "device": CPU, "rank": world - 1, "world": world}
        batches = Batches(sampler, None, **options, augmentation=augmentation, resident=resident)
        return [batch for step in batches.from_step(2, 9) for batch in step]

    for augmentation in (Augmentation(), Augmentation(0.5, 0.4, 0.3)):
        for one, other in zip(made(None, augmentation), made(Resident(sampler, CPU), augmentation), strict=True):
            assert torch.equal(one.images, other.images)
            assert one.images.stride() == other.images.stride()
            assert other.targets is other.images
            np.testing.assert_array_equal(one.seeds, other.seeds)
            np.testing.assert_array_equal(one.labels, other.labels)
            assert (one.labels is None) == (augmentation.mixup > 0)


def test_folders_and_large_sets_do_not_reside(monkeypatch):
    source = ArraySource("set", np.zeros((10, 100, 100, 3), np.uint8))
    cuda = torch.device("cuda")
    for free, expected in ((2_000_000, True), (1_000_000, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, free))
        assert can_reside(Sampler(source, 0, 32), cuda) is expected
    assert not can_reside(Sampler(source, 0, 32, shrink=0.5), torch.device("cpu"))
    other: Any = object()
    assert not can_reside(Sampler(other, 0, 32), cuda)
