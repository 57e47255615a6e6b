"""Copies are told from new pictures by how near they are to what was taught."""

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.spatial.distance import cdist

from restorekit.evaluation.generative.memorisation import copying_score, memorisation


def normals(count, seed, dimensions=8):
    return torch.randn(count, dimensions, generator=torch.Generator().manual_seed(seed))


def test_new_samples_of_the_same_distribution_are_no_copies():
    found = memorisation(normals(800, 1), normals(1000, 2), normals(800, 3)).values
    assert found["nearer_than_held_out"] == pytest.approx(0.05, abs=0.03)
    assert abs(found["copying_z"]) < 3
    assert found["authenticity"] == pytest.approx(0.5, abs=0.1)


def test_slightly_changed_training_pictures_are_found_out():
    train = normals(1000, 2)
    copies = train[:800] + 0.05 * normals(800, 1)
    found = memorisation(copies, train, normals(800, 3)).values
    assert found["nearer_than_held_out"] > 0.99
    assert found["copying_z"] < -30
    assert found["authenticity"] < 0.01


def test_of_a_few_copies_among_new_samples_the_copies_are_the_first_suspects():
    train = normals(500, 2)
    samples = normals(300, 1)
    samples[[4, 200]] = train[[9, 17]] + 0.01
    found = memorisation(samples, train)
    assert set(found.suspects(2)) == {4, 200}
    assert found.neighbours.indices[[4, 200], 0].tolist() == [9, 17]
    assert (found.nearer, found.copying_z) == (None, None)
    assert "nearer_than_held_out" not in found.values
    assert "nearer_than_held_out" not in found.standard_errors


def test_the_numbers_follow_their_definitions():
    samples, train, held_out = (normals(n, seed, 3).double().numpy() for n, seed in ((90, 1), (120, 2), (70, 3)))
    found = memorisation(*(torch.from_numpy(x).float() for x in (samples, train, held_out)))
    ours, theirs, own = cdist(samples, train), cdist(held_out, train), cdist(train, train)
    np.fill_diagonal(own, np.inf)
    authentic = own.min(axis=1)[ours.argmin(axis=1)] < ours.min(axis=1)
    assert found.authenticity == authentic.mean()
    assert found.nearer == (ours.min(axis=1) < np.percentile(theirs.min(axis=1), 5)).mean()
    assert found.standard_errors["authenticity"] == pytest.approx(authentic.std() / np.sqrt(90))


def test_near_what_is_dense_is_less_suspicious_than_near_what_is_alone():
    crowd = 0.01 * normals(50, 1)
    train = torch.cat([crowd, torch.full((1, 8), 9.0), torch.full((1, 8), 30.0)])
    samples = torch.stack([crowd[0] + 0.01, torch.full((8,), 9.2), torch.full((8,), -9.0)])
    assert memorisation(samples, train).suspects(3) == [1, 0, 2]


def test_a_copy_of_a_picture_that_comes_twice_is_suspected_first():
    train = torch.cat([normals(20, 1), normals(20, 1)])
    samples = torch.cat([normals(3, 5), train[7:8]])
    found = memorisation(samples, train)
    assert found.suspects(1) == [3]
    assert found.ratios.isfinite().sum() == 1


@pytest.mark.parametrize("digits", [8, 1])
def test_the_copying_score_is_the_standardised_u_statistic_ties_counted_half(digits):
    chance = np.random.default_rng(0)
    ours, theirs = chance.normal(size=60).round(digits), chance.normal(0.4, size=80).round(digits)
    u = stats.mannwhitneyu(ours, theirs).statistic
    assert copying_score(ours, theirs) == pytest.approx((u - 60 * 80 / 2) / np.sqrt(60 * 80 * 141 / 12))
