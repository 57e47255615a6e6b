"""The translator keeps what it should, learns from pairs, and gives grey pictures colours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit import restore
from restorekit.contract import Batch
from restorekit.errors import UsageError
from restorekit.nn.discriminators import PatchGAN
from restorekit.registry import registry
from restorekit.sources import open_source
from restorekit.sources.arrays import ArraySource
from restorekit.training import load_plan, train
from restorekit.weights import save
from restorekit_translate.config import Network, Recipe
from restorekit_translate.generator import Translator, luma
from restorekit_translate.training import Training

RECIPES = Path(__file__).parents[2] / "plugins" / "restorekit_translate" / "recipes"
SMALL = ["network.widths=[8,16]", "recipe.discriminator_features=8", "run.batch_size=4", "run.workers=1"]


def translator(**network: Any) -> Translator:
    torch.manual_seed(0)
    return Translator(Network(**{"widths": (8, 16), **network})).eval()  # pyright: ignore[reportArgumentType]


def shaken(net: Translator) -> Translator:
    """A fresh network changes next to nothing."""
    torch.nn.init.normal_(net.network.tail.weight, std=0.3)
    return net


def test_a_colouriser_keeps_the_lightness_and_looks_at_nothing_else():
    net = shaken(translator(colours=True))
    assert net.geometry.colours
    images = torch.rand(2, 3, 16, 24)
    with torch.no_grad():
        made = net.restore(Batch(images))
        torch.testing.assert_close(luma(made), luma(images))
        assert (made - luma(images)).abs().max() > 0.05
        torch.testing.assert_close(made, net.restore(Batch(luma(images).expand(-1, 3, -1, -1))))


def test_a_translator_begins_with_what_it_is_given():
    net = translator()
    assert not net.geometry.colours
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        assert (net.restore(Batch(images)) - images).abs().max() < 0.1


def test_grey_pictures_come_back_in_colour_from_colourisers_alone(tmp_path):
    grey = np.random.default_rng(0).integers(0, 256, (33, 45), np.uint8)
    spec = registry().spec("translate")
    for colours in (True, False):
        net = shaken(translator(colours=colours))
        file = tmp_path / f"{colours}.safetensors"
        save(net, file, spec=spec, config=net.config)
        made = restore(grey, str(file))
        assert made.shape == ((33, 45, 3) if colours else (33, 45))
    colour = restore(np.repeat(grey[..., None], 3, axis=2), str(tmp_path / "True.safetensors"))
    assert np.array_equal(colour, restore(grey, str(tmp_path / "True.safetensors")))
    assert np.ptp(colour.astype(int), axis=2).max() > 10


@given(st.integers(24, 70), st.integers(24, 70))
@settings(max_examples=8, deadline=None)
def test_the_discriminator_scores_patches_of_70_pixels(height, width):
    judge = PatchGAN(6, 4)
    scores = judge(torch.zeros(2, 6, height, width))
    assert scores.shape == (2, 1, height // 8 - 2, width // 8 - 2)


def test_the_discriminators_patches_have_70_pixels():
    torch.manual_seed(0)
    judge, images = PatchGAN(3, 4).eval(), torch.rand(1, 3, 160, 160, requires_grad=True)
    judge(images)[0, 0, 9, 9].backward()
    assert images.grad is not None
    rows = images.grad.abs().sum(dim=(0, 1, 3)).nonzero().flatten()
    assert int(rows[-1] - rows[0]) + 1 == 70


def test_losses_equal_their_formulas():
    net = shaken(translator())
    training = Training(net, Recipe(l1=7.0, adversarial=0.5, adversarial_loss="hinge", discriminator_features=4))
    assert training.discriminator is not None
    training.discriminator.eval()
    given_, wanted = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    found: dict[str, torch.Tensor] = {}

    def update(phase, loss, batch):
        found[phase] = loss(batch)[0]
        return {}

    training.training_step([Batch(given_, targets=wanted)], update)
    with torch.no_grad():
        made = net(given_)
        real, fake = (training.discriminator(2 * torch.cat([given_, x], dim=1) - 1) for x in (wanted, made))
    expected = 7 * (made - wanted).abs().mean() - 0.5 * fake.mean()
    torch.testing.assert_close(found["generator"].detach(), expected)
    hinge = torch.relu(1 - real).mean() + torch.relu(1 + fake).mean()
    torch.testing.assert_close(found["discriminator"].detach(), hinge)
    alone = Training(net, Recipe(adversarial=0))
    assert set(alone.networks()) == set(alone.phases()) == {"generator"}


def test_settings_that_cannot_work_are_one_line():
    small = Batch(torch.rand(1, 3, 16, 16), targets=torch.rand(1, 3, 16, 16))
    training = Training(translator(), Recipe(discriminator_features=4))
    with pytest.raises(UsageError, match=r"run\.crop: 16 x 16 pixels are too few .*; use at least 24"):
        training.training_step([small], lambda phase, loss, batch: loss(batch)[1])
    with pytest.raises(UsageError, match="every loss has weight 0; give l1 a weight"):
        load_plan(registry().spec("translate"), settings=["recipe.l1=0", "recipe.adversarial=0"])


@pytest.mark.parametrize("recipe", ["colourise", "dehaze"])
def test_recipes_are_for_the_network_they_name(recipe):
    plan = load_plan(registry().spec("translate"), RECIPES / f"{recipe}.toml")
    assert plan.network.colours == (recipe == "colourise")
    with torch.device("meta"):
        count = sum(parameter.numel() for parameter in Translator(plan.network).parameters())
    assert 4 < count / 1e6 < 12


def patches() -> ArraySource:
    """Dark squares are blue and bright ones red: what colour it is can be seen from how bright it is."""
    chance = np.random.default_rng(0)
    drawn = np.zeros((16, 32, 32, 3), np.uint8)
    for picture in drawn:
        for y in range(0, 32, 8):
            for x in range(0, 32, 8):
                red = chance.random() < 0.5
                colour = (230, 60, 40) if red else (10, 30, 140)
                picture[y : y + 8, x : x + 8] = np.clip(np.array(colour) + chance.integers(-8, 8), 0, 255)
    return ArraySource("patches", drawn)


def test_learns_colours_that_can_be_known_and_the_weights_file_alone_restores_a_folder(tmp_path, cli):
    more = ["run.steps=60", "run.crop=32", "recipe.learning_rate=4e-3", "recipe.ema_decay=0.9"]
    plan = load_plan(registry().spec("translate"), RECIPES / "colourise.toml", [*SMALL, *more])
    source = patches()
    done = train(plan, source, tmp_path / "run", registry=registry(), validation=source, device="cpu")
    lines = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    assert {"l1", "adversarial", "real", "fake"} <= set(lines[0])
    assert list((tmp_path / "run" / "samples").glob("*.png"))
    (tmp_path / "grey").mkdir()
    clean = source.picture(0)
    cv2.imwrite(str(tmp_path / "grey" / "a.png"), cv2.cvtColor(clean, cv2.COLOR_RGB2GRAY))
    cli("restore", "grey", "-o", "coloured", "--with", str(done.weights))
    written: Any = cv2.imread(str(tmp_path / "coloured" / "a.png"), cv2.IMREAD_UNCHANGED)
    assert written.shape == (32, 32, 3)
    made = written[..., ::-1].astype(int)
    red = clean[..., 0] > 128
    assert (made[red][:, 0] - made[red][:, 2]).mean() > 40
    assert (made[~red][:, 2] - made[~red][:, 0]).mean() > 20


def test_learns_from_pairs_of_two_folders(tmp_path, cli):
    chance = np.random.default_rng(0)
    for number in range(4):
        target = chance.integers(0, 256, (32, 32, 3), np.uint8)
        for name, pixels in (("input", 255 - target), ("target", target)):
            (tmp_path / "pairs" / name).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "pairs" / name / f"{number}.png"), pixels)
    settings = [part for each in (*SMALL, "run.steps=2", "run.crop=24") for part in ("--set", each)]
    cli("train", "translate", "--data", "pairs", "--validation", "pairs", "-o", "run", *settings)
    assert (tmp_path / "run" / "weights.safetensors").exists()


def test_the_source_of_pairs_is_opened_for_training_alone(tmp_path):
    for name in ("input", "target"):
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "a.png"), np.zeros((8, 8, 3), np.uint8))
    assert len(open_source([str(tmp_path)])) == 2
    assert len(open_source([str(tmp_path)], pairs=True)) == 1
