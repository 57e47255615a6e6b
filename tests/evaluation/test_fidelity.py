"""PSNR, SSIM and errors against implementations of their own, and the laws that they keep."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate
from skimage import data
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from restorekit.errors import PictureError, UsageError
from restorekit.evaluation import Fidelity

ALL = ("psnr", "ssim", "mse", "rmse", "mae")


def close(expected):
    return pytest.approx(expected, abs=1e-10, rel=1e-10)


def pair(dtype=np.uint8, channels=3, shape=(40, 53), noise=9.0, seed=0):
    """A photo and a noisy one."""
    generator = np.random.default_rng(seed)
    clean = data.astronaut()[60 : 60 + shape[0], 150 : 150 + shape[1], :channels].astype(np.float64)
    noisy = np.clip(clean + generator.normal(0, noise, clean.shape), 0, 255)
    unit = 257 if dtype is np.uint16 else 1
    return np.rint(noisy * unit).astype(dtype), np.rint(clean * unit).astype(dtype)


def hole(shape=(40, 53)):
    mask = np.zeros(shape, bool)
    mask[8:27, 11:30] = True
    mask[30, 40] = True
    return mask


# --- the definitions, written out ---------------------------------------------------------------------------------


def in_eight_bits(picture):
    values = np.atleast_3d(picture).astype(float)
    return values / 65535 * 255 if picture.dtype == np.uint16 else values


def prepared(picture, colour, border):
    values = in_eight_bits(picture)
    values = values[border : values.shape[0] - border, border : values.shape[1] - border]
    if colour == "rgb":
        return values
    red, green, blue = (values[..., i % values.shape[2]] / 255 for i in range(3))
    return (65.481 * red + 128.553 * green + 24.966 * blue + 16)[..., None]


def similarity_map(a, b):
    """Wang et al. 2004, one window at a time: an 11 x 11 Gaussian of sigma 1.5."""
    offsets = np.arange(-5, 6)
    window = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    window /= window.sum()
    mean_a, mean_b = correlate(a, window, mode="reflect"), correlate(b, window, mode="reflect")
    variance_a = correlate(a * a, window, mode="reflect") - mean_a**2
    variance_b = correlate(b * b, window, mode="reflect") - mean_b**2
    covariance = correlate(a * b, window, mode="reflect") - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    return luminance * (2 * covariance + c2) / (variance_a + variance_b + c2)


def by_hand(restored, reference, colour="rgb", border=0, mask=None):
    a, b = prepared(restored, colour, border), prepared(reference, colour, border)
    maps = np.stack([similarity_map(a[..., i], b[..., i]) for i in range(a.shape[2])], axis=2)
    difference = (a - b).reshape(-1, a.shape[2])
    if mask is None:
        ssim = maps[5:-5, 5:-5].mean()
    else:
        inside = mask[border : mask.shape[0] - border, border : mask.shape[1] - border].ravel()
        difference = difference[inside]
        ssim = maps.reshape(-1, a.shape[2])[inside].mean()
    mse = np.mean(difference**2)
    return {
        "psnr": 20 * math.log10(255) - 10 * math.log10(mse),
        "ssim": ssim,
        "mse": mse,
        "rmse": math.sqrt(mse),
        "mae": np.mean(np.abs(difference)),
    }


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("colour", ["rgb", "y"])
@pytest.mark.parametrize("border", [0, 4])
@pytest.mark.parametrize("region", ["whole", "mask"])
def test_all_metrics_equal_their_definitions(dtype, channels, colour, border, region):
    restored, reference = pair(dtype, channels)
    mask = hole() if region == "mask" else None
    fidelity = Fidelity(metrics=ALL, colour=colour, crop_border=border, region=region)
    measured = fidelity.measure(restored, reference, mask)
    assert list(measured) == list(ALL)
    assert measured == close(by_hand(restored, reference, colour, border, mask))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rgb_equals_scikit_image(dtype):
    restored, reference = pair(dtype)
    white = np.iinfo(dtype).max
    measured = Fidelity().measure(restored, reference)
    assert measured["psnr"] == close(peak_signal_noise_ratio(reference, restored, data_range=white))
    ssim = structural_similarity(
        *(reference, restored),
        channel_axis=2,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=white,
    )
    assert measured["ssim"] == close(ssim)


def test_black_is_16_and_white_235_in_luma():
    black, white = np.zeros((12, 12, 3), np.uint8), np.full((12, 12, 3), 255, np.uint8)
    fidelity = Fidelity(metrics=("mae",), colour="y")
    assert fidelity.measure(white, black)["mae"] == pytest.approx(219, abs=1e-10)


# --- laws ---------------------------------------------------------------------------------------------------------

PROTOCOLS = st.builds(
    Fidelity, metrics=st.just(ALL), colour=st.sampled_from(["rgb", "y"]), crop_border=st.integers(0, 6)
)


@settings(max_examples=15, deadline=None)
@given(PROTOCOLS, st.integers(0, 99), st.sampled_from([np.uint8, np.uint16]))
def test_metrics_are_symmetric(fidelity, seed, dtype):
    a, b = pair(dtype, seed=seed)
    assert fidelity.measure(a, b) == pytest.approx(fidelity.measure(b, a), rel=1e-12)


@settings(max_examples=10, deadline=None)
@given(PROTOCOLS, st.sampled_from([1, 3]))
def test_equal_pictures_are_perfect(fidelity, channels):
    _, picture = pair(channels=channels)
    assert fidelity.measure(picture, picture.copy()) == pytest.approx(
        {"psnr": math.inf, "ssim": 1.0, "mse": 0, "rmse": 0, "mae": 0}
    )


@settings(max_examples=10, deadline=None)
@given(PROTOCOLS, st.integers(0, 99))
def test_more_noise_is_worse(fidelity, seed):
    scores = [fidelity.measure(*pair(noise=noise, seed=seed)) for noise in (3, 12, 40)]
    for better, worse in itertools.pairwise(scores):
        assert better["psnr"] > worse["psnr"]
        assert better["ssim"] > worse["ssim"]
        assert better["mae"] < worse["mae"]


@settings(max_examples=10, deadline=None)
@given(PROTOCOLS)
def test_sixteen_bits_of_the_same_picture_give_the_same_numbers(fidelity):
    restored, reference = pair()
    widened = restored.astype(np.uint16) * 257
    assert fidelity.measure(widened, reference) == pytest.approx(fidelity.measure(restored, reference), rel=1e-9)


@pytest.mark.parametrize("colour", ["rgb", "y"])
def test_a_grey_picture_counts_as_three_equal_channels(colour):
    restored, reference = pair()
    grey = restored[..., :1]
    fidelity = Fidelity(metrics=ALL, colour=colour)
    expected = fidelity.measure(np.repeat(grey, 3, axis=2), reference)
    assert fidelity.measure(grey, reference) == close(expected)
    assert fidelity.measure(grey[..., 0], reference) == close(expected)
    assert fidelity.measure(reference, grey) == pytest.approx(fidelity.measure(reference, np.repeat(grey, 3, 2)))


def test_what_lies_outside_the_hole_does_not_count_in_the_errors():
    restored, reference = pair()
    changed = np.where(hole()[..., None], restored, 0).astype(np.uint8)
    fidelity = Fidelity(metrics=("psnr", "mse", "mae"), region="mask")
    assert fidelity.measure(changed, reference, hole()) == fidelity.measure(restored, reference, hole())


def test_what_lies_in_the_border_does_not_count():
    restored, reference = pair()
    changed = restored.copy()
    changed[:4] = changed[-4:] = changed[:, :4] = changed[:, -4:] = 0
    fidelity = Fidelity(metrics=ALL, crop_border=4)
    assert fidelity.measure(changed, reference) == fidelity.measure(restored, reference)


@pytest.mark.parametrize("colour", ["rgb", "y"])
def test_the_numbers_do_not_depend_on_where_arrays_lie_in_memory(colour):
    restored, reference = pair()
    fidelity = Fidelity(metrics=ALL, colour=colour)
    expected = fidelity.measure(restored, reference)
    for offset in range(8):
        moved = np.empty(restored.nbytes + offset, np.uint8)[offset:].reshape(restored.shape)
        moved[:] = restored
        assert fidelity.measure(moved, np.asfortranarray(reference)) == expected


def test_arguments_stay_as_they_were():
    restored, reference = pair()
    before = restored.copy(), reference.copy()
    Fidelity(metrics=ALL, colour="y").measure(restored, reference)
    assert (restored == before[0]).all()
    assert (reference == before[1]).all()


# --- what goes wrong ----------------------------------------------------------------------------------------------


def failing(fidelity, restored, reference, mask=None):
    with pytest.raises(PictureError) as caught:
        fidelity.measure(restored, reference, mask)
    return caught.value.reason


def test_different_sizes_are_named_with_the_way_out():
    restored, reference = pair()
    assert "52x40 restored, 53x40 reference; crop the reference" in failing(Fidelity(), restored[:, 1:], reference)
    assert "26x20 restored, 53x40 reference; restore to" in failing(Fidelity(), restored[::2, 1::2], reference)


def test_pictures_that_are_too_small_are_refused():
    restored, reference = pair(shape=(10, 30))
    assert "30x10 is too small for the 11 px window of SSIM; measure psnr alone" in failing(
        Fidelity(), restored, reference
    )
    assert Fidelity(metrics=("psnr",)).measure(restored, reference)["psnr"] > 20
    assert "nothing is left of 30x10" in failing(Fidelity(crop_border=5), restored, reference)


@pytest.mark.parametrize(
    ("mask", "message"),
    [(None, "has no mask"), (np.zeros((40, 53), bool), "marks nothing"), (np.ones((3, 2), bool), "the mask is 2x3")],
)
def test_a_hole_that_is_not_there_is_named(mask, message):
    assert message in failing(Fidelity(region="mask"), *pair(), mask)


@pytest.mark.parametrize("wrong", [{"metrics": ("pnsr",)}, {"colour": "hsv"}, {"region": "hole"}, {"crop_border": -1}])
def test_wrong_protocols_are_refused(wrong):
    with pytest.raises(UsageError):
        Fidelity(**wrong)


def test_the_facts_hold_what_decides_the_numbers():
    facts = Fidelity(metrics=ALL, colour="y", crop_border=4, region="mask").facts()
    assert facts == {
        "metrics": "psnr, ssim, mse, rmse, mae",
        "colour": "y",
        "crop_border": 4,
        "region": "mask",
        "ssim": "gaussian 11x11 sigma 1.5, population covariance",
        "mse": "on 0..255",
        "rmse": "on 0..255",
        "mae": "on 0..255",
    }
    assert "ssim" not in Fidelity(metrics=("psnr",)).facts()
