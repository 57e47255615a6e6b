"""The VAE's weights that come along make and know digits and small photos."""

import json
import math
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from skimage import data
from torch import nn

from restorekit import images, sampling
from restorekit.contract import Batch
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.weights.card import card
from restorekit.weights.sources import variants


def digits():
    """Digits as someone may have written them: thick strokes, not those of the training set."""
    drawn = []
    for digit in range(10):
        picture = np.zeros((28, 28), np.uint8)
        cv2.putText(picture, str(digit), (6, 22), cv2.FONT_HERSHEY_SIMPLEX, 0.75, 255, 2, cv2.LINE_AA)
        drawn.append(picture)
    return torch.from_numpy(np.stack(drawn)).float()[:, None].expand(-1, 3, -1, -1) / 255


@pytest.fixture(scope="module")
def shipped() -> Any:
    return registry().load("vae:mnist").generator


@torch.no_grad()
def test_the_digits_that_come_along_know_digits_from_other_pictures(shipped):
    given = digits()
    seeds = torch.arange(len(given))
    mixed = given.flatten(2)[..., torch.randperm(784, generator=torch.Generator().manual_seed(0))].view_as(given)
    known, unknown = (shipped.elbo(Batch(pictures, seeds=seeds)) for pictures in (given, mixed))
    assert (known > unknown + 100).all()
    made = shipped.decode(shipped.latents(torch.arange(64)))
    drawn = shipped.elbo(Batch(made, seeds=torch.arange(64)))
    assert drawn.median() > -120
    # Samples differ, are black mostly, and are sure of most of their pixels.
    assert made.flatten(1).std(dim=0).mean() > 0.1
    assert 0.05 < float(made.mean()) < 0.25
    assert float(((made < 0.1) | (made > 0.9)).float().mean()) > 0.85


@torch.no_grad()
def test_the_digits_that_come_along_complete_digits(shipped):
    given = digits()
    masks = torch.zeros(10, 1, 28, 28)
    masks[..., 16:22, 8:20] = 1
    filled = shipped.restore(Batch(given * (1 - masks), masks, settings={"blend": False}))
    hole = masks.expand_as(given) > 0
    error = (filled - given)[hole].square().mean()
    assert error < 0.6 * given[hole].square().mean()


@torch.no_grad()
def test_the_photos_that_come_along_are_told_by_their_latents():
    vae: Any = registry().load("vae:cifar10").generator
    photo = torch.from_numpy(data.chelsea()).permute(2, 0, 1)[None].float() / 255
    photo = nn.functional.interpolate(photo[..., :300, 75:375], (32, 32), mode="area")
    given = Batch(photo, seeds=torch.arange(1))
    error = (vae.restore(given) - photo).square().mean()
    assert -10 * math.log10(float(error)) > 20
    assert float(vae.bits_per_dim(given)) < 6.5


def header(name):
    (found,) = [found for found in variants(registry().spec("vae")) if found.name == name]
    return card(found.path)


@pytest.mark.parametrize("name", ["vae:mnist", "vae:cifar10"])
def test_weights_that_come_along_tell_their_bounds(name):
    facts = header(name)
    assert {"elbo", "iwae100"} <= {metric["name"] for metric in facts["metrics"]}
    assert all("nats" in metric["protocol"] for metric in facts["metrics"])


def test_the_digits_that_come_along_bound_the_likelihood_of_digits_as_published_ones_do():
    (bound,) = [metric for metric in header("vae:mnist")["metrics"] if metric["name"] == "iwae100"]
    assert bound["value"] > -86.8
    for fact in ("binarised at random with the grey value", "split test", "pictures 10000"):
        assert fact in bound["protocol"]


def test_the_command_makes_the_same_digits_as_any_other_process(cli, tmp_path):
    told = json.loads(cli("generate", "vae", "-n", 2, "-o", "made", "--json").stdout)
    drawing = sampling.Drawing(registry().load("vae:mnist"), choose_runtime("cpu", "fp32"))
    again = sampling.write_pictures(sampling.samples(drawing, 2, seed=0), tmp_path / "again")
    assert [(tmp_path / name).read_bytes() for name in told["files"]] == [path.read_bytes() for path in again]
    assert images.read(again[0]).pixels.shape == (28, 28, 1)
