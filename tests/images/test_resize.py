"""Resizing follows MATLAB's imresize."""

import math

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.errors import UsageError
from restorekit.images.resize import KERNELS, resize


def published_kernel(name, x):
    """Keys' cubic (a = -0.5), the triangle, Lanczos with three lobes and the box, from their definitions."""
    x = abs(x) if name not in ("box", "nearest") else x
    if name == "bicubic":
        a = -0.5
        if x <= 1:
            return (a + 2) * x**3 - (a + 3) * x**2 + 1
        return a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0
    if name == "bilinear":
        return max(0.0, 1 - x)
    if name == "lanczos3":
        if x == 0:
            return 1.0
        return math.sin(math.pi * x) * math.sin(math.pi * x / 3) / (math.pi**2 * x**2 / 3) if x < 3 else 0.0
    return 1.0 if -0.5 <= x < 0.5 else 0.0


def naive_line(line, target, scale, name, antialias):
    """One line of pixels, counted from 1 as MATLAB does, mirrored beyond both ends."""
    support = {"bicubic": 2, "bilinear": 1, "lanczos3": 3, "box": 0.5, "nearest": 0.5}[name]
    widened = scale if antialias and scale < 1 and name != "nearest" else 1.0
    n = len(line)
    result = []
    for i in range(1, target + 1):
        centre = i / scale + 0.5 * (1 - 1 / scale)
        reach = support / widened
        total = weight_sum = 0.0
        for j in range(math.floor(centre - reach) - 1, math.ceil(centre + reach) + 2):
            weight = published_kernel(name, widened * (centre - j))
            mirrored = (j - 1) % (2 * n)
            mirrored = mirrored if mirrored < n else 2 * n - 1 - mirrored
            total += weight * line[mirrored]
            weight_sum += weight
        result.append(total / weight_sum)
    return result


def naive_resize(image, targets, scales, name, antialias):
    rows = np.array([naive_line(column, targets[0], scales[0], name, antialias) for column in image.T]).T
    return np.array([naive_line(row, targets[1], scales[1], name, antialias) for row in rows])


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("height", "width", "scale"), [(20, 17, 0.25), (7, 9, 4.0), (13, 11, 0.37), (9, 16, 1.7), (5, 3, 0.2)]
)
def test_equals_the_published_definition(kernel, antialias, height, width, scale):
    image = np.random.default_rng(0).uniform(0, 255, (height, width))
    targets = math.ceil(scale * height), math.ceil(scale * width)
    wanted = naive_resize(image, targets, (scale, scale), kernel, antialias)
    got = resize(torch.from_numpy(image)[None, None], scale=scale, kernel=kernel, antialias=antialias)[0, 0]
    assert got.shape == targets
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6)


def test_a_target_size_sets_the_scale_of_each_axis():
    image = np.random.default_rng(1).uniform(0, 1, (12, 10))
    wanted = naive_resize(image, (5, 23), (5 / 12, 23 / 10), "bicubic", True)
    got = resize(torch.from_numpy(image)[None, None], (5, 23))[0, 0]
    np.testing.assert_allclose(got.numpy(), wanted, atol=1e-6)


def test_known_bicubic_weights():
    """Halving convolves with (-3, -9, 29, 111, 111, 29, -9, -3) / 256: a = -0.5 stretched by two."""
    impulse = torch.zeros(1, 1, 1, 32, dtype=torch.float64)
    response = []
    for position in range(11, 19):
        impulse.zero_()
        impulse[..., position] = 1
        response.append(float(resize(impulse, (1, 16))[0, 0, 0, 7]) * 256)
    np.testing.assert_allclose(response, [-3, -9, 29, 111, 111, 29, -9, -3], atol=1e-9)


def test_box_antialiased_by_a_whole_factor_is_the_mean_of_the_block():
    image = torch.rand(1, 3, 12, 15, dtype=torch.float64)
    wanted = torch.nn.functional.avg_pool2d(image, 3)
    torch.testing.assert_close(resize(image, scale=1 / 3, kernel="box"), wanted)


def test_nearest_repeats_pixels_when_enlarging():
    image = torch.rand(1, 3, 4, 5)
    wanted = image.repeat_interleave(3, -1).repeat_interleave(3, -2)
    assert torch.equal(resize(image, scale=3, kernel="nearest"), wanted)


sizes = st.integers(1, 24)
scales = st.floats(0.1, 4)
kernels = st.sampled_from(sorted(KERNELS))


@settings(deadline=None, max_examples=60)
@given(sizes, sizes, scales, scales, kernels, st.booleans(), st.floats(0, 1))
def test_a_constant_picture_stays_constant(height, width, vertical, horizontal, kernel, antialias, value):
    image = torch.full((1, 1, height, width), value, dtype=torch.float64)
    result = resize(image, scale=(vertical, horizontal), kernel=kernel, antialias=antialias)
    torch.testing.assert_close(result, torch.full_like(result, value), rtol=0, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, kernels, st.integers(0, 1000))
def test_scale_one_is_the_identity(height, width, kernel, seed):
    image = torch.from_numpy(np.random.default_rng(seed).uniform(size=(2, 3, height, width)))
    assert torch.equal(resize(image, scale=1, kernel=kernel), image)
    assert torch.equal(resize(image, (height, width), kernel=kernel), image)


@settings(deadline=None, max_examples=40)
@given(sizes, sizes, st.integers(1, 30), st.integers(1, 30), st.sampled_from(["bicubic", "bilinear", "lanczos3"]))
def test_mirroring_and_transposing_commute_with_resizing(height, width, new_height, new_width, kernel):
    image = torch.from_numpy(np.random.default_rng(height * 31 + width).uniform(size=(1, 1, height, width)))
    result = resize(image, (new_height, new_width), kernel=kernel)
    torch.testing.assert_close(resize(image.flip(-1), (new_height, new_width), kernel=kernel), result.flip(-1))
    torch.testing.assert_close(resize(image.mT, (new_width, new_height), kernel=kernel), result.mT)


@pytest.mark.parametrize(
    ("length", "scale", "wanted"), [(10, 1.1, 11), (481, 0.25, 121), (3, 1 / 3, 1), (2, 0.1, 1), (30, 0.1, 3)]
)
def test_output_length_is_the_ceiling_of_the_exact_product(length, scale, wanted):
    assert resize(torch.rand(1, 1, length, length), scale=scale).shape == (1, 1, wanted, wanted)


@pytest.mark.parametrize("scale", [0.4, (1.7, 0.6)])
@pytest.mark.parametrize("kernel", ["bicubic", "lanczos3"])
def test_gradients_are_exact_to_second_order(scale, kernel):
    image = torch.rand(1, 1, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: resize(t, scale=scale, kernel=kernel), image)
    assert torch.autograd.gradgradcheck(lambda t: resize(t, scale=scale, kernel=kernel), image)


def test_float32_precision_survives_autocast():
    image = torch.rand(1, 3, 64, 64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        result = resize(image, scale=0.25)
    assert result.dtype == torch.float32
    torch.testing.assert_close(result.double(), resize(image.double(), scale=0.25), rtol=0, atol=1e-6)


def test_half_precision_comes_back_as_half_precision():
    image = torch.rand(1, 3, 32, 32)
    result = resize(image.bfloat16(), scale=0.5)
    assert result.dtype == torch.bfloat16
    torch.testing.assert_close(result, resize(image.bfloat16().float(), scale=0.5).bfloat16())


def test_each_picture_is_resized_by_itself():
    images = torch.rand(3, 3, 37, 41)
    batch = resize(images, scale=0.3)
    for i in range(3):
        assert torch.equal(resize(images[i : i + 1], scale=0.3), batch[i : i + 1])


def test_shrinking_does_not_alias_where_opencv_does():
    """A pattern at the pixel rate fades to grey; cv2.INTER_CUBIC keeps it as false detail."""
    stripes = np.tile(np.array([0.0, 0.0, 1.0], dtype=np.float32), (120, 40))
    ours = resize(torch.from_numpy(stripes)[None, None], scale=0.25)[0, 0].numpy()
    theirs = cv2.resize(stripes, (30, 30), interpolation=cv2.INTER_CUBIC)
    assert ours[5:-5, 5:-5].std() < 0.02 < theirs[5:-5, 5:-5].std()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "exactly one"),
        ({"size": (4, 4), "scale": 2.0}, "exactly one"),
        ({"scale": 0.0}, "not positive"),
        ({"scale": math.nan}, "not positive"),
        ({"size": (0, 4)}, "at least 1x1"),
        ({"scale": 2.0, "kernel": "cubic"}, "choose one of bicubic, bilinear, lanczos3, box, nearest"),
    ],
)
def test_wrong_arguments_are_refused_with_the_way_out(arguments, text):
    with pytest.raises(UsageError, match=text):
        resize(torch.rand(1, 3, 8, 8), **arguments)


def test_integers_are_refused():
    with pytest.raises(TypeError, match="floating point"):
        resize(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), scale=2)
