"""The denoiser's networks and the noise level it is told."""

from __future__ import annotations

import pytest
import skimage.data
import torch

from restorekit import restore
from restorekit.contract import Batch
from restorekit.degradations import parse
from restorekit.inference import measure_halo
from restorekit.registry import registry
from restorekit_denoiser.config import Network
from restorekit_denoiser.generator import Denoiser

SMALL = [
    Network(widths=(8, 16), blocks=1),
    Network(widths=(4, 8, 16), blocks=1, noise_map=True),
    Network(architecture="plain", widths=(8,), blocks=2),
]


def generator(config: Network) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(config).eval()


@pytest.mark.parametrize("config", SMALL, ids=str)
def test_sizes_are_kept_and_a_fresh_network_changes_little(config):
    net = generator(config)
    multiple = net.geometry.multiple_of
    for height, width in ((1, 1), (3, 5)):
        images = torch.rand(2, 3, height * multiple, width * multiple)
        with torch.no_grad():
            restored = net.restore(Batch(images, settings={"sigma": 10.0}))
        assert restored.shape == images.shape
        assert (restored - images).abs().max() < 0.1


def test_a_network_without_biases_scales_with_its_input():
    net = generator(SMALL[0])
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(net(images * 3), net(images) * 3, rtol=1e-4, atol=1e-5)


def test_the_noise_level_reaches_a_network_that_is_told_it():
    net = generator(SMALL[1])
    images = torch.rand(1, 3, 16, 16)
    with torch.no_grad():
        weak, strong = (net.restore(Batch(images, settings={"sigma": s})) for s in (1.0, 90.0))
        measured = net.restore(Batch(images, settings={"sigma": "auto"}))
    assert not torch.equal(weak, strong)
    assert torch.isfinite(measured).all()


@pytest.mark.parametrize(("damage", "better"), [("noise:20", "blind"), ("noise:20,grain=0.8", "photo")])
def test_each_of_the_weights_is_best_at_the_noise_that_it_learned(damage: str, better: str):
    clean = skimage.data.chelsea()[40:232, 120:312]
    images = torch.from_numpy(clean.astype("float32") / 255).permute(2, 0, 1)[None]
    noisy = parse([damage])(images, torch.tensor([7])).images[0].clamp(0, 1).permute(1, 2, 0).numpy()
    errors = {
        name: float(((restore(noisy, f"denoiser:{name}") - clean / 255.0) ** 2).mean()) for name in ("blind", "photo")
    }
    other = "photo" if better == "blind" else "blind"
    assert errors[better] < errors[other]
    assert errors[better] < 0.25 * float(((noisy - clean / 255.0) ** 2).mean())


def test_the_measured_halo_ends():
    net = generator(SMALL[2])
    halo = measure_halo(net.restore, net.geometry)
    assert halo is not None
    assert halo <= 4


def test_settings_are_listed_for_people():
    assert {field["name"] for field in registry().settings("denoiser")} == {"sigma"}
    taught = {field["name"] for field in registry().training_settings("denoiser")}
    assert {"network.widths", "network.blocks", "recipe.learning_rate", "recipe.degradation"} <= taught
    assert registry().training_settings("nlmeans") == []
