"""Depth and channels: grey stays grey, 16 bits stay 16, floats keep their range, nothing changes by itself."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.contract import Geometry
from restorekit.inference import Target
from restorekit.inference.device import Runtime

from .fakes import (
    BLUR,
    CPU,
    DOUBLE,
    Restores,
    any_picture,
    identity,
    invert,
    kinds,
    outcome,
    picture,
    restored,
    seeds,
    sides,
)

WAYS = {
    "tiled": Geometry(halo=0),
    "padded": Geometry(halo=2, multiple_of=7),
    "whole": Geometry(whole_image=True),
}


@settings(deadline=None, max_examples=60)
@given(
    seeds,
    sides,
    sides,
    kinds,
    st.sampled_from(sorted(WAYS)),
    st.sampled_from([None, 16]),
    st.sampled_from([1, 4]),
    st.integers(1, 3),
)
def test_a_generator_that_changes_nothing_gives_identical_pixels(
    seed, height, width, kind, way, tile, batch_size, times
):
    given_ = any_picture(seed, height, width, kind)
    same = Restores(identity, WAYS[way])
    result = restored(given_, ["same"] * times, same=same, tile=tile, batch_size=batch_size)
    assert result.pixels.dtype == given_.pixels.dtype
    np.testing.assert_array_equal(result.pixels, given_.pixels)
    np.testing.assert_array_equal(result.alpha, given_.alpha)  # pyright: ignore
    assert result.info == given_.info


@settings(deadline=None, max_examples=25)
@given(seeds, sides, sides, kinds)
def test_strength_0_gives_the_input_for_every_way_of_running(seed, height, width, kind):
    given_ = any_picture(seed, height, width, kind)
    for geometry in (*WAYS.values(), Geometry(size=(9, 12))):
        result = restored(given_, "change", change=Restores(invert, geometry), strength=0.0)
        np.testing.assert_array_equal(result.pixels, given_.pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("steps", [["tint"], ["double"], ["sized"], ["tint", "double", "sized"]])
def test_grey_comes_back_grey_from_a_generator_that_treats_channels_differently(dtype, steps):
    tint = Restores(lambda batch: batch.images * torch.tensor([0.9, 0.6, 0.3])[:, None, None])
    given_ = any_picture(0, 20, 24, (dtype, 1, False))
    result = restored(given_, steps, tint=tint, double=DOUBLE, sized=Restores(identity, Geometry(size=(16, 16))))
    assert result.pixels.shape[2] == 1
    if steps == ["tint"]:
        rounding = 0 if dtype == np.float32 else 0.51
        np.testing.assert_allclose(result.pixels, given_.pixels * 0.6, rtol=1e-6, atol=rounding)


def ramp() -> np.ndarray:
    return np.linspace(3000, 61000, 40 * 200).astype(np.uint16).reshape(40, 200, 1).repeat(3, axis=2)


@pytest.mark.parametrize("steps", [["blur"], ["blur", "double"], ["blur", "sized"], ["double", "blur", "sized"]])
def test_16_bits_keep_far_more_than_256_levels_through_a_chain(steps):
    sized = Restores(identity, Geometry(size=(40, 200)))
    result = restored(picture(ramp()), steps, blur=BLUR, double=DOUBLE, sized=sized)
    assert len(np.unique(result.pixels)) > 4000


@pytest.mark.parametrize(
    "step", ["median:3", "nlmeans:3", "bilateral:3", "wavelet:3", "tv:0.01", "sliding-dct:3", "bicubic:2", "unsharp:1"]
)
def test_installed_restorers_keep_more_than_8_bits(step):
    result = restored(picture(ramp()), step)
    assert len(np.unique(result.pixels)) > 2000
    middle = result.pixels[result.pixels.shape[0] // 2, :, 0].astype(float)
    assert np.median(np.abs(np.diff(middle[20:-20]))) < 60  # steps of 8 bits would be 257 or nothing


@pytest.mark.parametrize("kind", [(np.uint16, 3, False), (np.float32, 1, False)])
def test_generators_are_told_the_depth_and_run_in_fp32_above_8_bits(kind):
    seen = []

    class Network(torch.nn.Module):
        geometry = Geometry(halo=0)

        def restore(self, batch):
            seen.append((batch.bits, batch.images.dtype, torch.is_autocast_enabled("cpu")))
            return batch.images

    half = Runtime(torch.device("cpu"), "bf16", "tests")
    restored(any_picture(0, 8, 8, kind), "net", net=Network(), runtime=half)
    restored(any_picture(0, 8, 8, (np.uint8, 3, False)), "net", net=Network(), runtime=half)
    assert seen == [(16, torch.float32, False), (8, torch.float32, True)]


def test_only_networks_run_in_lower_precision():
    half = dataclasses.replace(CPU, precision="bf16")
    given_ = any_picture(1, 40, 40, (np.uint8, 3, False))
    for step in ("sliding-dct:20", "deblock:30"):
        expected = restored(given_, step).pixels
        np.testing.assert_array_equal(restored(given_, step, runtime=half).pixels, expected)


@settings(deadline=None, max_examples=25)
@given(seeds, st.floats(1.0, 1e30), st.sampled_from([1, 3]))
def test_floats_brighter_than_1_keep_their_range(seed, brightest, channels):
    given_ = any_picture(seed, 20, 20, (np.float32, channels, False))
    given_.pixels[3, 3] = 4
    pixels = (given_.pixels * np.float32(brightest / 4)).astype(np.float32)
    hdr = picture(pixels)
    same = restored(hdr, "same", same=Restores(identity))
    np.testing.assert_array_equal(same.pixels, pixels)
    blurred = restored(hdr, "blur", blur=BLUR).pixels
    assert blurred.mean() == pytest.approx(pixels.mean(), rel=0.1)


def test_the_largest_float_does_not_overflow():
    pixels = np.full((8, 8, 3), 1.0, np.float32)
    pixels[2, 2] = np.finfo(np.float32).max / 2
    result = restored(picture(pixels), "same", same=Restores(identity))
    np.testing.assert_array_equal(result.pixels, pixels)


def test_resampling_makes_no_negative_light():
    pixels = np.zeros((20, 20), np.float32)
    pixels[8:12, 8:12] = 30.0
    result = restored(picture(pixels), [], target=Target(2.0))
    assert result.pixels.min() >= 0
    assert 25 < result.pixels.max() <= 32


@pytest.mark.parametrize("kind", [(np.uint8, 3, False), (np.float32, 3, True), (np.uint16, 1, True)])
def test_a_plan_without_steps_returns_the_very_same_picture(kind):
    given_ = any_picture(0, 8, 8, kind)
    assert outcome(given_, []).picture is given_
