"""Size and strength: the target is reached exactly, by the generator where it can; strength blends."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.contract import Geometry
from restorekit.errors import UsageError
from restorekit.images.resize import resize
from restorekit.inference import Target

from .fakes import BLUR, DOUBLE, Restores, any_picture, invert, kinds, outcome, picture, restored, seeds, sides

targets = st.one_of(
    st.floats(0.02, 4).map(Target), st.tuples(st.integers(1, 90), st.integers(1, 90)).map(lambda s: Target(size=s))
)


@settings(deadline=None, max_examples=50)
@given(seeds, sides, sides, kinds, targets, st.sampled_from([(), ("blur",), ("double",), ("bicubic",), ("auto",)]))
def test_the_target_is_reached_exactly_by_every_picture(seed, height, width, kind, target, steps):
    given_ = any_picture(seed, height, width, kind)
    result = outcome(given_, steps, np.zeros((height, width), bool), target=target, blur=BLUR, double=DOUBLE)
    assert result.picture is not None
    assert result.mask is not None
    pixels, alpha = result.picture.pixels, result.picture.alpha
    assert pixels.shape[:2] == target.pixels(height, width) == result.mask.shape
    assert (pixels.dtype, pixels.shape[2]) == (given_.pixels.dtype, given_.pixels.shape[2])
    assert (alpha is None) == (given_.alpha is None)
    assert alpha is None or (alpha.shape == pixels.shape[:2] and alpha.dtype == kind[0])
    assert (result.picture.info.width, result.picture.info.height) == (pixels.shape[1], pixels.shape[0])


def test_a_size_is_width_by_height():
    given_ = any_picture(0, 10, 20, (np.uint8, 3, False))
    assert restored(given_, [], target=Target(size=(30, 7))).pixels.shape == (7, 30, 3)


@pytest.mark.parametrize(
    ("scale", "steps", "done"),
    [
        (4.0, ["bicubic"], ["bicubic,scale=4"]),
        (3.0, ["bicubic:2"], ["bicubic:2", "resize:30x36"]),
        (1.5, ["lanczos"], ["lanczos,scale=2", "resize:15x18"]),
        (0.5, ["bicubic"], ["bicubic", "resize:5x6"]),
        (0.5, ["median"], ["median", "resize:5x6"]),
        (4.0, ["median", "bicubic"], ["median", "bicubic,scale=4"]),
        (4.0, ["bicubic:2", "lanczos"], ["bicubic:2", "lanczos,scale=2"]),
        (4.0, ["lanczos", "bicubic:2"], ["lanczos,scale=2", "bicubic:2"]),
        (6.0, ["nearest", "bicubic"], ["nearest,scale=6", "bicubic", "resize:60x72"]),
        (10.0, ["bicubic"], ["bicubic", "resize:100x120"]),
        (2.0, ["auto"], ["super-resolver:x2"]),
        (3.0, ["auto"], ["super-resolver:x4", "resize:30x36"]),
        (1.0, ["bicubic"], ["bicubic"]),
    ],
)
def test_what_a_scale_makes_of_the_steps(scale, steps, done):
    given_ = picture(np.full((12, 10, 3), 90, np.uint8))
    result = outcome(given_, steps, target=Target(scale))
    assert [str(step) for step in result.steps] == done
    assert all(step.reason for step in result.steps if step.name == "resize")


def test_the_scale_of_a_size_is_that_of_the_axis_that_grows_more():
    given_ = picture(np.full((12, 10, 3), 90, np.uint8))
    result = outcome(given_, ["bicubic"], target=Target(size=(10, 36)))
    assert [str(step) for step in result.steps] == ["bicubic,scale=3", "resize:10x36"]


def test_shrinking_is_matlabs_bicubic_and_holds_back_no_precision(photo):
    result = restored(picture(photo), [], target=Target(0.25)).pixels
    expected = resize(torch.from_numpy(photo / 255.0).permute(2, 0, 1), (40, 50)).permute(1, 2, 0).numpy()
    assert np.abs(result - np.clip(expected, 0, 1) * 255).max() < 0.501


def test_a_resized_mask_covers_whatever_touches_a_hole():
    mask = np.zeros((40, 40), bool)
    mask[20, 20] = True
    result = outcome(any_picture(0, 40, 40, (np.uint8, 1, False)), [], mask, target=Target(0.25))
    assert result.mask is not None
    assert np.argwhere(result.mask).tolist() == [[5, 5]]


@pytest.mark.parametrize("scale", [0.0, -1.0, 65.0, float("nan"), float("inf")])
def test_a_scale_that_makes_no_picture_is_refused(scale):
    with pytest.raises(UsageError, match=r"--scale: .* is out of range; give a number above 0, at most 64"):
        Target(scale)


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-3, 4), (70_000, 5), (5,), (5, 5, 3)])
def test_a_size_that_makes_no_picture_is_refused(size):
    with pytest.raises(UsageError, match=r"--size: .* is out of range"):
        Target(size=size)


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_out_of_range_is_refused(strength):
    with pytest.raises(UsageError, match="--strength"):
        restored(any_picture(0, 8, 8, (np.uint8, 1, False)), "blur", blur=BLUR, strength=strength)


@settings(deadline=None, max_examples=25)
@given(seeds, kinds, st.lists(st.floats(0, 1), min_size=2, max_size=4), st.sampled_from(["blur", "sized"]))
def test_more_strength_is_never_less_change(seed, kind, strengths, step):
    given_ = any_picture(seed, 24, 20, kind)
    generators: dict[str, Any] = {"blur": BLUR, "sized": Restores(invert, Geometry(size=(24, 20)))}
    changes = [
        np.abs(restored(given_, step, **generators, strength=strength).pixels.astype(float) - given_.pixels)
        for strength in (0.0, *sorted(strengths), 1.0)
    ]
    assert not changes[0].any()
    tolerance = 1e-6 if kind[0] == np.float32 else 0
    for less, more in itertools.pairwise(changes):
        assert (less <= more + tolerance).all()


def test_full_strength_is_the_generators_result_and_half_lies_in_the_middle():
    given_ = any_picture(4, 30, 30, (np.uint16, 3, False))
    full, half = (restored(given_, "invert", invert=Restores(invert), strength=s).pixels for s in (1.0, 0.5))
    np.testing.assert_array_equal(full, 65535 - given_.pixels)
    assert np.abs(half.astype(float) - 32767.5).max() <= 0.5


def test_strength_does_not_touch_an_enlargement():
    given_ = any_picture(4, 30, 30, (np.uint8, 3, False))
    full, weak = (restored(given_, "double", double=DOUBLE, strength=s).pixels for s in (1.0, 0.2))
    np.testing.assert_array_equal(full, weak)
