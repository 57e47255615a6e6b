"""Between pixels and tensors: exact both ways, never in the picture's own memory."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restorekit.inference.arrays import convert, to_array, to_tensor, unit_of

from .fakes import noise

DTYPES = [np.uint8, np.uint16]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 3])
def test_every_integer_comes_back_from_a_tensor(dtype, channels):
    levels = np.arange(np.iinfo(dtype).max + 1, dtype=dtype).reshape(-1, 16, 1).repeat(channels, axis=2)
    image = to_tensor(levels)
    assert image.dtype == torch.float32
    assert image.shape == (channels, *levels.shape[:2])
    assert (float(image.min()), float(image.max())) == (0.0, 1.0)
    np.testing.assert_array_equal(to_array(image.expand(3, -1, -1), channels, dtype), levels)
    np.testing.assert_array_equal(convert(convert(levels, np.float32), dtype), levels)
    np.testing.assert_array_equal(to_array(image.expand(3, -1, -1), channels, np.float32), convert(levels, np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
@pytest.mark.parametrize("view", [lambda a: a, lambda a: a[::-1, ::2], lambda a: a.transpose(1, 0, 2)])
def test_a_tensor_has_memory_of_its_own_however_the_pixels_lie(dtype, view):
    pixels = view(noise(0, (6, 8, 3), dtype))
    before = pixels.copy()
    to_tensor(pixels).zero_()
    np.testing.assert_array_equal(pixels, before)
    assert not np.shares_memory(convert(pixels, dtype), pixels)


@given(st.integers(0, 65535), st.integers(0, 65535), st.integers(0, 65535))
def test_grey_is_the_mean_of_the_channels_and_exact_where_they_agree(red, green, blue):
    def grey(*values):
        return to_array(torch.tensor(values).float().reshape(3, 1, 1) / 65535, 1, np.uint16).item()

    assert grey(red, red, red) == red
    assert abs(grey(red, green, blue) - (red + green + blue) / 3) <= 0.51


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_are_clipped_and_rounded_to_the_nearest(dtype):
    white = np.iinfo(dtype).max
    values = torch.tensor([-0.1, 0.4 / white, 0.6 / white, 1.2]).reshape(1, 1, 4)
    np.testing.assert_array_equal(to_array(values, 1, dtype)[0, :, 0], [0, 0, 1, white])
    np.testing.assert_array_equal(convert(values.numpy(), dtype)[0, 0], [0, 0, 1, white])


@pytest.mark.parametrize("dtype", DTYPES)
def test_both_ways_of_rounding_agree(dtype):
    values = noise(3, (200, 300, 3), np.float32) / 3.7
    image = torch.from_numpy(values).permute(2, 0, 1)
    np.testing.assert_array_equal(to_array(image, 3, dtype), convert(values, dtype))


@given(st.floats(2.0**-10, float(np.finfo(np.float32).max), width=32))
def test_the_unit_of_a_bright_picture_divides_exactly(brightest):
    pixels = np.array([[[brightest], [brightest / 3]]], np.float32)
    unit = unit_of(pixels)
    assert unit == 1.0 if brightest <= 1 else brightest / unit <= 2
    np.testing.assert_array_equal(pixels / np.float32(unit) * np.float32(unit), pixels)


def test_integers_have_no_unit():
    assert unit_of(np.full((2, 2, 3), 65535, np.uint16)) == 1.0
