"""The super-resolver's networks, geometry, and the community weights it understands."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional as F

from restorekit.contract import Batch
from restorekit.errors import UsageError
from restorekit.inference import measure_halo
from restorekit.registry import registry
from restorekit_super_resolver.config import Network
from restorekit_super_resolver.conversion import recognise
from restorekit_super_resolver.generator import SuperResolver

SMALL = [
    Network(architecture="residual", scale=2, features=8, blocks=2),
    Network(architecture="residual", scale=3, features=8, blocks=1),
    Network(architecture="residual", scale=4, features=8, blocks=1),
    Network(architecture="rrdb", scale=4, features=8, blocks=1, growth=4),
    Network(architecture="rrdb", scale=2, features=8, blocks=1, growth=4),
    Network(architecture="compact", scale=4, features=8, blocks=2),
]


def generator(config: Network) -> SuperResolver:
    torch.manual_seed(0)
    return SuperResolver(config).eval()


@pytest.mark.parametrize("config", SMALL, ids=str)
def test_sizes_odd_and_tiny_come_out_enlarged(config):
    net = generator(config)
    multiple = net.geometry.multiple_of
    for height, width in ((1, 1), (7, 5), (16, 9)):
        images = torch.rand(2, 3, height * multiple, width * multiple)
        restored = net.restore(Batch(images))
        assert restored.shape == (2, 3, images.shape[2] * config.scale, images.shape[3] * config.scale)
        assert torch.isfinite(restored).all()


def test_a_fresh_residual_network_is_nearly_bicubic():
    images = torch.rand(1, 3, 20, 20)
    bicubic = F.interpolate(images, scale_factor=2, mode="bicubic", antialias=True)
    with torch.no_grad():
        assert (generator(SMALL[0]).restore(Batch(images)) - bicubic).abs().max() < 0.02


def test_the_halo_is_within_the_receptive_field():
    net = generator(SMALL[0])
    halo = measure_halo(net.restore, net.geometry)
    assert halo is not None
    assert halo <= 2 * 2 + 5


def test_a_scale_that_an_architecture_lacks_is_refused():
    with pytest.raises(UsageError, match="2 or 4"):
        registry().build("super-resolver", {"architecture": "rrdb", "scale": 3})


class PublishedCompact(nn.Module):
    """Real-ESRGAN's small network, read from its description: a list of convolutions and PReLUs."""

    def __init__(self, features: int, convs: int, scale: int):
        super().__init__()
        self.upscale = scale
        self.body = nn.ModuleList([nn.Conv2d(3, features, 3, 1, 1), nn.PReLU(features)])
        for _ in range(convs):
            self.body.extend([nn.Conv2d(features, features, 3, 1, 1), nn.PReLU(features)])
        self.body.append(nn.Conv2d(features, 3 * scale * scale, 3, 1, 1))

    def forward(self, x):
        out = x
        for layer in self.body:
            out = layer(out)
        return F.pixel_shuffle(out, self.upscale) + F.interpolate(x, scale_factor=self.upscale, mode="nearest")


@pytest.mark.parametrize("wrapper", ["", "params.", "params_ema."])
def test_compact_community_weights_give_the_published_networks_output(wrapper):
    torch.manual_seed(3)
    published = PublishedCompact(12, 3, 4)
    converted = recognise({wrapper + key: value for key, value in published.state_dict().items()})
    assert converted is not None
    assert converted.config == Network(architecture="compact", scale=4, features=12, blocks=3)
    net = SuperResolver(converted.config)  # pyright: ignore[reportArgumentType]
    net.load_state_dict({key.removeprefix("network."): value for key, value in converted.tensors.items()})
    images = torch.rand(1, 3, 9, 11)
    torch.testing.assert_close(net(images), published(images), rtol=0, atol=0)


def old_spelling(key: str) -> str:
    """Write a parameter's name as the first ESRGAN release did."""
    for new, old in (("conv_body", "trunk_conv"), ("conv_up", "upconv"), ("conv_hr", "HRconv")):
        key = key.replace(new, old)
    return key.replace("body.", "RRDB_trunk.", 1).replace(".rdb", ".RDB") if key.startswith("body.") else key


@pytest.mark.parametrize("spelling", [str, old_spelling])
@pytest.mark.parametrize("scale", [2, 4])
def test_rrdb_community_weights_are_recognised_in_both_spellings(spelling, scale):
    config = Network(architecture="rrdb", scale=scale, features=8, blocks=2, growth=4)
    net = generator(config)
    state = {spelling(key): value for key, value in net.network.state_dict().items()}
    converted = recognise(state)
    assert converted is not None
    assert converted.config == config
    other = SuperResolver(config)
    other.load_state_dict({key.removeprefix("network."): value for key, value in converted.tensors.items()})
    images = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(other(images), net(images), rtol=0, atol=0)


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"conv.weight": torch.zeros(3, 3, 3, 3)},
        {"body.0.weight": torch.zeros(8, 3, 3, 3), "body.0.bias": torch.zeros(8)},
        {"body.0.weight": torch.zeros(8), "body.2.weight": torch.zeros(48, 8, 3, 3)},
        {"conv_first.weight": torch.zeros(8, 5, 3, 3), "body.0.rdb1.conv1.weight": torch.zeros(4, 8, 3, 3)},
    ],
)
def test_other_networks_are_not_taken_for_ours(state):
    assert recognise(state) is None


@pytest.mark.parametrize("discriminator", ["unet", "vgg"])
def test_the_gan_stage_moves_both_networks_and_resumes_from_psnr_weights(tmp_path, discriminator):
    from skimage import data

    from restorekit.sources.arrays import ArraySource
    from restorekit.training import load_plan, train

    photo = data.coffee()
    tiles = np.stack([photo[y : y + 32, x : x + 32] for y in range(0, 128, 32) for x in range(0, 256, 32)])
    source = ArraySource("tiles", tiles)
    small = ["network.features=8", "network.blocks=1", "network.scale=2", "run.crop=32", "run.batch_size=2"]
    small += ["run.steps=3", "run.log_every=1", "run.workers=1"]
    spec = registry().spec("super-resolver")
    first = train(load_plan(spec, settings=small), source, tmp_path / "psnr", registry=registry(), device="cpu")
    gan = ["recipe.stage=gan", f"recipe.discriminator={discriminator}", "recipe.discriminator_features=4"]
    plan = load_plan(spec, settings=[*small, *gan])
    result = train(plan, source, tmp_path / "gan", registry=registry(), device="cpu", start=first.weights)
    lines = [json.loads(line) for line in (tmp_path / "gan/log.jsonl").read_text().splitlines()]
    assert len({line["real"] for line in lines}) == 3, "the discriminator moves"
    assert {"pixel", "perceptual", "adversarial"} <= lines[0].keys()
    started, ended = load_file(first.weights), load_file(result.weights)
    assert started.keys() == ended.keys(), "weights hold no discriminator"
    assert any(not torch.equal(started[key], ended[key]) for key in started)
    assert all((started[key] - ended[key]).abs().max() < 0.01 for key in started), "it started from them"
