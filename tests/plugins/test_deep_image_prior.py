"""The deep image prior fits each picture by itself: it denoises, fills and enlarges without having learned anything."""

from __future__ import annotations

import os
import signal
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from restorekit import restore
from restorekit.batch.restore import Options
from restorekit.batch.restore import restore as restore_files
from restorekit.batch.workers import Silent
from restorekit.contract import Batch, Restorer
from restorekit.degradations import parse
from restorekit.errors import PictureError, UsageError
from restorekit.evaluation.benchmarking.competitors import baselines
from restorekit.registry import registry
from restorekit.specs import Step
from restorekit_deep_image_prior.config import Network, Settings
from restorekit_deep_image_prior.fitting import Fit
from restorekit_deep_image_prior.networks import hourglass

#: Quick, and enough for pictures of 32 pixels.
SMALL = "widths=8/16/32,inputs=8"


def generator(**network: Any) -> Restorer:
    built = registry().build("deep-image-prior", network).generator
    assert isinstance(built, Restorer)
    return built


def fitted(batch: Batch, network: dict[str, Any] | None = None, **settings: Any) -> Tensor:
    with torch.no_grad():
        small = {"widths": (8, 16, 32), "inputs": 8, **(network or {})}
        return generator(**small).restore(
            Batch(batch.images, batch.masks, seeds=batch.seeds, settings=settings, progress=batch.progress)
        )


@pytest.fixture(scope="module")
def clean() -> Tensor:
    """Shapes with edges, as a prior of pictures should like them."""
    y, x = np.mgrid[:32, :32]
    canvas = np.stack([0.3 + 0.4 * (x > y), 0.2 + y / 50, 0.7 - 0.4 * ((x - 16) ** 2 + (y - 16) ** 2 < 70)], axis=2)
    return torch.from_numpy(cv2.GaussianBlur(canvas, (0, 0), 0.7)).permute(2, 0, 1)[None].float()


def psnr(made: Tensor, clean: Tensor, where: Tensor | None = None) -> float:
    error = (made.clamp(0, 1) - clean).square()
    return float(-10 * torch.log10(error.mean() if where is None else error[where.expand_as(error) > 0].mean()))


def noisy(clean: Tensor, sigma: int = 25) -> Tensor:
    return parse([f"noise:{sigma}"])(clean, torch.tensor([3])).images.clamp(0, 1)


def test_noise_goes_and_the_fit_ends_by_itself_before_it_comes_back(clean):
    shares: list[float] = []
    batch = Batch(noisy(clean), seeds=torch.tensor([1]), progress=shares.append)
    stopped = fitted(batch, sigma=25, steps=1000, average=0.9)
    assert shares[-1] < 0.5
    assert psnr(stopped, clean) > psnr(batch.images, clean) + 4
    shares.clear()
    fitted(batch, sigma=0, steps=31)
    assert shares == [0, 10 / 31, 20 / 31, 30 / 31]


def test_the_noise_is_measured_where_nobody_says_it(photo):
    picture = noisy(torch.from_numpy(photo).permute(2, 0, 1)[None].float() / 255)
    masks = torch.zeros_like(picture[:, :1])
    masks[..., 40:60, 40:60] = 1
    for given in (None, masks):
        batch = Batch(picture, given, seeds=torch.tensor([1]))
        assert Fit(batch, Network(), Settings()).bound ** 0.5 * 255 == pytest.approx(0.95 * 25, rel=0.15)
        assert Fit(batch, Network(), Settings(sigma=7)).bound ** 0.5 * 255 == pytest.approx(0.95 * 7)


def test_holes_are_filled_from_the_known_pixels_alone(clean):
    masks = torch.zeros(1, 1, 32, 32)
    masks[..., 8:14, 14:22] = 1
    results = []
    for inside in (0.0, 1.0):
        images = torch.where(masks > 0, inside, clean)
        results.append(fitted(Batch(images, masks, seeds=torch.tensor([1])), steps=100, sigma=0, average=0.8))
    assert torch.equal(*results)
    grey = torch.full_like(clean, 0.5)
    assert psnr(results[0], clean, masks) > psnr(grey, clean, masks) + 5


def test_pictures_are_enlarged(clean):
    small = parse(["downscale:2"])(clean, torch.tensor([0])).images
    enlarged = fitted(Batch(small, seeds=torch.tensor([1])), {"scale": 2}, steps=200, sigma=0, average=0.8)
    assert enlarged.shape == clean.shape
    repeated = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert psnr(enlarged, clean) > psnr(repeated, clean)


def test_a_picture_is_a_function_of_its_own_seed(clean):
    images = noisy(clean).expand(2, -1, -1, -1)
    state = torch.get_rng_state()
    both = fitted(Batch(images, seeds=torch.tensor([1, 2])), steps=5)
    assert torch.equal(torch.get_rng_state(), state)
    alone = fitted(Batch(images[:1], seeds=torch.tensor([2])), steps=5)
    assert torch.equal(both[1:], alone)
    assert not torch.equal(both[:1], alone)


def test_networks_have_the_stated_widths():
    network = hourglass(Network(widths=(16, 32), skip=4, inputs=8), torch.tensor([1]), 0)
    assert network(torch.rand(1, 8, 16, 12)).shape == (1, 3, 16, 12)
    shapes = [tuple(p.shape[:2]) for name, p in network.named_parameters() if name.endswith("0.weight") and p.ndim == 4]
    assert {(4, 8), (16, 8), (4, 16), (32, 16), (32, 36), (16, 36)} <= set(shapes)


def test_steps_carry_network_and_fit(clean):
    pixels = (noisy(clean)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
    first, again = (restore(pixels, f"deep-image-prior:4,{SMALL}") for _ in range(2))
    assert np.array_equal(first, again)
    assert restore(pixels, f"deep-image-prior:2,{SMALL}", scale=2).shape == (64, 64, 3)
    mask = np.zeros((32, 32), bool)
    mask[4:9, 4:9] = True
    filled = restore(pixels, f"deep-image-prior:2,{SMALL}", mask=mask)
    assert np.array_equal(filled[~mask], pixels[~mask])
    with pytest.raises(PictureError, match="covers the whole picture"):
        restore(pixels, "deep-image-prior:2", mask=np.ones((32, 32), bool))


@pytest.mark.parametrize(
    ("step", "told"),
    [
        ("deep-image-prior:0", "steps=0 is not allowed"),
        ("deep-image-prior,widths=16/x", "give one to six numbers from 4 to 512, such as 16/32/64"),
        ("deep-image-prior,sigma=much", "give a number from 0 to 255, or auto"),
        ("deep-image-prior,scale=9", "scale=9 is not allowed"),
        ("deep-image-prior,step=9", "did you mean steps"),
    ],
)
def test_wrong_settings_are_one_line(step, told):
    with pytest.raises(UsageError) as caught:
        registry().load(step)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_it_works_only_when_it_is_asked_for():
    assert registry().spec("deep-image-prior").slow
    for tasks, factor in (({"denoise"}, 1), ({"inpaint"}, 1), ({"super-resolve"}, 2)):
        names = {each.name for each in baselines(registry(), frozenset(tasks), factor, [])}
        assert names
        assert not any(name.startswith("deep-image-prior") for name in names)


class Impatient(Silent):
    """Interrupts the process as soon as it hears how far a picture is."""

    def __init__(self):
        self.heard: list[tuple[str, float]] = []

    def working(self, name: str, done: float) -> None:
        self.heard.append((name, done))
        if len(self.heard) == 2:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_tells_how_far_it_is_and_is_interrupted_within_a_picture(tmp_path, clean):
    cv2.imwrite(str(tmp_path / "a.png"), (noisy(clean)[0].permute(1, 2, 0).numpy() * 255).round().astype(np.uint8))
    listener = Impatient()
    options = Options(steps=(Step.parse(f"deep-image-prior:100000,sigma=0,{SMALL}"),), report=False)
    done = restore_files([tmp_path / "a.png"], tmp_path / "out", options, registry=registry(), listener=listener)
    assert done.interrupted == signal.SIGINT
    assert listener.heard[:2] == [("a.png", 0.0), ("a.png", 1e-4)]
    assert not (tmp_path / "out" / "a.png").exists()


def test_the_defaults_are_valid_settings():
    assert Settings().sigma == "auto"
    assert Network(widths="8/16").widths == (8, 16)  # pyright: ignore[reportArgumentType]
