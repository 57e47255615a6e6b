"""What `auto` measures in a picture, and what it decides upon."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from restorekit import restore
from restorekit.degradations import parse
from restorekit.errors import UsageError
from restorekit.nn.estimate import jpeg_quality, noise_sigma, quantisation_table
from restorekit.plugin import Batch, PictureInfo, Planner, Request, Restorer, Step
from restorekit.registry import registry

PHOTOS = {
    "astronaut": skimage.data.astronaut()[:300, 100:400],
    "chelsea": skimage.data.chelsea(),
    "coffee": skimage.data.coffee()[:300, :300],
    "camera": np.dstack([skimage.data.camera()[:300, :300]] * 3),
}


def floats(pixels: NDArray) -> NDArray[Any]:
    return pixels.astype(np.float32) / np.float32(255)


def noisy(name: str, sigma: float) -> NDArray[Any]:
    clean = PHOTOS[name].astype(np.float64)
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    if name == "camera":
        noise[:] = noise[..., :1]
    return floats(np.rint(np.clip(clean + noise, 0, 255)))


def compressed(photo: str | NDArray[np.uint8], quality: int) -> NDArray[Any]:
    pixels = PHOTOS[photo] if isinstance(photo, str) else photo
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return floats(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR))[..., ::-1])


NETWORKS = tuple(spec.name for spec in registry().generators if spec.trainer)


def plan(image: NDArray[Any], mask: NDArray | None = None, scale: float = 1.0, auto: str = "auto", without=NETWORKS):
    """Ask the planner; by default as if there were no networks."""
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)
    holes = None if mask is None else torch.from_numpy(mask.astype(np.float32))[None]
    info = PictureInfo(format="png", width=image.shape[1], height=image.shape[0])
    installed = [spec for spec in registry().generators if spec.name not in without]
    planner = registry().load(auto).generator
    assert isinstance(planner, Planner)
    return planner.plan(Request(info, tensor, holes, scale, installed))


def restored(image: NDArray[Any], steps: Sequence[Step]) -> NDArray[Any]:
    tensor = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None]
    for step in steps:
        restorer = registry().load(step).generator
        assert isinstance(restorer, Restorer)
        tensor = restorer.restore(Batch(tensor))
    return tensor[0].permute(1, 2, 0).numpy()


def psnr(a: NDArray, b: NDArray) -> float:
    return float(-10 * np.log10(np.mean((a - b) ** 2)))


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize("sigma", [6, 15, 25, 50])
def test_the_noise_estimate_is_right_within_a_fifth(name: str, sigma: float):
    assert noise_sigma(noisy(name, sigma)) == pytest.approx(sigma, rel=0.2)


@pytest.mark.parametrize("name", PHOTOS)
def test_a_clean_photograph_is_left_alone(name: str):
    assert plan(floats(PHOTOS[name])) == []


@pytest.mark.parametrize("texture", ["grass", "gravel", "brick"])
def test_texture_is_not_taken_for_noise(texture: str):
    try:
        pixels = getattr(skimage.data, texture)()
    except Exception:  # not every installation has the file, and none may fetch it here
        pytest.skip("picture not installed")
    assert plan(floats(np.dstack([pixels] * 3))) == []


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(("sigma", "gain"), [(15, 4.0), (25, 4.8), (50, 5.2)])
def test_noise_is_removed_in_its_strength(name: str, sigma: int, gain: float):
    image, clean = noisy(name, sigma), floats(PHOTOS[name])
    (step,) = plan(image)
    assert step.name == "sliding-dct"
    assert float(step.choice) == pytest.approx(sigma, rel=0.2)
    assert step.reason == f"noise of about {round(float(step.choice))} of 255"
    assert psnr(restored(image, [step]), clean) > psnr(image, clean) + gain


@pytest.mark.parametrize("name", PHOTOS)
@pytest.mark.parametrize(("quality", "gain"), [(10, 0.4), (20, 0.3), (30, 0.2)])
def test_jpeg_artefacts_are_removed_in_their_strength(name: str, quality: int, gain: float):
    image, clean = compressed(name, quality), floats(PHOTOS[name])
    (step,) = plan(image)
    assert step.name == "deblock"
    assert abs(int(step.choice) - quality) <= 2
    assert step.reason == f"JPEG artefacts of about quality {step.choice}"
    assert psnr(restored(image, [step]), clean) > psnr(image, clean) + gain


@pytest.mark.parametrize("quality", [65, 80, 95])
def test_a_fine_jpeg_is_left_alone(quality: int):
    assert plan(compressed("coffee", quality)) == []


def test_blocks_are_found_in_a_cropped_jpeg_too():
    quality = jpeg_quality(compressed("coffee", 20)[3:, 5:])
    assert quality is not None
    assert abs(quality - 20) <= 2


def test_a_scratch_and_a_large_hole_get_different_methods():
    scratch, hole = np.zeros((300, 300)), np.zeros((300, 300))
    scratch[50:250, 100:104] = 1
    hole[50:250, 50:250] = 1
    (thin,) = plan(floats(PHOTOS["coffee"]), scratch)
    (large,) = plan(floats(PHOTOS["coffee"]), hole)
    assert (thin.name, large.name) == ("biharmonic", "diffusion")
    assert thin.reason == "a mask on 0.89 % of the picture, 2 px deep"


def test_an_empty_mask_and_a_full_one_call_for_nothing():
    for value in (0, 1):
        assert plan(floats(PHOTOS["coffee"]), np.full((300, 300), value)) == []


def test_what_is_under_the_mask_is_not_measured():
    image = floats(PHOTOS["coffee"]).copy()
    mask = np.zeros((300, 300))
    mask[:, :200] = 1
    image[:, :200] = np.random.default_rng(0).random((300, 200, 3))
    assert [step.name for step in plan(image, mask)] == ["diffusion"]


def test_repairs_come_before_the_enlargement():
    mask = np.zeros((300, 300))
    mask[100:103] = 1
    names = [step.name for step in plan(noisy("coffee", 20), mask, scale=3.0)]
    assert names == ["biharmonic", "sliding-dct", "lanczos"]


@pytest.mark.parametrize(
    ("scale", "step"), [(1.5, "lanczos:2"), (2, "lanczos:2"), (3.2, "lanczos:4"), (20, "lanczos:8")]
)
def test_the_enlargement_is_the_next_whole_one(scale: float, step: str):
    assert [str(planned) for planned in plan(floats(PHOTOS["coffee"]), scale=scale)] == [step]


def test_a_method_that_is_not_installed_is_replaced_or_left_out():
    image = noisy("coffee", 20)
    assert plan(image, without=[*NETWORKS, "sliding-dct"])[0].name == "nlmeans"
    denoisers = [spec.name for spec in registry().generators if {"denoise", "deblock"} & spec.tasks]
    assert plan(image, without=denoisers) == []


def test_thresholds_can_be_chosen_and_wrong_ones_are_explained():
    assert plan(noisy("coffee", 15), auto="auto,noise=30") == []
    assert plan(compressed("coffee", 20), auto="auto,quality=0") == []
    assert plan(compressed("coffee", 75), auto="auto,quality=80")[0].name == "deblock"
    with pytest.raises(UsageError, match="noise=0 is not allowed"):
        registry().load("auto,noise=0")


def test_networks_come_first_where_weights_come_with_them():
    mask = np.zeros((300, 300))
    mask[100:103] = 1
    planned = plan(noisy("coffee", 45), mask, scale=3.0, without=())
    assert [str(step) for step in planned] == ["context-encoder", "denoiser:blind", "super-resolver:x4"]


def test_the_network_takes_noise_and_the_transform_what_is_weak():
    assert plan(noisy("coffee", 4), auto="auto,noise=3", without=())[0].name == "sliding-dct"
    assert str(plan(noisy("coffee", 12), without=())[0]) == "denoiser:blind"


@pytest.mark.parametrize("name", PHOTOS)
def test_artefacts_and_noise_are_removed_by_the_network_in_one_step(name: str):
    worn = np.rint(noisy(name, 15) * 255).astype(np.uint8)
    image, clean = compressed(worn, 30), floats(PHOTOS[name])
    (step,) = plan(image, without=())
    assert step.name == "denoiser"
    assert step.reason.startswith("JPEG artefacts of about quality")
    better = restore(np.ascontiguousarray(image), str(step))
    assert psnr(better, clean) > psnr(image, clean) + 1.0


def scratched(name: str) -> NDArray[Any]:
    tensor = torch.from_numpy(floats(PHOTOS[name])).permute(2, 0, 1)[None]
    worn = parse(["cracks:3", "scratches:5,tilt=0-90"])(tensor, torch.tensor([3])).images[0]
    return worn.clamp(0, 1).permute(1, 2, 0).numpy()


def test_scratches_are_looked_for_where_it_is_asked_for():
    look = ["scratch-detector", "context-encoder"]
    print_, photo = scratched("camera"), scratched("coffee")
    prints, always = "auto,scratches=prints", "auto,scratches=always"
    assert [step.name for step in plan(print_, auto=prints, without=())] == look
    assert [step.name for step in plan(print_ * np.array([1, 0.9, 0.7], np.float32), auto=prints, without=())] == look
    assert plan(photo, auto=prints, without=()) == []
    assert [step.name for step in plan(photo, auto=always, without=())] == look
    assert plan(print_, without=()) == []
    # Nothing else tells a scratch from what a picture shows.
    assert plan(print_, auto=always, without=["scratch-detector"]) == []


def test_a_scratched_print_is_repaired_and_a_sound_picture_is_left_alone():
    clean, worn = PHOTOS["camera"], np.rint(255 * scratched("camera")).astype(np.uint8)
    repaired = restore(worn, "auto,scratches=prints")
    before, after = (psnr(floats(image), floats(clean)) for image in (worn, repaired))
    assert after > before + 3
    assert np.array_equal(restore(clean, "auto"), clean)


@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    kind=st.sampled_from(["flat", "random", "binary"]),
    value=st.floats(0, 1, width=32),
)
def test_any_picture_can_be_measured(height: int, width: int, kind: str, value: float):
    image = np.random.default_rng(0).random((height, width, 3), np.float32)
    image = {"flat": np.full_like(image, value), "random": image, "binary": np.rint(image)}[kind]
    sigma, quality = noise_sigma(image), jpeg_quality(image)
    assert np.isfinite(sigma)
    assert sigma >= 0
    assert quality is None or 1 <= quality <= 95
    if kind != "random":
        assert sigma < 1e-3


def test_a_picture_with_blown_out_sky_still_shows_its_noise():
    image = noisy("astronaut", 15)
    image[:150] = 1
    assert noise_sigma(image) == pytest.approx(15, rel=0.25)


def test_quantisation_tables_are_those_that_the_encoder_writes():
    encoded = cv2.imencode(".jpg", PHOTOS["coffee"], [cv2.IMWRITE_JPEG_QUALITY, 35])[1].tobytes()
    at = encoded.index(b"\xff\xdb") + 5
    zigzag = sorted(np.ndindex(8, 8), key=lambda p: (sum(p), p[0] if sum(p) % 2 else p[1]))
    table = quantisation_table(35)
    assert list(encoded[at : at + 64]) == [int(table[place]) for place in zigzag]
