"""Adversarial losses and gradient penalties equal their formulas."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from restorekit.nn.adversarial import discriminator_loss, generator_loss, spectrally_normalised
from restorekit.nn.penalties import gradient_penalty, zero_centred_penalty
from restorekit.nn.progress import Progress

SCORES = st.lists(st.tuples(st.floats(-8, 8), st.floats(-8, 8)), min_size=1, max_size=6)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def formulas(real, fake) -> dict[Any, Any]:
    log = np.log
    return {
        "non-saturating": (-(log(sigmoid(real)) + log(1 - sigmoid(fake))).mean(), -log(sigmoid(fake)).mean()),
        "minimax": (-(log(sigmoid(real)) + log(1 - sigmoid(fake))).mean(), log(1 - sigmoid(fake)).mean()),
        "lsgan": (((real - 1) ** 2 + fake**2).mean() / 2, ((fake - 1) ** 2).mean() / 2),
        "hinge": ((np.maximum(0, 1 - real) + np.maximum(0, 1 + fake)).mean(), -fake.mean()),
        "wasserstein": (fake.mean() - real.mean(), -fake.mean()),
        "relativistic": (-log(sigmoid(real - fake)).mean(), -log(sigmoid(fake - real)).mean()),
        "relativistic-average": (
            -(log(sigmoid(real - fake.mean())) + log(1 - sigmoid(fake - real.mean()))).mean() / 2,
            -(log(sigmoid(fake - real.mean())) + log(1 - sigmoid(real - fake.mean()))).mean() / 2,
        ),
    }


@settings(max_examples=30, deadline=None)
@given(SCORES)
def test_losses_equal_their_formulas(pairs):
    real, fake = np.array(pairs, np.float64).T
    for kind, (discriminator, generator) in formulas(real, fake).items():
        scores = torch.tensor(real), torch.tensor(fake)
        assert float(discriminator_loss(kind, *scores)) == pytest.approx(discriminator, rel=1e-3, abs=1e-5), kind
        assert float(generator_loss(kind, scores[1], scores[0])) == pytest.approx(generator, rel=1e-3, abs=1e-5), kind


@pytest.mark.parametrize("kind", ["relativistic", "relativistic-average"])
def test_relativistic_losses_refuse_to_be_computed_without_real_scores(kind):
    with pytest.raises(ValueError, match="real"):
        generator_loss(kind, torch.zeros(2))


def test_losses_stay_finite_where_probabilities_round_to_0_and_1():
    far = torch.tensor([300.0, -300.0])
    for kind in formulas(np.zeros(1), np.zeros(1)):
        assert torch.isfinite(discriminator_loss(kind, far, -far))
        assert torch.isfinite(generator_loss(kind, far, -far))


def quadratic(images):
    """Has gradient ``2 x`` and the squared norm ``4 |x|^2``."""
    return images.square().flatten(1).sum(dim=1)


def test_the_zero_centred_penalty_is_half_the_mean_squared_gradient_and_differentiable():
    images = torch.randn(5, 2, 3, 3, requires_grad=True)
    penalty = zero_centred_penalty(quadratic(images), images)
    squares = images.detach().square().flatten(1).sum(dim=1)
    assert penalty.item() == pytest.approx(float(2 * squares.mean()), rel=1e-5)
    (again,) = torch.autograd.grad(penalty, images)
    assert torch.allclose(again, 4 * images.detach() / len(images), atol=1e-5)


def test_the_gradient_penalty_measures_the_norm_between_the_samples():
    real, fake = torch.randn(4, 1, 3, 3), torch.randn(4, 1, 3, 3)
    places = torch.tensor([0.0, 0.25, 0.5, 1.0])
    between = fake + places[:, None, None, None] * (real - fake)
    expected = ((2 * between.flatten(1).norm(dim=1) - 1) ** 2).mean()
    assert gradient_penalty(quadratic, real, fake, places).item() == pytest.approx(float(expected), rel=1e-4)


def test_the_gradient_penalty_of_a_constant_critic_has_a_finite_gradient():
    first = nn.Linear(4, 3)
    nn.init.zeros_(first.weight)
    critic = nn.Sequential(nn.Flatten(), first, nn.LeakyReLU(), nn.Linear(3, 1))
    penalty = gradient_penalty(critic, torch.rand(2, 1, 2, 2), torch.rand(2, 1, 2, 2), torch.rand(2))
    found = torch.autograd.grad(penalty, list(critic.parameters()), allow_unused=True)
    assert all(torch.isfinite(gradient).all() for gradient in found if gradient is not None)


def test_spectral_normalisation_brings_every_largest_singular_value_to_1():
    torch.manual_seed(0)
    layers = [nn.Conv2d(2, 6, 3), nn.Linear(24, 5), nn.Embedding(7, 4)]
    spectrally_normalised(nn.Sequential(*layers))
    for layer in layers:
        # Each look is one power iteration.
        weight = [layer.weight for _ in range(30)][-1]
        assert float(torch.linalg.matrix_norm(weight.flatten(1), 2)) == pytest.approx(1, abs=0.01)


def test_progress_goes_from_end_to_end_and_is_kept_in_the_state():
    progress = Progress()
    assert (float(progress.rise(4)), float(progress.fall(4, 0.1))) == (0, 1)
    for _ in range(2):
        progress.advance()
    assert float(progress.rise(4)) == 0.5
    assert float(progress.fall(4, 0.1)) == pytest.approx(0.55)
    again = Progress()
    again.load_state_dict(progress.state_dict())
    for _ in range(5):
        again.advance()
    assert (float(again.rise(4)), float(again.fall(4, 0.1))) == (1, pytest.approx(0.1))
    assert (float(again.rise(0)), float(again.fall(0, 0.1))) == (1, 1)
