"""The context encoder: smooth filling, networks, losses, and that it learns what a smooth filling cannot know."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from restorekit.api import load, restore
from restorekit.contract import Batch, Restorer, Trainable
from restorekit.degradations import draw_mask
from restorekit.errors import UsageError
from restorekit.inference.halo import measure_halo
from restorekit.registry import registry
from restorekit.sources.arrays import ArraySource
from restorekit.training import Run, load_plan, train
from restorekit_context_encoder.config import Network, Recipe
from restorekit_context_encoder.filling import smooth_fill
from restorekit_context_encoder.generator import ContextEncoder
from restorekit_context_encoder.networks import ChannelwiseLinear, Corrector, PatchDiscriminator, PathakDiscriminator
from restorekit_context_encoder.training import Training, hole_weights

RECIPES = Path(__file__).parents[2] / "plugins" / "restorekit_context_encoder" / "recipes"
SMALL = Network(width=4, dilations=(1, 2))
SMALL_PATHAK = Network(architecture="pathak", width=4, bottleneck=16)


@pytest.fixture(scope="module")
def pictures(photo) -> Tensor:
    """Two 64 x 48 crops of a photo."""
    return torch.from_numpy(np.stack([photo[:64, :48], photo[80:144, 100:148]])).permute(0, 3, 1, 2).float() / 255


def holes(size: tuple[int, int], *seeds: int) -> Tensor:
    return draw_mask("holes:irregular,coverage=0.1-0.4", size, torch.tensor(seeds))


def shaken(generator: ContextEncoder) -> ContextEncoder:
    """Give an untrained generator weights that do something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return generator.eval()


def hole_psnr(restored: Tensor, clean: Tensor, masks: Tensor) -> float:
    error = ((restored.clamp(0, 1) - clean) ** 2)[masks.expand_as(clean) > 0].mean()
    return float(-10 * torch.log10(error))


# ---- the smooth filling


def test_filling_keeps_known_pixels_and_never_looks_into_holes(pictures):
    masks = holes((64, 48), 1, 2)
    filled = smooth_fill(torch.where(masks > 0, torch.nan, pictures), masks)
    assert torch.isfinite(filled).all()
    assert torch.equal(filled, smooth_fill(pictures, masks))
    assert torch.equal(torch.where(masks > 0, 0.0, filled), torch.where(masks > 0, 0.0, pictures))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.floats(0, 1), st.integers(0, 10_000))
def test_filling_stays_in_range_and_goes_on_with_one_colour(height, width, share, seed):
    source = torch.Generator().manual_seed(seed)
    image = torch.rand(1, 3, height, width, generator=source)
    mask = (torch.rand(1, 1, height, width, generator=source) < share).float()
    filled = smooth_fill(image, mask)
    assert filled.shape == image.shape
    assert filled.min() >= 0
    assert filled.max() <= 1
    colour = 0.5 if mask.bool().all() else image[:, :, :1, :1]
    torch.testing.assert_close(smooth_fill(colour + 0 * image, mask), colour + 0 * image)


def test_filling_goes_on_with_a_slope_across_thin_holes():
    ramp = torch.linspace(0.1, 0.9, 64).expand(1, 3, 64, 64)
    masks = torch.zeros(1, 1, 64, 64)
    masks[..., 20:23, 4:60] = masks[..., 40:60, 30:32] = 1
    assert (smooth_fill(ramp, masks) - ramp).abs().max() < 0.002


@pytest.mark.parametrize(("step", "margin"), [("scratches", 0.4), ("dust", 0.3), ("text", 0.1)])
def test_filling_thin_holes_beats_diffusion(photo, step, margin):
    clean = torch.from_numpy(photo[:128, :128]).permute(2, 0, 1).float()[None].expand(4, -1, -1, -1) / 255
    masks = draw_mask(step, (128, 128), torch.arange(4))
    exact = load("diffusion").restore(Batch(clean, masks=masks))
    assert hole_psnr(smooth_fill(clean, masks), clean, masks) > hole_psnr(exact, clean, masks) + margin


def test_filling_is_close_to_the_exact_solution_of_laplaces_equation(pictures):
    masks = holes((64, 48), 3, 4)
    filled, exact = smooth_fill(pictures, masks), load("diffusion").restore(Batch(pictures, masks=masks))
    assert hole_psnr(filled, exact, masks) > 30
    assert hole_psnr(filled, pictures, masks) > hole_psnr(exact, pictures, masks) - 0.25


# ---- restoring


def test_an_untrained_network_fills_smoothly(pictures):
    masks = holes((64, 48), 1, 2)
    restored = ContextEncoder(SMALL).restore(Batch(pictures, masks=masks))
    torch.testing.assert_close(restored, smooth_fill(pictures, masks))


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (7, 5), (33, 64), (40, 40)])
def test_any_size_is_restored_and_known_pixels_stay_as_they_are(size):
    generator = shaken(ContextEncoder(SMALL))
    source = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, *size, generator=source)
    masks = (torch.rand(2, 1, *size, generator=source) < 0.3).float()
    with torch.no_grad():
        restored = generator.restore(Batch(images, masks=masks))
    assert restored.shape == images.shape
    assert torch.isfinite(restored).all()
    assert torch.equal(torch.where(masks > 0, 0.0, restored), torch.where(masks > 0, 0.0, images))


@pytest.mark.parametrize("config", [SMALL, SMALL_PATHAK, replace(SMALL_PATHAK, bottleneck=0)])
def test_what_a_hole_contains_is_never_looked_at(config):
    generator = shaken(ContextEncoder(config))
    masks = holes((128, 128), 5)
    images = torch.rand(1, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one = generator.restore(Batch(images, masks=masks))
        other = generator.restore(Batch(torch.where(masks > 0, 1 - images, images), masks=masks))
    assert torch.equal(one, other)
    assert not torch.equal(one, images)


def test_without_masks_there_is_nothing_to_repair(pictures):
    assert torch.equal(ContextEncoder(SMALL).restore(Batch(pictures)), pictures)


def test_the_declared_halo_suffices_for_thin_holes_and_for_holes_of_half_its_size(photo):
    generator = shaken(ContextEncoder(SMALL))
    declared, measured = generator.geometry.halo, measure_halo(generator.restore, generator.geometry)
    assert declared is not None
    assert measured is not None
    assert measured <= declared
    image = torch.from_numpy(photo[:96].transpose(2, 1, 0).copy()).float()[None].tile(1, 1, 2, 2)[..., :96, :] / 255
    wide = image.repeat(1, 1, 1, 2)
    masks = torch.zeros_like(wide[:, :1])
    for left in range(8, wide.shape[3], 64):
        masks[..., 20:68, left : left + 48] = 1
    cut = 160
    with torch.no_grad():
        whole = generator.restore(Batch(wide, masks=masks))[..., cut:]
        part = generator.restore(Batch(wide[..., cut:].contiguous(), masks=masks[..., cut:].contiguous()))
    assert whole.shape[3] > declared + 64
    difference = (whole.clamp(0, 1) - part.clamp(0, 1)).abs()
    assert difference[..., :declared].max() > 1 / 255, "the cut goes through a hole"
    assert difference[..., declared:].max() <= 1 / 255


def test_generators_satisfy_the_contract():
    for config in (SMALL, SMALL_PATHAK):
        generator = ContextEncoder(config)
        assert isinstance(generator, Restorer)
        assert generator.geometry.needs_mask
        assert isinstance(Training(generator, Recipe()), Trainable)
    assert ContextEncoder(SMALL_PATHAK).geometry.size == (128, 128)


# ---- networks


def test_the_channelwise_layer_connects_all_pixels_of_a_channel_and_no_two_channels():
    layer = ChannelwiseLinear(3, 6)
    x = torch.rand(2, 3, 2, 3)
    wanted = torch.empty_like(x)
    for sample in range(2):
        for channel in range(3):
            flat = x[sample, channel].flatten() @ layer.weight[channel] + layer.bias[channel]
            wanted[sample, channel] = flat.view(2, 3)
    torch.testing.assert_close(layer(x), wanted)


def test_an_untrained_network_lets_pictures_through_to_its_last_layer():
    torch.manual_seed(0)
    corrector = Corrector(Network(width=16))
    reached = []
    corrector.leave.register_forward_hook(lambda module, inputs, output: reached.append(inputs[0]))
    corrector.up2.register_forward_hook(lambda module, inputs, output: reached.append(inputs[0]))
    with torch.no_grad():
        corrector(torch.rand(2, 3, 64, 64), torch.zeros(2, 1, 64, 64))
    for features in reached:
        assert 0.1 < (features[0] - features[1]).std() < 10


def test_discriminators_judge_patches_or_whole_pictures():
    assert PatchDiscriminator(4)(torch.zeros(2, 4, 64, 32)).shape == (2, 1, 8, 4)
    assert PathakDiscriminator(4)(torch.zeros(2, 3, 128, 128)).shape == (2, 1, 1, 1)


@pytest.mark.parametrize(("recipe", "least", "most"), [("modern", 2.0, 2.6), ("pathak", 65, 75)])
def test_recipes_describe_networks_of_the_stated_size(recipe, least, most):
    plan = load_plan(registry().spec("context-encoder"), RECIPES / f"{recipe}.toml")
    assert plan.network.architecture == recipe
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in ContextEncoder(plan.network).parameters())
    assert least < count / 1e6 < most


# ---- losses


def test_every_picture_counts_the_same_and_the_overlap_band_more():
    masks = torch.zeros(2, 1, 12, 12)
    masks[0, :, 2:10, 2:10] = 1
    masks[1, :, 5, 5] = 1
    plain = hole_weights(masks)
    torch.testing.assert_close(plain.sum(dim=(1, 2, 3)), torch.ones(2))
    assert torch.equal(plain > 0, masks > 0)
    banded = hole_weights(masks, overlap=2, overlap_weight=10)
    wanted = torch.zeros(12, 12)
    wanted[2:10, 2:10] = 10 / 64
    wanted[4:8, 4:8] = 1 / 64
    torch.testing.assert_close(banded[0, 0], wanted)
    assert torch.equal(hole_weights(torch.zeros(1, 1, 4, 4)), torch.zeros(1, 1, 4, 4))


def _losses(training: Training, batch: Batch) -> dict[str, tuple[Tensor, dict[str, Tensor]]]:
    """Return what each phase minimises, without a step."""
    found = {}

    def update(phase, loss, batch):
        value, logged = loss(batch)
        found[phase] = (value, dict(logged))
        return {}

    training.training_step([batch], update)
    return found


def test_losses_equal_their_formulas(pictures):
    masks = holes((64, 48), 1, 2)
    recipe = Recipe(l1=0.7, l2=2.0, adversarial=0.01, adversarial_loss="hinge")
    training = Training(shaken(ContextEncoder(SMALL)), recipe)
    assert training.discriminator is not None
    training.discriminator.eval()
    batch = Batch(torch.where(masks > 0, 1.0, pictures), masks=masks, targets=pictures)
    found = _losses(training, batch)
    with torch.no_grad():
        restored = torch.where(masks > 0, training.generator(batch.images, masks), pictures)
        real, fake = (training.discriminator(torch.cat([2 * x - 1, masks], 1)) for x in (pictures, restored))
    l1, l2 = [], []
    for image, clean, mask in zip(restored.numpy(), pictures.numpy(), masks.numpy(), strict=True):
        difference = (image - clean)[:, mask[0] > 0]
        l1.append(np.abs(difference).mean())
        l2.append((difference**2).mean())
    total, terms = found["generator"]
    logged = {name: term.item() for name, term in terms.items()}
    assert logged["l1"] == pytest.approx(np.mean(l1), rel=1e-4)
    assert logged["l2"] == pytest.approx(np.mean(l2), rel=1e-4)
    assert total.item() == pytest.approx(0.7 * np.mean(l1) + 2 * np.mean(l2) - 0.01 * float(fake.mean()), rel=1e-4)
    hinge = np.maximum(1 - real.numpy(), 0).mean() + np.maximum(1 + fake.numpy(), 0).mean()
    assert found["discriminator"][0].item() == pytest.approx(hinge, rel=1e-4)


def test_the_perceptual_loss_uses_the_named_file(tmp_path, pictures):
    from restorekit.nn.features import SqueezeNet, perceptual_distance

    torch.manual_seed(0)
    network = SqueezeNet()
    np.savez(tmp_path / "net.npz", **{name: tensor.numpy() for name, tensor in network.state_dict().items()})
    training = Training(ContextEncoder(SMALL), Recipe(l1=0, perceptual=2.0, features=str(tmp_path / "net.npz")))
    masks = holes((64, 48), 1, 2)
    total, _ = _losses(training, Batch(pictures, masks=masks, targets=pictures))["generator"]
    wanted = 2 * perceptual_distance(network, smooth_fill(pictures, masks), pictures).mean()
    torch.testing.assert_close(total, wanted)
    assert set(training.networks()) == {"generator"}


def test_the_discriminator_comes_only_with_an_adversarial_loss():
    assert set(Training(ContextEncoder(SMALL), Recipe()).networks()) == {"generator"}
    training = Training(ContextEncoder(SMALL_PATHAK), Recipe(adversarial=0.001))
    assert isinstance(training.networks()["discriminator"], PathakDiscriminator)
    assert list(training.phases()) == ["discriminator", "generator"]


def test_the_optimizer_that_is_asked_for_is_the_networks_alone():
    phases = Training(ContextEncoder(SMALL), Recipe(optimizer="muon", adversarial=0.001)).phases()
    assert {name: phase.optimizer for name, phase in phases.items()} == {"discriminator": "adam", "generator": "muon"}


# ---- settings


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("recipe.l1=0", "every loss has weight 0; give l1 a weight"),
        ("recipe.perceptual=1", "a perceptual loss needs features=FILE"),
        ("recipe.learning_rate=-1", "recipe: learning_rate=-1 is not allowed"),
        ("network.architecture=unet", "'modern' or 'pathak'"),
        ("network.dilations=[]", "dilations"),
        ("network.width=nan", "network"),
    ],
)
def test_wrong_settings_are_one_line(setting, told):
    with pytest.raises(UsageError) as caught:
        load_plan(registry().spec("context-encoder"), settings=[setting])
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_plugin_is_listed_without_torch():
    program = (
        "import sys, restorekit_context_encoder as p; list(p.restorekit_generators()); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# ---- training

SETTINGS = {
    "modern": [
        "network.width=8",
        "network.dilations=[1,2]",
        "run.crop=32",
        "recipe.learning_rate=4e-3",
        "recipe.ema_decay=0.9",
    ],
    "pathak": ["network.width=8", "network.bottleneck=64", "run.crop=128", "run.batch_size=4"],
}


def waves() -> ArraySource:
    """Pictures that go on in a hole as they do around it."""
    y, x = np.mgrid[:64, :64]
    drawn = [127.5 + 100 * np.sin((x * np.cos(a) + y * np.sin(a)) / 2 + a) for a in np.linspace(0, 3, 24)]
    return ArraySource("waves", np.stack(drawn).astype(np.uint8))


def colours() -> ArraySource:
    """Pictures of one colour each, which is what their holes should get."""
    drawn = np.random.default_rng(0).integers(0, 256, (24, 1, 1, 3)).astype(np.uint8)
    return ArraySource("colours", np.broadcast_to(drawn, (24, 128, 128, 3)))


def teach(folder: Path, recipe: str, steps: int, *more: str) -> Run:
    """Train on pictures that say what their holes hid."""
    source = waves() if recipe == "modern" else colours()
    every = ["run.batch_size=8", *SETTINGS[recipe], "run.workers=1", f"run.steps={steps}", *more]
    plan = load_plan(registry().spec("context-encoder"), RECIPES / f"{recipe}.toml", every)
    return train(plan, source, folder, registry=registry(), validation=source, device="cpu")


def test_learns_to_continue_waves_and_the_weights_file_alone_restores(tmp_path):
    kinds = 'recipe.degradation=["holes:irregular,coverage=0.2-0.3"]'
    run = teach(tmp_path, "modern", 100, kinds, "run.warmup=10", "run.validation_pictures=8")
    waves = np.repeat((127.5 + 100 * np.sin(np.mgrid[:64, :64][1] / 2))[..., None], 3, axis=2).astype(np.uint8)
    mask = holes((64, 64), 7)
    clean = torch.from_numpy(waves).permute(2, 0, 1)[None] / 255
    # Through the whole of the core: weights file, geometry, compositing.
    damaged = np.where(mask[0, 0].numpy()[..., None] > 0, np.uint8(255), waves)
    restored = restore(damaged, str(run.weights), mask=mask[0, 0].numpy() > 0)
    known = mask[0, 0].numpy() == 0
    assert np.array_equal(restored[known], waves[known])
    ours = hole_psnr(torch.from_numpy(restored).permute(2, 0, 1)[None] / 255, clean, mask)
    assert ours > hole_psnr(smooth_fill(clean, mask), clean, mask) + 2
    assert list((tmp_path / "samples").glob("*.png"))


def test_pathak_learns(tmp_path):
    kinds = 'recipe.degradation=["holes:center"]'
    teach(tmp_path, "pathak", 30, kinds, "run.validation_pictures=1", "run.validate_every=15")
    # The loss itself jumps about: each step sees other colours.
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    halfway, end = (line["validation_psnr_holes"] for line in lines if "validation_psnr_holes" in line)
    assert end > halfway + 0.4


@pytest.mark.parametrize("recipe", ["modern", "pathak"])
def test_the_same_training_twice_gives_the_same_weights_and_a_saved_generator_is_the_same(tmp_path, recipe):
    extra = ["recipe.adversarial=0.01", "run.batch_size=2", "run.validation_pictures=1"]
    runs = [teach(tmp_path / name, recipe, 2, *extra) for name in "ab"]
    assert runs[0].weights.read_bytes() == runs[1].weights.read_bytes()
    generators = [load(str(run.weights)) for run in runs]
    batch = Batch(torch.rand(1, 3, 128, 128), masks=holes((128, 128), 3))
    with torch.no_grad():
        restored = [generator.restore(batch) for generator in generators]
    assert torch.equal(*restored)
    assert not torch.equal(restored[0], ContextEncoder(generators[0].config).eval().restore(batch))


@pytest.mark.parametrize(
    ("recipe", "setting", "told"),
    [
        ("modern", 'recipe.degradation=["noise:5"]', "left a batch without holes"),
        ("pathak", "run.crop=64", "use run.crop=128"),
    ],
)
def test_a_recipe_that_cannot_work_is_told_in_one_line(tmp_path, recipe, setting, told):
    with pytest.raises(UsageError, match=told):
        teach(tmp_path, recipe, 1, setting)
