"""The linear probe finds what is linearly there, and nothing else."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from restorekit.errors import UsageError
from restorekit.evaluation.generative import probe
from restorekit.evaluation.generative.probe import linear_probe


def clusters(count, seed, distance=3.0, classes=3):
    chance = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (count,), generator=chance)
    centres = distance * torch.eye(classes, 6)
    return centres[labels] + torch.randn(count, 6, generator=chance), labels


def test_separate_classes_are_told_apart_and_noise_is_not():
    train, test = clusters(600, 1, distance=8), clusters(400, 2, distance=8)
    found = linear_probe(*train, *test)
    assert found.accuracy > 0.99
    assert (found.train, found.test, found.dimensions, found.classes) == (600, 400, 6, 3)
    noise = linear_probe(torch.randn(600, 6), train[1], torch.randn(400, 6), test[1])
    assert noise.accuracy == pytest.approx(1 / 3, abs=0.1)
    assert noise.standard_error == pytest.approx((noise.accuracy * (1 - noise.accuracy) / 400) ** 0.5)


def test_it_does_not_matter_in_which_units_features_are_or_whether_some_are_constant():
    (train, labels), (test, wanted) = clusters(300, 1), clusters(300, 2)
    plain = linear_probe(train, labels, test, wanted)
    units = torch.tensor([1e-4, 1.0, 1e4, 3.0, 0.1, 7.0])
    scaled = [torch.cat([x * units + 5, torch.full((len(x), 1), 3.7)], dim=1) for x in (train, test)]
    assert linear_probe(scaled[0], labels, scaled[1], wanted).accuracy == pytest.approx(plain.accuracy, abs=0.01)


def test_it_is_the_minimum_of_the_penalised_cross_entropy():
    features, labels = clusters(200, 1, distance=1.5)
    weights, biases = probe._fitted(features, labels, 3, penalty=0.01)
    x, y = features.double().numpy(), labels.numpy()

    def objective(flat):
        w, b = flat[:18].reshape(3, 6), flat[18:]
        scores = x @ w.T + b
        return (logsumexp(scores, axis=1) - scores[np.arange(200), y]).mean() + 0.005 * (w**2).sum()

    best = minimize(objective, np.zeros(21), method="BFGS", options={"gtol": 1e-7})
    found = objective(torch.cat([weights.flatten(), biases]).double().numpy())
    assert found == pytest.approx(best.fun, abs=1e-6)


def test_the_same_features_give_the_same_number_every_time():
    train, test = clusters(300, 1, distance=1), clusters(300, 2, distance=1)
    assert linear_probe(*train, *test) == linear_probe(*train, *test)


@pytest.mark.parametrize(("pictures", "classes"), [(5, 3), (200, 1)])
def test_too_little_to_learn_from_is_said(pictures, classes):
    with pytest.raises(UsageError, match="ten or more"):
        linear_probe(*clusters(pictures, 1, classes=classes), *clusters(50, 2))
