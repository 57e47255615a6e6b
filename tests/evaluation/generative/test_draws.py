"""Samples go into a measure as they would be written, class by class as in the data."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restorekit import sampling
from restorekit.errors import UsageError
from restorekit.evaluation.generative.draws import Draws, balanced_labels, latent_distributions
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.sampling import Drawing


@pytest.fixture
def drawing(gan):
    return Drawing(registry().load(str(gan)), choose_runtime("cpu", "fp32"), batch_size=16)


def test_they_are_the_pictures_that_generate_writes(drawing):
    labels = drawing.labels_for(range(300))
    drawn = torch.cat(list(Draws(drawing, 300, seed=4, labels=labels).pixels()))
    assert drawn.dtype == torch.uint8
    written = sampling.samples(drawing, 300, seed=4)
    assert np.array_equal(drawn.permute(0, 2, 3, 1).numpy(), written)


def test_single_samples_are_drawn_again_by_number(drawing):
    draws = Draws(drawing, 40, seed=1, labels=balanced_labels([3, 1], 40))
    every = torch.cat(list(draws.pixels())).permute(0, 2, 3, 1).numpy()
    assert np.array_equal(draws.pictures([33, 2]), every[[33, 2]])
    assert draws.side == 28


@given(st.lists(st.integers(0, 5000), min_size=1, max_size=12).filter(any), st.integers(1, 3000))
def test_classes_have_the_shares_that_they_have_in_the_data(shares, count):
    labels = balanced_labels(shares, count)
    found = np.bincount(labels, minlength=len(shares))
    assert found.sum() == count == len(labels)
    assert np.abs(found - np.array(shares) * count / sum(shares)).max() < 1


def test_classes_are_mixed_evenly():
    labels = np.array(balanced_labels([500, 300, 200], 1000))
    for part in labels.reshape(10, 100):
        assert np.abs(np.bincount(part) - [50, 30, 20]).max() <= 2


def test_the_latents_are_drawn_from_the_distribution_that_is_asked_for(vae):
    loaded = registry().load(str(vae))
    drawing = Drawing(loaded, choose_runtime("cpu", "fp32"))
    assert list(latent_distributions(loaded.generator)) == ["mixture", "prior"]
    own, mixture, prior = (Draws(drawing, 8, latents=name) for name in ("", "mixture", "prior"))
    assert np.array_equal(own.pictures(range(8)), mixture.pictures(range(8)))
    assert not np.array_equal(own.pictures(range(8)), prior.pictures(range(8)))
    assert [d.facts()["latents"] for d in (own, mixture, prior)] == ["mixture", "mixture", "prior"]
    with pytest.raises(UsageError, match="it has mixture, prior"):
        Draws(drawing, 8, latents="poisson")


def test_one_sample_is_no_distribution(drawing):
    with pytest.raises(UsageError, match="2 or more"):
        Draws(drawing, 1)
