"""What the VAE's latents are distributed like: a mixture that is fitted, a flow that is learned."""

from typing import Any

import pytest
import torch
from torch import nn

from restorekit_vae.flow import Flow
from restorekit_vae.mixture import Mixture


def clusters(count=3000):
    chance = torch.Generator().manual_seed(3)
    centres = torch.tensor([[4.0, 0.0], [-4.0, 1.0], [0.0, 6.0]])
    turn = torch.tensor([[1.0, 0.8], [0.0, 0.3]])
    chosen = torch.arange(count) % 3
    return centres[chosen] + torch.randn(count, 2, generator=chance) @ turn, centres, turn.T @ turn


def test_the_mixture_finds_the_clusters_that_made_the_points():
    points, centres, covariance = clusters()
    mixture = Mixture(3, 2)
    likelihood = mixture.fit(points)
    nearest = torch.cdist(centres, mixture.means).argmin(dim=1)
    assert sorted(nearest.tolist()) == [0, 1, 2]
    assert torch.allclose(mixture.means[nearest], centres, atol=0.15)
    assert torch.allclose(mixture.factors @ mixture.factors.mT, covariance.expand(3, 2, 2), atol=0.12)
    assert torch.allclose(mixture.logits.exp(), torch.full((3,), 1 / 3), atol=0.02)
    assert float(mixture.log_density(points).mean()) == pytest.approx(likelihood, abs=1e-3)
    assert likelihood > Mixture(1, 2).fit(points) + 0.5


def test_samples_of_the_mixture_have_its_moments_and_own_uncertainty_widens_it():
    points, _, _ = clusters()
    mixture = Mixture(3, 2)
    mixture.fit(points, torch.full_like(points, 2.0))
    drawn = mixture.sample(torch.arange(20_000))
    assert torch.allclose(drawn.mean(dim=0), points.mean(dim=0), atol=0.1)
    assert torch.allclose(drawn.T.cov(), points.T.cov() + 2 * torch.eye(2), atol=0.4)
    assert torch.equal(mixture.sample(torch.tensor([11]))[0], drawn[11])


def test_fewer_points_than_components_still_make_a_mixture():
    mixture = Mixture(5, 3)
    mixture.fit(torch.zeros(2, 3))
    assert torch.isfinite(mixture.sample(torch.arange(9))).all()


def bent(dimensions, layers=6):
    """A flow whose couplings say something."""
    torch.manual_seed(2)
    flow = Flow(dimensions, layers, 8)
    couplings: Any = flow.couplings
    for coupling in couplings:
        nn.init.normal_(coupling[-1].weight, std=0.3)
        nn.init.normal_(coupling[-1].bias, std=0.3)
    return flow.double()


@pytest.mark.parametrize("dimensions", [2, 3, 8])
def test_a_flow_is_invertible_and_knows_the_volume_that_it_changes(dimensions):
    flow = bent(dimensions)
    latents = torch.randn(5, dimensions, dtype=torch.float64)
    normal, log_scales = flow(latents)
    assert (normal - latents).abs().max() > 0.1
    assert torch.allclose(flow.inverse(normal), latents, atol=1e-9)
    for one, expected in zip(latents, log_scales.sum(dim=1), strict=True):
        jacobian: Any = torch.autograd.functional.jacobian(lambda x: flow(x[None])[0][0], one)
        assert torch.allclose(torch.linalg.slogdet(jacobian)[1], expected)


def test_every_number_of_a_flow_depends_on_every_other():
    jacobian: Any = torch.autograd.functional.jacobian(lambda x: bent(8)(x[None])[0][0], torch.randn(8).double())
    assert (jacobian != 0).all()
