"""The VAE learns, measures what it says in nats, samples by seed, reconstructs and completes."""

import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import restorekit_vae
from restorekit.contract import Batch, Restorer, Sampler, Trainable
from restorekit.errors import UsageError
from restorekit.registry import registry
from restorekit.sources.arrays import ArraySource
from restorekit.training import load_plan, train
from restorekit_vae.config import Recipe, VAEConfig
from restorekit_vae.training import Training

SMALL = {"architecture": "mlp", "size": 28, "channels": 1, "width": 4, "latent": 3}


def build(**network) -> Any:
    torch.manual_seed(0)
    generator: Any = registry().build("vae", {**SMALL, **network}).generator
    return generator.eval()


def batch(size=28, count=4):
    chance = torch.Generator().manual_seed(1)
    return Batch(torch.rand(count, 3, size, size, generator=chance), seeds=torch.arange(count))


def test_listing_the_plugin_does_not_load_torch():
    code = "import sys, restorekit_vae as p; list(p.restorekit_generators()); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("prior", ["normal", "flow"])
@pytest.mark.parametrize("architecture", ["conv", "mlp", "resnet"])
@pytest.mark.parametrize(
    ("size", "channels", "likelihood"), [(28, 1, "bernoulli"), (32, 3, "gaussian"), (64, 3, "gaussian")]
)
def test_every_network_makes_and_measures_pictures_of_its_size(architecture, size, channels, likelihood, prior):
    vae = build(architecture=architecture, size=size, channels=channels, likelihood=likelihood, prior=prior)
    assert all(isinstance(vae, protocol) for protocol in (Sampler, Restorer))
    assert isinstance(Training(vae, Recipe()), Trainable)
    given = batch(size, 2)
    with torch.no_grad():
        made = vae.decode(vae.latents(torch.arange(2)))
        restored = vae.restore(given)
    assert made.shape == restored.shape == given.images.shape
    assert 0 <= made.min() <= made.max() <= 1
    assert channels == 3 or torch.equal(restored[:, 0], restored[:, 2])
    assert {name: value(given).shape for name, value in vae.metrics({}).items()} == {"elbo": (2,), "iwae100": (2,)}


@pytest.mark.parametrize(("likelihood", "data"), [("bernoulli", "threshold"), ("gaussian", "real")])
@torch.no_grad()
def test_the_bound_is_the_likelihood_less_the_divergence_of_the_distributions(likelihood, data):
    vae = build(likelihood=likelihood, data=data)
    given = batch()
    values = given.images.mean(dim=1, keepdim=True)
    values = (values >= 0.5).float() if data == "threshold" else values
    mean, log_variance = vae.encode(values)
    posterior = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    divergence = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0))
    found, parts = vae.bound(given)
    assert torch.allclose(parts, divergence, atol=1e-5)

    latents = torch.randn(4, 3)
    output = torch.sigmoid(vae.decoder(latents))
    if likelihood == "bernoulli":
        pixels = torch.distributions.Bernoulli(output).log_prob(values)
    else:
        pixels = torch.distributions.Normal(output, 0.1).log_prob(values)
    assert torch.allclose(vae.log_likelihood(values, latents), pixels.sum(dim=(1, 2, 3)), rtol=1e-4)
    assert torch.allclose(vae.elbo(given), found - parts.sum(dim=1))


class OneNumber(nn.Module):
    """A decoder of one latent number, so that the marginal likelihood is an integral over a line."""

    def __init__(self):
        super().__init__()
        self.weight = 0.02 * torch.randn(1, 784)

    def forward(self, latents):
        return (latents @ self.weight).view(-1, 1, 28, 28)


@torch.no_grad()
def test_the_importance_weighted_bound_rises_with_samples_towards_the_exact_likelihood():
    vae = build(latent=1, likelihood="bernoulli", data="threshold", components=0)
    vae.decoder = OneNumber()
    vae.encoder[-1].bias[0] = 1.5  # a posterior that is off, so that the bounds differ
    given = batch(count=32)
    values = vae.observed(given)
    line = torch.linspace(-8, 8, 2001)
    joint = torch.stack([vae.log_likelihood(values, torch.full((32, 1), float(z))) for z in line]).double()
    prior = (-(line.double() ** 2) / 2 - math.log(2 * math.pi) / 2)[:, None]
    exact = torch.logsumexp(joint + prior, dim=0) + math.log(16 / 2000)
    bounds = [vae.elbo(given).mean(), vae.iwae(given, 5).mean(), vae.iwae(given, 300).mean()]
    assert bounds[0] < bounds[1] - 0.1 < exact.mean()
    assert float(bounds[2]) == pytest.approx(float(exact.mean()), abs=0.1)


def test_the_benchmark_is_told_what_the_bounds_are_of_and_how_many_samples_they_take():
    vae = build(likelihood="bernoulli", data="sampled")
    given = batch()
    found = {name: function(given) for name, function in vae.metrics({"importance_samples": 3}).items()}
    assert list(found) == ["elbo", "iwae3"]
    assert torch.equal(found["iwae3"], vae.iwae(given, 3))
    assert vae.metrics_protocol()["values"] == "binarised at random with the grey value, 28x28x1"
    assert vae.metrics_protocol()["quantity"] != build(likelihood="gaussian").metrics_protocol()["quantity"]
    assert torch.equal(vae.features(given), vae.encode(vae.observed(given))[0])


def test_sampled_data_are_ones_with_the_grey_value_as_probability_by_seed():
    vae = build(likelihood="bernoulli", data="sampled")
    images = torch.full((400, 3, 28, 28), 0.3)
    drawn = vae.observed(Batch(images, seeds=torch.arange(400)))
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert float(drawn.mean()) == pytest.approx(0.3, abs=0.005)
    assert torch.equal(vae.observed(Batch(images[:1], seeds=torch.tensor([7])))[0], drawn[7])


def test_dequantised_values_fill_the_levels_and_their_density_tells_bits():
    vae = build(likelihood="gaussian", data="dequantised")
    given = Batch(torch.full((50, 3, 28, 28), 100 / 255), seeds=torch.arange(50))
    values = vae.observed(given)
    assert 100 / 256 <= values.min() < 100.01 / 256
    assert 100.99 / 256 < values.max() <= 101 / 256
    # A density that is 1 everywhere is a guess among 256 levels.
    vae.log_likelihood = lambda values, latents: torch.zeros(len(values))
    divergence = vae.bound(given)[1].sum(dim=1)
    bits = vae.metrics({})["bits_per_dim"](given)
    assert torch.allclose(bits, 8 + divergence / math.log(2) / 784)
    assert vae.metrics_protocol()["unit"] == "nats a picture; bits_per_dim in bits a number"
    with pytest.raises(ValueError, match="dequantised"):
        VAEConfig(likelihood="bernoulli", data="dequantised")


def test_free_bits_beta_and_warmup_enter_the_loss_as_their_formulas_say():
    vae = build(likelihood="bernoulli")
    training = Training(vae, Recipe(beta=4.0, free_bits=0.5, warmup=10))
    training.progress.count += 5
    likelihood, divergence = vae.bound(batch())
    expected = -likelihood.mean() + 4.0 * 0.5 * divergence.mean(dim=0).clamp_min(0.5).sum()
    loss, scalars = training.loss(batch())
    assert torch.allclose(loss, expected)
    assert torch.allclose(scalars["elbo"], likelihood.mean() - divergence.sum(dim=1).mean())


def test_importance_samples_enter_the_loss_as_their_formula_says():
    vae = build(likelihood="bernoulli", prior="flow")
    training = Training(vae, Recipe(importance_samples=5, beta=0.5, warmup=10))
    training.progress.count += 5
    likelihood, ratio = vae.log_weights(batch(), 5)
    loss, scalars = training.loss(batch())
    assert torch.allclose(loss, -(torch.logsumexp(likelihood + 0.25 * ratio, dim=0) - math.log(5)).mean())
    assert float(scalars["iwae5"].detach()) == pytest.approx(float(vae.iwae(batch(), 5).mean()), abs=1e-3)
    assert scalars["elbo"] <= scalars["iwae5"]
    with pytest.raises(ValueError, match="importance_samples=1"):
        Recipe(importance_samples=5, free_bits=0.1)


def test_residual_blocks_start_as_the_identity():
    networks = [build(architecture="resnet", blocks=blocks) for blocks in (1, 3)]
    counts = [sum(parameter.numel() for parameter in network.parameters()) for network in networks]
    assert counts[1] > 1.5 * counts[0]
    deep = networks[1].encoder[0]
    x = torch.randn(2, 4, 14, 14)
    assert torch.equal(deep[3](x), x)


def test_until_it_is_fitted_the_mixture_is_the_prior():
    drawn = build(components=4).latents(torch.arange(4000))
    assert torch.allclose(drawn.mean(dim=0), torch.zeros(3), atol=0.06)
    assert torch.allclose(drawn.T.cov(), torch.eye(3), atol=0.1)


@torch.no_grad()
def test_with_a_flow_the_prior_is_what_it_makes_of_standard_normal_numbers():
    plain, vae = build(likelihood="bernoulli"), build(likelihood="bernoulli", prior="flow")
    vae.encoder, vae.decoder = plain.encoder, plain.decoder
    given = batch()
    # Untrained, a flow is the identity: the bound at one sample, and what is decoded, are the same.
    assert torch.allclose(vae.iwae(given, 20), plain.iwae(given, 20), atol=1e-3)
    assert torch.allclose(vae.decode(vae.prior(torch.arange(3))), plain.decode(plain.prior(torch.arange(3))))
    for parameter in vae.flow.parameters():
        nn.init.normal_(parameter, std=0.3)
    mean, log_variance = vae.encode(vae.observed(given))
    posterior = torch.distributions.Normal(mean, torch.exp(log_variance / 2))
    latents = posterior.sample()
    noise = (latents - mean) / posterior.scale
    normal, log_scales = vae.flow(latents)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(normal) + log_scales
    found = vae._log_ratio(latents, noise, log_variance)
    assert torch.allclose(found.sum(dim=1), (prior - posterior.log_prob(latents)).sum(dim=1), atol=1e-4)
    # What a picture's latents are in the prior's space leads back to its reconstruction.
    assert torch.allclose(vae.decode(vae.flow(mean)[0]), vae.reconstructed(vae.observed(given)), atol=1e-4)


def shades(count=128):
    """Pictures with a smooth ramp of some direction and strength: two numbers tell them."""
    chance = np.random.default_rng(0)
    y, x = np.mgrid[-1:1:28j, -1:1:28j]
    strength = chance.uniform(-0.4, 0.4, (count, 2, 1, 1))
    values = 0.5 + strength[:, :1] * x + strength[:, 1:] * y
    return ArraySource("shades", np.round(values[:, 0].clip(0, 1) * 255).astype(np.uint8))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    sets = [f"network.{key}={value}" for key, value in {**SMALL, "width": 16, "components": 3}.items()]
    sets += ["network.likelihood=gaussian", "recipe.ema_decay=0.9", "recipe.learning_rate=3e-3"]
    sets += ["recipe.mixture_pictures=128"]
    sets += ["run.crop=28", "run.flip=false", "run.steps=250", "run.batch_size=32", "run.log_every=125"]
    plan = load_plan(registry().spec("vae"), settings=sets)
    run = train(plan, shades(), tmp_path_factory.mktemp("vae") / "run", registry=registry(), device="cpu")
    return registry().load(str(run.weights)).generator


def pictures(source):
    return torch.from_numpy(np.stack([source.picture(i) for i in range(len(source))])).permute(0, 3, 1, 2) / 255


def test_training_teaches_it_to_reconstruct_and_raises_the_bound(trained):
    images = pictures(shades())
    given = Batch(images, seeds=torch.arange(len(images)))
    with torch.no_grad():
        error = (trained.restore(given) - images).square().mean()
    assert error < 0.1 * (images.mean(dim=0) - images).square().mean()
    assert trained.elbo(given).mean() > build(likelihood="gaussian").elbo(given).mean() + 500
    assert trained.log_sigma < math.log(0.08)


def test_the_mixture_is_fitted_after_training_and_saved_with_the_weights(trained):
    images = pictures(shades())
    means, log_variances = trained.encode(trained.observed(Batch(images)))
    drawn = trained.latents(torch.arange(4000))
    spread = means.detach().T.cov() + torch.diag(log_variances.detach().exp().mean(dim=0))
    assert torch.allclose(drawn.mean(dim=0), means.mean(dim=0), atol=0.2)
    assert torch.allclose(drawn.T.cov(), spread, atol=0.3)
    order = trained.directions()
    assert sorted(order) == [0, 1, 2]
    assert trained.spread[order[0]] >= trained.spread[order[-1]]


def test_holes_are_completed_from_what_is_around_them_alone(trained):
    images = pictures(shades())[:8]
    masks = torch.zeros(8, 1, 28, 28)
    masks[..., 9:19, 9:28] = 1
    with torch.no_grad():
        results = [
            trained.restore(Batch(torch.where(masks > 0, level, images), masks, seeds=torch.arange(8)))
            for level in (0.0, 1.0)
        ]
    assert torch.equal(*results)
    hole = masks.expand_as(images) > 0
    assert torch.allclose(results[0][~hole], images[~hole], atol=1e-6)
    known = (images * ~hole).sum(dim=(2, 3), keepdim=True) / (~hole).sum(dim=(2, 3), keepdim=True)
    baseline = (known.expand_as(images)[hole] - images[hole]).square().mean()
    assert (results[0][hole] - images[hole]).square().mean() < 0.2 * baseline


def test_a_picture_that_is_all_hole_and_a_mask_without_holes_are_no_trouble(trained):
    images = pictures(shades())[:2]
    with torch.no_grad():
        assert torch.isfinite(trained.restore(Batch(images, torch.ones(2, 1, 28, 28)))).all()
        empty = trained.restore(Batch(images, torch.zeros(2, 1, 28, 28)))
        assert torch.equal(empty, trained.restore(Batch(images)))


def test_configurations_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="latent=2"):
        VAEConfig(prior="flow", latent=1)
    with pytest.raises(ValueError, match="gaussian"):
        VAEConfig(likelihood="gaussian", data="sampled")
    with pytest.raises(UsageError, match="size"):
        registry().build("vae", {"size": 30})
    with pytest.raises(UsageError, match=r"run\.crop=28"):
        Training(build(), Recipe()).training_step([batch(32)], lambda phase, loss, batch: {})
    with pytest.raises(UsageError, match="seed"):
        build().elbo(Batch(torch.zeros(1, 3, 28, 28)))


@pytest.mark.parametrize("recipe", ["mnist", "cifar10"])
def test_every_recipe_is_a_valid_plan(recipe):
    file = Path(restorekit_vae.__file__).parent / "recipes" / f"{recipe}.toml"
    plan = load_plan(registry().spec("vae"), file)
    assert plan.run.crop == plan.network.size


def test_a_training_in_two_parts_ends_with_the_same_bits_also_with_a_flow_and_importance_samples(tmp_path):
    sets = ["network.architecture=resnet", "network.prior=flow", "network.data=sampled", "network.likelihood=bernoulli"]
    sets += ["network.size=28", "network.channels=1", "network.width=16", "network.latent=4", "network.components=2"]
    sets += ["recipe.optimizer=muon", "recipe.importance_samples=3", "recipe.warmup=4", "recipe.mixture_pictures=16"]
    sets += ["run.crop=28", "run.flip=false", "run.steps=6", "run.batch_size=4", "run.workers=1", "run.log_every=1"]
    plan = load_plan(registry().spec("vae"), settings=sets)

    def weights(name, **options):
        run = train(plan, shades(), tmp_path / name, registry=registry(), device="cpu", **options)
        return run.weights.read_bytes()

    whole = weights("whole")
    assert weights("parts", steps=3) != whole
    assert weights("parts", resume=True) == whole
