"""The GAN learns, samples by seed, and restores by searching its latents."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

import restorekit_dcgan
from restorekit.contract import Batch, Restorer, Sampler, Trainable
from restorekit.errors import UsageError
from restorekit.nn.adversarial import discriminator_loss, generator_loss
from restorekit.nn.features import SqueezeNet
from restorekit.registry import registry
from restorekit.sources.arrays import ArraySource
from restorekit.training import load_plan, train
from restorekit.weights import save
from restorekit_dcgan.augment import augmented
from restorekit_dcgan.config import Recipe, Settings
from restorekit_dcgan.networks import SelfAttention
from restorekit_dcgan.perceiving import LAYERS, Heads, Perceiver
from restorekit_dcgan.projection import context_weights
from restorekit_dcgan.training import Training

SMALL = {"size": 28, "width": 8, "latent": 8, "channels": 1}
PLAIN = {"discriminator_width": 8, "r1": 0.0, "r2": 0.0}


def build(**network) -> Any:
    torch.manual_seed(0)
    generator: Any = registry().build("dcgan", {**SMALL, **network}).generator
    return generator.eval()


def batch(size=28, count=4, **fields):
    chance = torch.Generator().manual_seed(1)
    return Batch(torch.rand(count, 3, size, size, generator=chance), seeds=torch.arange(count), **fields)


def test_listing_the_plugin_does_not_load_torch():
    code = "import sys, restorekit_dcgan as p; list(p.restorekit_generators()); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


@pytest.mark.parametrize("architecture", ["modern", "dcgan", "mlp"])
@pytest.mark.parametrize(("size", "channels", "classes"), [(28, 1, 0), (32, 3, 5), (64, 3, 0), (128, 1, 3)])
def test_every_network_makes_and_scores_pictures_of_its_size(architecture, size, channels, classes):
    attention = architecture != "mlp"
    generator = build(
        architecture=architecture, size=size, channels=channels, classes=classes, width=4, attention=attention
    )
    assert all(isinstance(generator, protocol) for protocol in (Sampler, Restorer))
    labels = torch.arange(2) if classes else None
    with torch.no_grad():
        made = generator.decode(generator.latents(torch.arange(2)), labels)
    assert made.shape == (2, 3, size, size)
    assert 0 <= made.min() <= made.max() <= 1
    assert channels == 3 or torch.equal(made[:, 0], made[:, 2])
    training = Training(generator, Recipe(discriminator_width=4))
    assert isinstance(training, Trainable)
    assert training.discriminator(generator.from_pictures(made), labels).shape == (2,)


@pytest.mark.parametrize(("architecture", "stages"), [("modern", 4), ("dcgan", 2), ("mlp", 2)])
def test_the_discriminator_tells_what_every_stage_sees(architecture, stages):
    training = Training(build(architecture=architecture), Recipe(**{**PLAIN, "discriminator_width": 6}))
    given = batch()
    with torch.no_grad():
        features = training.features(given)
        seen = []
        images = training.generator.from_pictures(given.images)
        body = training.discriminator.eval().body
        assert isinstance(body, nn.Sequential)
        for layer in body:
            images = layer(images)
            if type(layer).__name__ in ("LeakyReLU", "_Residual"):
                seen.append(images)
    assert len(seen) == stages
    assert features.shape[0] == 4
    first = seen[0]
    if architecture == "mlp":
        assert torch.equal(features[:, : first.shape[1]], first)
        return
    channels, side = first.shape[1:3]
    grid = features[:, : channels * 16].view(4, channels, 4, 4)
    assert torch.equal(grid[:, :, 0, 0], first[:, :, : -(-side // 4), : -(-side // 4)].amax(dim=(2, 3)))
    assert features.shape[1] == sum(16 * stage.shape[1] for stage in seen)


def test_latents_are_functions_of_their_seeds_alone():
    generator = build()
    assert torch.equal(generator.latents(torch.tensor([5, 9]))[1:], generator.latents(torch.tensor([9])))


@pytest.mark.parametrize("kind", ["non-saturating", "lsgan", "hinge", "relativistic"])
def test_both_losses_equal_their_formulas_without_penalties(kind):
    generator = build(architecture="dcgan")
    training = Training(generator, Recipe(loss=kind, **PLAIN))
    given = batch()
    real = given.images.mean(dim=1, keepdim=True) * 2 - 1
    scores = {}
    for phase, stream in (("discriminator", 1), ("generator", 2)):
        fake = generator(training._latents(given, stream))
        scores[phase] = training.discriminator(real), training.discriminator(fake)
    r, f = scores["discriminator"]
    again, made = scores["generator"]
    log = nn.functional.logsigmoid
    expected = {
        "non-saturating": (-(log(r) + log(-f)).mean(), -log(made).mean()),
        "lsgan": (((r - 1) ** 2 + f**2).mean() / 2, ((made - 1) ** 2).mean() / 2),
        "hinge": ((torch.relu(1 - r) + torch.relu(1 + f)).mean(), -made.mean()),
        "relativistic": (-log(r - f).mean(), -log(made - again).mean()),
    }[kind]
    assert torch.allclose(training.discriminator_loss(given)[0], expected[0], atol=1e-5)
    assert torch.allclose(training.generator_loss(given)[0], expected[1], atol=1e-5)


def test_penalties_are_added_with_their_weights_and_fall_with_progress():
    generator = build()
    training = Training(generator, Recipe(r1=2.0, r2=3.0, penalty_steps=10, discriminator_width=8))

    def parts():
        loss, scalars = training.discriminator_loss(batch())
        plain = nn.functional.softplus(scalars["score_fake"] - scalars["score_real"])
        return loss.item(), plain, 2 * scalars["r1"].item() + 3 * scalars["r2"].item()

    loss, _, penalties = parts()
    assert penalties > 0
    training.progress.count += 10
    later, _, same = parts()
    assert same == pytest.approx(penalties)
    assert loss - later == pytest.approx(0.9 * penalties, rel=1e-3)


@pytest.mark.parametrize("architecture", ["modern", "dcgan", "mlp"])
def test_every_penalty_can_be_differentiated_in_bf16_too(architecture):
    attention = architecture != "mlp"
    generator = build(architecture=architecture, attention=attention)
    recipe = Recipe(gradient_penalty=1.0, discriminator_width=8, spectral_norm=True, augment=("colour", "cutout"))
    training = Training(generator, recipe)
    with torch.autocast("cpu", torch.bfloat16):
        loss, scalars = training.discriminator_loss(batch())
    found = torch.autograd.grad(loss, list(training.discriminator.parameters()), allow_unused=True)
    assert all(torch.isfinite(gradient).all() for gradient in found if gradient is not None)
    assert {"r1", "r2", "gradient_penalty"} <= set(scalars)


@pytest.fixture(scope="module")
def squeezenet(tmp_path_factory):
    """SqueezeNet's file, with random weights."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("networks") / "squeezenet.safetensors"
    save_file(SqueezeNet().state_dict(), path)
    return path


def perceptive(squeezenet, **recipe):
    generator = build(architecture="dcgan", classes=2)
    recipe = {
        "loss": "hinge",
        "spectral_norm": True,
        "features": str(squeezenet),
        "feature_size": 32,
        **PLAIN,
        **recipe,
    }
    return Training(generator, Recipe(**recipe))


@pytest.mark.parametrize("kind", ["hinge", "relativistic"])
def test_what_the_second_discriminator_judges_is_added_for_both_networks(squeezenet, kind):
    training, given = perceptive(squeezenet, loss=kind), batch(labels=torch.tensor([0, 1, 1, 0]))
    alone = Training(training.generator, Recipe(loss=kind, spectral_norm=True, **PLAIN))
    alone.discriminator = training.discriminator
    assert training.perceiver is not None
    for network in training.networks().values():
        network.eval()
    real = given.images.mean(dim=1, keepdim=True) * 2 - 1
    for phase, stream in (("discriminator_loss", 1), ("generator_loss", 2)):
        fake = training.generator(training._latents(given, stream), given.labels)
        loss = getattr(training, phase)(given)[0]
        plain = getattr(alone, phase)(given)[0]
        with torch.no_grad():
            known, made = (
                training.perceiver.heads(training.perceiver._features(x), given.labels) for x in (real, fake)
            )
        pairs = list(zip(known, made, strict=True))
        if phase == "discriminator_loss":
            expected = [discriminator_loss(kind, k, m) for k, m in pairs]
        else:
            expected = [generator_loss(kind, m, k) for k, m in pairs]
        assert (loss - plain).item() == pytest.approx(float(torch.stack(expected).mean()), rel=1e-4)


def test_heads_learn_at_discriminator_steps_and_the_network_that_sees_never_does(squeezenet):
    training, given = perceptive(squeezenet), batch(labels=torch.tensor([0, 1, 1, 0]))
    assert training.perceiver is not None
    assert training.phases()["discriminator"].networks == ("discriminator", "heads")
    training.discriminator_loss(given)[0].backward()
    assert all(parameter.grad is not None for parameter in training.perceiver.heads.parameters())
    assert all(parameter.grad is None for parameter in training.generator.parameters())
    training.generator_loss(given)[0].backward()
    assert all(parameter.grad is not None for parameter in training.generator.parameters())
    assert not any(parameter.requires_grad for parameter in training.perceiver.network.parameters())


def test_heads_know_how_large_each_feature_of_real_pictures_is_and_tell_classes_apart(squeezenet):
    perceiver = Perceiver(SqueezeNet.load(squeezenet), Heads(width=8, classes=2), size=64)
    real, fake = batch(32).images * 2 - 1, torch.zeros(4, 3, 32, 32)
    with torch.no_grad():
        features = perceiver._features(real)
    moments = perceiver.heads.state_dict()
    perceiver.discriminator_loss("hinge", real, fake, torch.zeros(4, dtype=torch.int64))
    moved = torch.linalg.vector_norm(features["fire5"].mean(dim=(0, 2, 3)) - moments["heads.fire5.mean"])
    assert 0 < moved < torch.linalg.vector_norm(features["fire5"].mean(dim=(0, 2, 3)))
    for _ in range(200):
        perceiver.heads.follow(features)
    for name in LAYERS:
        assert torch.allclose(moments[f"heads.{name}.mean"], features[name].mean(dim=(0, 2, 3)), rtol=1e-2, atol=1e-3)
    with torch.no_grad():
        one, other = (perceiver.heads(features, torch.full((4,), label)) for label in (0, 1))
    assert all(not torch.allclose(a, b) for a, b in zip(one, other, strict=True))
    assert [scores.shape for scores in one] == [(4, 8, 8), (4, 7, 7), (4, 3, 3)]


def test_attention_starts_as_the_identity_and_mixes_all_places_when_its_gate_opens():
    layer, x = SelfAttention(16), torch.randn(1, 16, 5, 5)
    assert torch.equal(layer(x), x)
    nn.init.ones_(layer.gate)
    changed = x.clone()
    changed[..., 0, 0] += 1
    assert (layer(changed) - layer(x)).abs()[..., 4, 4].max() > 0


@pytest.mark.parametrize("kind", ["colour", "translation", "cutout"])
def test_augmentations_are_functions_of_the_seed_and_pass_gradients(kind):
    images = torch.rand(6, 3, 12, 16, requires_grad=True)
    seeds = torch.arange(6)
    changed = augmented(images, seeds, (kind,), stream=0)
    assert changed.shape == images.shape
    assert not torch.equal(changed, images)
    assert torch.allclose(augmented(images[4:], seeds[4:], (kind,), stream=0), changed[4:], atol=1e-6)
    assert not torch.equal(augmented(images, seeds, (kind,), stream=1), changed)
    (gradient,) = torch.autograd.grad(changed.sum(), images)
    assert gradient.abs().sum() > 0


def test_translation_moves_whole_pixels_and_cutout_erases_at_most_a_quarter():
    images = torch.ones(200, 1, 16, 16)
    moved = augmented(images, torch.arange(200), ("translation",), stream=0)
    lost = (moved == 0).sum(dim=(1, 2, 3))
    assert set(lost.tolist()) <= {16 * 16 - (16 - a) * (16 - b) for a in range(3) for b in range(3)}
    cut = (augmented(images, torch.arange(200), ("cutout",), stream=0) == 0).float().mean(dim=(1, 2, 3))
    assert cut.max() == 0.25
    assert cut.min() > 0


def test_known_pixels_near_a_hole_count_more_and_the_hole_not_at_all():
    masks = torch.zeros(1, 1, 20, 20)
    masks[..., 8:12, 8:12] = 1
    weights = context_weights(masks)
    assert (weights[masks > 0] == 0).all()
    assert weights[0, 0, 7, 9] > weights[0, 0, 6, 9] > weights[0, 0, 0, 0] > 0
    assert float(weights.sum() / (1 - masks).sum()) == pytest.approx(1)
    assert torch.allclose(context_weights(torch.zeros(1, 1, 4, 4)), torch.ones(1, 1, 4, 4))
    assert torch.equal(context_weights(torch.ones(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


@pytest.fixture(scope="module")
def prior():
    """A generator with contrast, and pictures that it made itself."""
    generator = build(architecture="mlp", latent=4)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(1.6)
        made = generator.decode(generator.latents(torch.arange(100, 102)))
    return generator, made


def psnr(a, b):
    return float(-10 * torch.log10((a - b).square().mean()))


def test_a_picture_of_its_own_is_found_again(prior):
    generator, made = prior
    found = generator.restore(Batch(made, seeds=torch.arange(2), settings={"steps": 80, "truncation": 3.0, "prior": 0}))
    mean = made.mean(dim=(2, 3), keepdim=True).expand_as(made)
    assert psnr(found, made) > psnr(mean, made) + 15


def test_holes_are_filled_from_what_surrounds_them_alone(prior):
    generator, made = prior
    masks = torch.zeros(2, 1, 28, 28)
    masks[..., 8:20, 8:20] = 1
    settings = {"steps": 80, "truncation": 3.0, "prior": 0.0}
    results = [
        generator.restore(Batch(torch.where(masks > 0, level, made), masks, seeds=torch.arange(2), settings=settings))
        for level in (0.0, 1.0)
    ]
    assert torch.equal(*results)
    hole = masks.expand_as(made) > 0
    assert torch.allclose(results[0][~hole], made[~hole], atol=1e-6)
    assert psnr(results[0][hole], made[hole]) > psnr(made[~hole].mean(), made[hole]) + 10


def test_a_result_does_not_depend_on_the_rest_of_the_batch(prior):
    generator, made = prior
    settings = {"steps": 5, "candidates": 8, "restarts": 2}
    together = generator.restore(Batch(made, seeds=torch.arange(2), settings=settings))
    alone = generator.restore(Batch(made[1:], seeds=torch.arange(2)[1:], settings=settings))
    assert torch.allclose(together[1:], alone, atol=1e-4)


def test_a_picture_that_is_all_hole_becomes_a_sample_and_classes_are_tried_where_none_is_given():
    generator = build(architecture="mlp", classes=3)
    given = Batch(torch.zeros(1, 3, 28, 28), torch.ones(1, 1, 28, 28), settings={"steps": 2, "candidates": 6})
    result = generator.restore(given)
    assert torch.isfinite(result).all()
    assert torch.equal(result, generator.restore(given))


def test_settings_and_configurations_that_make_no_sense_are_refused():
    with pytest.raises(UsageError, match="attention"):
        registry().build("dcgan", {"architecture": "mlp", "attention": True})
    with pytest.raises(UsageError, match="size"):
        registry().build("dcgan", {"size": 30})
    with pytest.raises(UsageError, match="1 different names for 2 classes"):
        registry().build("dcgan", {"classes": 2, "class_names": ["cat", "cat"]})
    with pytest.raises(ValueError, match="batch normalisation"):
        Recipe(discriminator_norm="batch", r1=1.0)
    with pytest.raises(ValueError, match="truncation"):
        Settings(truncation=0)


@pytest.mark.parametrize("recipe", ["cifar10", "cifar10-cpu", "faithful", "wgan-gp", "mnist"])
def test_every_recipe_is_a_valid_plan(recipe):
    file = Path(restorekit_dcgan.__file__).parent / "recipes" / f"{recipe}.toml"
    plan = load_plan(registry().spec("dcgan"), file)
    training = Training(build(width=4), plan.recipe)
    assert training.batches_per_step == (6 if recipe == "wgan-gp" else 1)
    assert plan.run.crop == plan.network.size


def test_wrong_sizes_and_missing_labels_are_told_before_training():
    def never(phase, loss, batch):
        raise AssertionError

    with pytest.raises(UsageError, match=r"run\.crop=28"):
        Training(build(), Recipe(**PLAIN)).training_step([batch(32)], never)
    conditional = Training(build(classes=2), Recipe(**PLAIN))
    with pytest.raises(UsageError, match="labels"):
        conditional.training_step([batch()], never)
    with pytest.raises(UsageError, match="class 3"):
        conditional.training_step([batch(labels=torch.arange(4))], never)


def halves(count=64):
    """Pictures that are bright on the left and dark on the right, or turned about: two classes."""
    chance = np.random.default_rng(0)
    labels = np.arange(count) % 2
    sides = np.where((np.arange(28) < 14) ^ (labels[:, None] == 1), 220, 40)
    noise = chance.integers(-20, 20, (count, 28, 28))
    return ArraySource("halves", (sides[:, None, :] + noise).astype(np.uint8), labels)


def test_training_brings_samples_close_to_the_data_class_by_class_and_weights_survive_the_disk(tmp_path):
    sets = ["network.architecture=mlp", "network.size=28", "network.channels=1", "network.width=8", "network.latent=8"]
    sets += ["network.classes=2", "recipe.loss=hinge", "recipe.r1=0.05", "recipe.learning_rate=2e-3"]
    sets += ["recipe.discriminator_width=16", "recipe.ema_decay=0.9", "recipe.augment=['translation']"]
    sets += ["run.crop=28", "run.flip=false", "run.steps=150", "run.batch_size=32", "run.schedule=constant"]
    plan = load_plan(registry().spec("dcgan"), settings=sets)
    run = train(plan, halves(), tmp_path / "run", registry=registry(), device="cpu")
    generator: Any = registry().load(str(run.weights)).generator
    seeds = torch.arange(32)
    labels = seeds % 2
    with torch.no_grad():
        made = generator.decode(generator.latents(seeds), labels)[:, 0]
    left, right = made[..., :14].mean(dim=(1, 2)), made[..., 14:].mean(dim=(1, 2))
    assert (left - right)[labels == 0].mean() > 0.4
    assert (right - left)[labels == 1].mean() > 0.4


def test_a_resumed_training_ends_with_the_same_bytes(tmp_path, squeezenet):
    sets = [f"network.{key}={value}" for key, value in {**SMALL, "architecture": "dcgan", "width": 4}.items()]
    sets += ["recipe.spectral_norm=true", "recipe.penalty_steps=5", "recipe.discriminator_width=4"]
    sets += ["recipe.augment=['colour', 'cutout']", "run.crop=28", "run.steps=6", "run.batch_size=4", "run.workers=1"]
    sets += [f"recipe.features={squeezenet}", "recipe.feature_size=32", "recipe.optimizer=muon"]
    plan = load_plan(registry().spec("dcgan"), settings=sets)

    def trained(folder, **options):
        return train(plan, halves(), tmp_path / folder, registry=registry(), device="cpu", **options).weights

    whole = trained("whole").read_bytes()
    trained("parts", steps=3)
    assert trained("parts", resume=True).read_bytes() == whole


def test_wgan_gp_reads_a_batch_for_each_update():
    seen = []

    def update(phase, loss, batch):
        seen.append((phase, int(batch.seeds[0])))
        value, scalars = loss(batch)
        assert torch.isfinite(value)
        return scalars

    recipe = Recipe(loss="wasserstein", critic_steps=2, gradient_penalty=10.0, **PLAIN)
    training = Training(build(), recipe)
    batches = [Batch(batch().images, seeds=torch.arange(4) + 10 * i) for i in range(training.batches_per_step)]
    training.training_step(batches, update)
    assert seen == [("discriminator", 0), ("discriminator", 10), ("generator", 20)]


def test_saved_and_loaded_it_makes_the_same_pictures(tmp_path):
    loaded = registry().build("dcgan", SMALL)
    save(loaded.generator, tmp_path / "w.safetensors", spec=loaded.spec, config=loaded.config)
    before: Any = loaded.generator
    after: Any = registry().load(str(tmp_path / "w.safetensors")).generator
    latents = before.latents(torch.arange(3))
    with torch.no_grad():
        assert torch.equal(after.decode(latents), before.decode(latents))


def test_the_weights_that_come_along_make_pictures_as_varied_as_real_ones_and_differ_by_class():
    loaded: Any = registry().load("dcgan:cifar10")
    generator = loaded.generator
    assert len(loaded.config.class_names) == loaded.config.classes == 10
    latents = generator.latents(torch.arange(20)).repeat_interleave(10, dim=0)
    with torch.no_grad():
        made = generator.decode(latents, torch.arange(10).repeat(20)).view(20, 10, 3, 32, 32)
    # Of photographs of 32x32 pixels, brightness varies by about a quarter of the range from one to another.
    assert made.std(dim=0).mean() > 0.15
    assert made.std(dim=1).mean() > 0.05
    colours = made.mean(dim=(0, 3, 4))
    assert (colours[0, 2] - colours[0, 0]) > (colours[6, 2] - colours[6, 0])  # airplanes are bluer than frogs
