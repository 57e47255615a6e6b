"""Distances of features against closed forms, SciPy, and loops."""

import numpy as np
import pytest
import scipy.linalg
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.evaluation.distribution import Moments, frechet_distance
from restorekit.evaluation.distribution.inception_score import inception_score
from restorekit.evaluation.distribution.kernel import kernel_distance, unbiased_mmd
from restorekit.evaluation.distribution.moments import root
from restorekit.evaluation.distribution.precision_recall import precision_recall
from restorekit.evaluation.distribution.stored import Statistics


def gaussian(mean, covariance):
    return Statistics(mean=torch.as_tensor(mean), spread=torch.as_tensor(covariance), facts={})


def features(seed, count, dimensions, scale=1.0):
    return scale * np.random.default_rng(seed).normal(size=(count, dimensions)) + seed % 3


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 30), st.lists(st.integers(0, 60), max_size=5), st.integers(0, 99))
def test_any_split_and_merge_gives_the_same_moments(count, dimensions, cuts, seed):
    rows = torch.from_numpy(features(seed, count + 1, dimensions, scale=10) + 1000)
    parts = np.split(np.arange(len(rows)), sorted(min(cut, len(rows)) for cut in cuts))
    moments, workers = Moments(dimensions), [Moments(dimensions), Moments(dimensions)]
    for number, part in enumerate(parts):
        moments.update(rows[part])
        workers[number % 2].update(rows[part])
    workers[0].merge(workers[1])
    wanted = np.atleast_2d(np.cov(rows.numpy(), rowvar=False))
    for found in (moments, workers[0]):
        assert found.count == len(rows)
        np.testing.assert_allclose(found.mean, rows.mean(dim=0), rtol=1e-12)
        np.testing.assert_allclose(found.covariance(), wanted, rtol=1e-9, atol=1e-9)


def test_moments_keep_no_features_once_there_are_enough():
    moments = Moments(8)
    moments.update(torch.from_numpy(features(0, 7, 8)))
    assert moments.factor() is not None
    moments.update(torch.from_numpy(features(1, 1, 8)))
    assert moments.factor() is None
    assert sum(t.numel() for t in vars(moments).values() if isinstance(t, torch.Tensor)) == 8 + 64


def test_moments_refuse_what_would_spoil_them():
    for bad in (torch.full((2, 3), torch.nan), torch.full((1, 3), torch.inf)):
        with pytest.raises(ValueError, match="NaN or infinity"):
            Moments(3).update(bad)
    with pytest.raises(ValueError, match="at least two"):
        Moments.of(torch.zeros(1, 3)).covariance()


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(*[st.floats(-5, 5), st.floats(0, 9)] * 2), min_size=1, max_size=6), st.integers(0, 99))
def test_commuting_gaussians_have_their_closed_form(axes, seed):
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(len(axes), len(axes))))[0]
    m1, s1, m2, s2 = np.array(axes).T
    wanted = ((m1 - m2) ** 2 + (s1 - s2) ** 2).sum()
    found = frechet_distance(
        gaussian(turn @ m1, turn @ np.diag(s1**2) @ turn.T), gaussian(turn @ m2, turn @ np.diag(s2**2) @ turn.T)
    )
    # Where s is 0, a rounding of 1e-16 in s^2 is one of 1e-8 in s.
    assert found == pytest.approx(wanted, rel=1e-7, abs=1e-6)
    assert found >= 0


@pytest.mark.parametrize(("ours", "theirs"), [(300, 200), (20, 300), (20, 31), (300, 20), (2, 2)])
def test_distances_equal_scipys_root_for_many_and_few_features(ours, theirs):
    x, y = features(1, ours, 40), features(2, theirs, 40, scale=1.7)
    s1, s2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    # The trace of the root, by SciPy where the product is regular, else by its eigenvalues at high precision.
    if min(ours, theirs) > 40:
        trace = np.trace(scipy.linalg.sqrtm(s1 @ s2)).real
    else:
        r1, r2 = (np.linalg.svd(z - z.mean(0))[1:] for z in (x, y))
        trace = np.linalg.norm(
            (r1[0][:, None] * r1[1][: len(r1[0])])
            @ (r2[0][:, None] * r2[1][: len(r2[0])]).T
            / np.sqrt((ours - 1) * (theirs - 1)),
            "nuc",
        )
    wanted = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s1) + np.trace(s2) - 2 * trace
    kept = Moments.of(torch.from_numpy(x)), Moments.of(torch.from_numpy(y))
    assert frechet_distance(*kept) == pytest.approx(wanted, rel=1e-6)
    stored = [gaussian(moments.mean, moments.covariance()) for moments in kept]
    assert frechet_distance(*stored) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(kept[0], stored[1]) == pytest.approx(wanted, rel=1e-6)
    assert frechet_distance(kept[1], kept[0]) == pytest.approx(wanted, rel=1e-6)


@pytest.mark.parametrize("count", [5, 60])
def test_a_set_is_at_no_distance_from_itself_and_never_below(count):
    rows = torch.from_numpy(features(3, count, 30))
    rows = torch.cat([rows, rows[:3]])  # twice the same pictures: singular, too
    assert 0 <= frechet_distance(Moments.of(rows), Moments.of(rows)) < 1e-9
    assert frechet_distance(gaussian(np.zeros(4), np.zeros((4, 4))), gaussian(np.zeros(4), np.zeros((4, 4)))) == 0


def test_what_is_no_covariance_is_refused():
    with pytest.raises(ValueError, match="negative"):
        root(torch.diag(torch.tensor([1.0, -0.5], dtype=torch.float64)))
    with pytest.raises(ValueError, match="dimensions"):
        frechet_distance(Moments.of(torch.eye(3)), Moments.of(torch.eye(4)))


def brute_mmd(x, y):
    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    n, m = len(x), len(y)
    within_x = sum(k(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    within_y = sum(k(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return within_x + within_y - 2 * sum(k(a, b) for a in x for b in y) / (n * m)


def test_the_kernel_distance_equals_loops(monkeypatch):
    monkeypatch.setattr("restorekit.evaluation.distribution.kernel._BLOCK", 4)
    x, y = features(4, 11, 5), features(5, 9, 5)
    assert unbiased_mmd(torch.from_numpy(x), torch.from_numpy(y)) == pytest.approx(brute_mmd(x, y), rel=1e-12)


@pytest.mark.parametrize(("count", "subsets"), [(40, 3), (12, 30)])
def test_subsets_are_seeded_and_both_ways_of_summing_agree(count, subsets):
    x, y = torch.from_numpy(features(4, count, 5)), torch.from_numpy(features(5, count, 5))
    found = kernel_distance(x, y, subsets=subsets, subset_size=5, seed=7)
    rng = np.random.default_rng(7)
    values = []
    for _ in range(subsets):
        first, second = rng.choice(count, 5, replace=False), rng.choice(count, 5, replace=False)
        values.append(brute_mmd(x[first].numpy(), y[second].numpy()))
    assert found.mean == pytest.approx(np.mean(values), rel=1e-10)
    assert found.standard_error == pytest.approx(np.std(values, ddof=1) / subsets**0.5, rel=1e-10)
    assert kernel_distance(x, y, subsets=subsets, subset_size=5, seed=8).mean != found.mean


def test_the_inception_score_equals_loops():
    logits = features(6, 23, 7, scale=3)
    order = np.random.default_rng(0).permutation(23)
    scores = []
    for part in range(4):
        p = scipy.special.softmax(logits[order[part * 23 // 4 : (part + 1) * 23 // 4]], axis=1)
        q = p.mean(axis=0)
        scores.append(np.exp(np.mean([sum(a * np.log(a / b) for a, b in zip(row, q, strict=True)) for row in p])))
    found = inception_score(torch.from_numpy(logits), splits=4)
    assert (found.mean, found.deviation) == (pytest.approx(np.mean(scores)), pytest.approx(np.std(scores)))


def test_certain_and_various_pictures_score_the_number_of_classes():
    assert inception_score(1e4 * torch.eye(8).repeat(5, 1), splits=1).mean == pytest.approx(8)
    assert inception_score(torch.zeros(1, 8)).mean == pytest.approx(1)


def brute_share(points, manifold, k):
    radii = [sorted(np.linalg.norm(a - b) for j, b in enumerate(manifold) if j != i)[k - 1]
             for i, a in enumerate(manifold)]  # fmt: skip
    inside = [any(np.linalg.norm(p - m) <= r for m, r in zip(manifold, radii, strict=True)) for p in points]
    return np.mean(inside)


def test_precision_and_recall_equal_loops(monkeypatch):
    monkeypatch.setattr("restorekit.evaluation.distribution.precision_recall._BLOCK", 7)
    x, y = features(7, 30, 3, scale=0.6), features(9, 25, 3)
    found = precision_recall(torch.from_numpy(x), torch.from_numpy(y))
    assert found == (pytest.approx(brute_share(x, y, 3)), pytest.approx(brute_share(y, x, 3)))
    assert 0 < found[1] < 1


def test_equal_pictures_lie_within_each_other_however_often_they_occur():
    rows = torch.from_numpy(features(8, 1, 50, scale=100)).repeat(6, 1)
    assert precision_recall(rows, rows.clone()) == (1.0, 1.0)
    assert precision_recall(rows, rows + 1) == (0.0, 0.0)
