"""Transparent pictures: nothing hidden bleeds into what is seen, no halos at soft edges, alpha is never lost."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.contract import Geometry
from restorekit.inference import Target
from restorekit.inference.alpha import covered, hidden_pixels

from .fakes import (
    BLUR,
    DOUBLE,
    Restores,
    any_picture,
    borrowed,
    identity,
    kinds,
    noise,
    picture,
    restored,
    seeds,
    sides,
)

STEPS: dict[str, Any] = {
    "blur": BLUR,
    "double": DOUBLE,
    "sized": Restores(identity, Geometry(size=(20, 24))),
}
INSTALLED = [
    "median:5",
    "bilateral:20",
    "nlmeans:10",
    "sliding-dct:10",
    "tv:0.1",
    "unsharp:1",
    "bicubic:2",
    "lanczos:3",
]


def disc(height: int = 60, width: int = 70, soft: float = 6.0) -> np.ndarray:
    """Alpha of a disc whose edge fades over ``soft`` pixels."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(y - height / 2, x - width / 2)
    return np.rint(np.clip((20 - distance) / soft + 0.5, 0, 1) * 255).astype(np.uint8)


def over(result, backdrop: float) -> np.ndarray:
    """Composite over a grey level, in 0 to 255."""
    alpha = result.alpha[..., None] / 255
    return result.pixels * alpha + 255 * backdrop * (1 - alpha)


@pytest.mark.parametrize("step", [*STEPS, *INSTALLED])
@pytest.mark.parametrize("target", [Target(), Target(0.5), Target(size=(100, 61))])
def test_a_disc_of_one_colour_keeps_its_colour_up_to_its_soft_edge(step, target):
    colour = np.array([200, 120, 60], np.uint8)
    alpha = disc()
    garbage = np.where(alpha[..., None] > 0, colour, noise(0, (60, 70, 3), np.uint8))
    result = restored(picture(garbage, alpha), step, **STEPS, target=target)
    for backdrop in (0.0, 1.0):
        visible = result.alpha[..., None] / 255  # pyright: ignore[reportOptionalSubscript]
        expected = colour * visible + 255 * backdrop * (1 - visible)
        assert np.abs(over(result, backdrop) - expected).max() <= 1.0


@pytest.mark.parametrize("step", [*STEPS, *INSTALLED])
def test_colours_under_no_alpha_never_reach_what_is_seen(step, photo):
    alpha = disc(*photo.shape[:2])
    black, garbage = photo.copy(), photo.copy()
    black[alpha == 0] = 0
    garbage[alpha == 0] = noise(1, photo.shape, np.uint8)[alpha == 0]
    results = [restored(picture(pixels, alpha), step, **STEPS) for pixels in (black, garbage)]
    np.testing.assert_array_equal(results[0].alpha, results[1].alpha)
    np.testing.assert_array_equal(over(results[0], 0.5), over(results[1], 0.5))


@pytest.mark.parametrize("step", ["double", "bicubic:2", "nearest:2"])
def test_enlarging_and_compositing_may_be_done_in_either_order(step, photo):
    alpha = disc(*photo.shape[:2], soft=10)
    given_ = picture(np.where(alpha[..., None] > 0, photo, 255).astype(np.uint8), alpha)
    enlarged = restored(given_, step, **STEPS)
    for backdrop in (0.0, 1.0):
        flat = picture(np.rint(over(given_, backdrop)).astype(np.uint8))
        error = over(enlarged, backdrop) - restored(flat, step, **STEPS).pixels
        assert np.abs(error).max() < 14
        assert np.sqrt(np.square(error).mean()) < 0.6


@settings(deadline=None, max_examples=25)
@given(seeds, sides, sides, kinds, st.sampled_from(["blur", "sized"]), st.sampled_from([None, 20]))
def test_where_nothing_is_seen_the_hidden_colours_stay_and_alpha_stays_everywhere(
    seed, height, width, kind, step, tile
):
    given_ = any_picture(seed, height, width, (kind[0], kind[1], True))
    result = restored(given_, step, **STEPS, tile=tile)
    assert given_.alpha is not None
    np.testing.assert_array_equal(result.alpha, given_.alpha)
    np.testing.assert_array_equal(result.pixels[given_.alpha == 0], given_.pixels[given_.alpha == 0])


@settings(deadline=None, max_examples=25)
@given(seeds, sides, sides, kinds, st.sampled_from(sorted(STEPS)))
def test_opaque_alpha_changes_nothing_in_the_colours(seed, height, width, kind, step):
    plain = any_picture(seed, height, width, (kind[0], kind[1], False))
    white = 1 if kind[0] == np.float32 else np.iinfo(kind[0]).max
    opaque = picture(plain.pixels, np.full((height, width), white, kind[0]))
    expected, result = (restored(each, step, **STEPS) for each in (plain, opaque))
    np.testing.assert_array_equal(result.pixels, expected.pixels)
    assert result.alpha is not None
    assert result.alpha.dtype == kind[0]
    assert result.alpha.shape == result.pixels.shape[:2]
    assert (result.alpha == white).all()


@pytest.mark.parametrize("level", [0, 3, 255])
@pytest.mark.parametrize("target", [Target(), Target(1.5)])
def test_even_alpha_stays_exactly_what_it_is_when_enlarged(level, target):
    given_ = picture(noise(0, (20, 30, 3), np.uint8), np.full((20, 30), level, np.uint8))
    result = restored(given_, "double", **STEPS, target=target)
    assert result.alpha is not None
    assert result.alpha.shape == result.pixels.shape[:2]
    assert (result.alpha == level).all()


def test_alpha_is_enlarged_by_the_generator_itself():
    alpha = disc()
    result = restored(picture(noise(0, (60, 70, 3), np.uint8), alpha), "double", **STEPS)
    grey = restored(picture(alpha), "double", **STEPS)
    np.testing.assert_array_equal(result.alpha, grey.pixels[..., 0])


def test_a_faint_layer_is_restored_like_any_other():
    pixels = noise(0, (40, 40, 3), np.uint8)
    faint = np.full((40, 40), 9, np.uint8)
    faint[:, :10] = 8
    result = restored(picture(pixels, faint), "blur", **STEPS)
    np.testing.assert_array_equal(result.pixels, restored(picture(pixels), "blur", **STEPS).pixels)


def test_noise_is_estimated_of_a_cutout_as_of_the_picture_it_was_cut_from(photo):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 20, photo.shape), 0, 255).astype(np.uint8)
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[20:140, 30:170] = 255
    noisy[alpha == 0] = 0
    for step in ("sliding-dct", "wavelet"):
        whole, cutout = restored(picture(noisy), step), restored(picture(noisy, alpha), step)
        inside = np.s_[50:110, 60:140]
        removed = [np.std(result.pixels[inside].astype(float) - noisy[inside]) for result in (whole, cutout)]
        assert removed[1] == pytest.approx(removed[0], rel=0.25)


@settings(deadline=None, max_examples=40)
@given(seeds, sides, st.integers(1, 1200), kinds)
def test_covering_keeps_what_is_seen_and_forgets_what_is_hidden(seed, width, height, kind):
    given_ = any_picture(seed, height, width, (kind[0], kind[1], True))
    hidden = hidden_pixels(given_.alpha)
    if hidden is None or hidden.all():
        assert covered(given_.pixels, hidden) is given_.pixels
        return
    result = covered(given_.pixels, hidden)
    assert result.dtype == given_.pixels.dtype
    np.testing.assert_array_equal(result[~hidden], given_.pixels[~hidden])
    other = np.where(hidden[..., None], noise(seed + 9, given_.pixels.shape, kind[0]), given_.pixels)
    np.testing.assert_array_equal(covered(other, hidden), result)


def test_covering_mirrors_at_the_rim():
    pixels = np.arange(60, dtype=np.uint8)[None, :, None].repeat(700, axis=0)
    hidden = np.zeros((700, 60), bool)
    hidden[:, 40:] = True
    np.testing.assert_array_equal(covered(pixels, hidden)[600, 36:46, 0], [36, 37, 38, 39, 38, 37, 36, 35, 34, 33])
    turned = covered(pixels.transpose(1, 0, 2), hidden.T)
    np.testing.assert_array_equal(turned[:, 600, 0], covered(pixels, hidden)[600, :, 0])


def test_alpha_survives_every_installed_restorer():
    alpha = disc(40, 40)
    pixels = noise(3, (40, 40, 3), np.uint8)
    mask = np.zeros((40, 40), bool)
    mask[18:22, 5:35] = True
    for spec in borrowed().generators:
        if not {"detect", "plan"} & spec.tasks and not spec.weights and spec.concurrent:
            result = restored(picture(pixels, alpha), spec.name, mask)
            assert result.alpha is not None, spec.name
            assert result.alpha.shape == result.pixels.shape[:2], spec.name
