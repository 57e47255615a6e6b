"""What each degradation does to the values, checked against its definition or another library."""

import math

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

from restorekit.degradations import parse
from restorekit.images.resize import resize


def seeds(*values):
    return torch.tensor(values, dtype=torch.int64)


def as_levels(image):
    return np.rint(image[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)


@pytest.mark.parametrize("sigma", [5, 25, 50])
def test_gaussian_noise_has_the_sigma_that_was_asked_for(sigma):
    grey = torch.full((1, 3, 256, 256), 0.5)
    noise = (parse([f"noise:{sigma}"])(grey, seeds(1)).images - grey) * 255
    assert noise.std().item() == pytest.approx(sigma, rel=0.01)
    assert abs(noise.mean().item()) < 0.02 * sigma
    kurtosis = (noise**4).mean() / (noise**2).mean() ** 2
    assert kurtosis.item() == pytest.approx(3, abs=0.05)
    channels = torch.corrcoef(noise[0].flatten(1))
    assert (channels - torch.eye(3)).abs().max() < 0.02
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean() / noise.var()
    assert abs(neighbours.item()) < 0.02


@pytest.mark.parametrize("size", [0.8, 1.0, 2.5])
def test_grains_are_as_large_and_as_strong_as_asked_for_up_to_the_rim(size):
    grey = torch.full((4, 3, 192, 192), 0.5)
    noise = parse([f"noise:20,grain={size}"])(grey, seeds(1, 2, 3, 4)).images - grey
    assert noise.std().item() * 255 == pytest.approx(20, rel=0.05)
    assert noise[..., :2].std().item() * 255 == pytest.approx(20, rel=0.15)
    for other in (noise[..., 1:] * noise[..., :-1], noise[..., 1:, :] * noise[..., :-1, :]):
        # White noise smoothed by a Gaussian correlates over a distance d like exp(-d^2 / (4 size^2)).
        assert other.mean() / noise.var() == pytest.approx(math.exp(-1 / (4 * size**2)), abs=0.05)


def test_a_range_of_grains_is_drawn_for_each_picture():
    grey = torch.full((60, 3, 64, 64), 0.5)
    noise = parse(["noise:20,grain=0-2"])(grey, torch.arange(60)).images - grey
    along = (noise[..., 1:] * noise[..., :-1]).flatten(1).mean(dim=1) / noise.flatten(1).var(dim=1)
    assert along.min() < 0.1
    assert along.max() > 0.8


def test_gray_noise_is_the_same_in_all_channels(photo):
    noise = parse(["noise:25,gray=true"])(photo, seeds(1)).images - photo
    assert torch.allclose(noise[:, 0], noise[:, 1], atol=1e-6)
    assert torch.allclose(noise[:, 0], noise[:, 2], atol=1e-6)


def test_noise_goes_beyond_the_range_unless_told_to_clip():
    white = torch.ones(1, 3, 32, 32)
    assert parse(["noise:25"])(white, seeds(1)).images.max() > 1.1
    assert parse(["noise:25,clip=yes"])(white, seeds(1)).images.max() == 1


def test_a_range_is_drawn_uniformly_for_each_picture():
    grey = torch.full((300, 3, 24, 24), 0.5)
    sigmas = (parse(["noise:10-50"])(grey, torch.arange(300)).images - grey).flatten(1).std(dim=1) * 255
    assert 9 < sigmas.min() < 12
    assert 48 < sigmas.max() < 52
    quarters = torch.histc(sigmas, bins=4, min=10, max=50)
    assert quarters.min() > 50


def test_photon_noise_grows_with_the_root_of_the_light():
    for value in (0.1, 0.4, 0.9):
        grey = torch.full((1, 3, 256, 256), value)
        noisy = parse(["poisson:50"])(grey, seeds(2)).images
        assert noisy.mean().item() == pytest.approx(value, rel=0.01)
        assert noisy.std().item() == pytest.approx((value / 50) ** 0.5, rel=0.01)
        assert torch.allclose((noisy * 50).round(), noisy * 50, atol=1e-3), "no whole photons"


@pytest.mark.parametrize("quality", [5, 40, 95])
@pytest.mark.parametrize(("chroma", "flag"), [("420", 0x221111), ("444", 0x111111)])
def test_jpeg_is_opencvs_round_trip(photo, quality, chroma, flag):
    bgr = np.ascontiguousarray(as_levels(photo)[..., ::-1])
    settings = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, flag]
    wanted = cv2.imdecode(cv2.imencode(".jpg", bgr, settings)[1], cv2.IMREAD_COLOR)
    assert wanted is not None
    got = parse([f"jpeg:{quality},chroma={chroma}"])(photo, seeds(0)).images
    np.testing.assert_array_equal(as_levels(got), wanted[..., ::-1])
    assert torch.equal(got, torch.from_numpy(as_levels(got)).permute(2, 0, 1)[None] / 255)


def test_gray_pictures_stay_gray_through_jpeg(photo):
    result = parse(["gray", "jpeg:20"])(photo, seeds(0)).images
    assert torch.equal(result[:, 0], result[:, 1])
    assert torch.equal(result[:, 0], result[:, 2])


def test_gray_is_bt601_luma(photo):
    wanted = cv2.cvtColor(photo[0].permute(1, 2, 0).numpy(), cv2.COLOR_RGB2GRAY)
    result = parse(["gray"])(photo, seeds(0)).images
    for channel in result[0]:
        np.testing.assert_allclose(channel.numpy(), wanted, atol=1e-6)


@pytest.mark.parametrize("sigma", [0.6, 1.6, 4.0])
def test_gaussian_blur_is_scipys(photo, sigma):
    wanted = ndimage.gaussian_filter(photo[0].double().numpy(), (0, sigma, sigma), mode="mirror", truncate=4)
    got = parse([f"blur:{sigma}"])(photo, seeds(0)).images[0].numpy()
    np.testing.assert_allclose(got, wanted, atol=2e-4)


def test_an_uneven_gaussian_has_its_two_widths_and_its_direction():
    spread = _spread("blur:6,ratio=0.5,angle=90")
    assert spread[0, 0] == pytest.approx(36, rel=0.03)
    assert spread[1, 1] == pytest.approx(9, rel=0.03)
    tilted = _spread("blur:6,ratio=0.5,angle=45")
    assert tilted[0, 1] < -5, "45 degrees anticlockwise goes up to the right"


def test_motion_runs_along_its_angle():
    flat = _spread("blur:12,kind=motion,angle=0")
    assert flat[1, 1] == pytest.approx(13**2 / 12, rel=0.05)
    assert flat[0, 0] < 0.2
    assert _spread("blur:12,kind=motion,angle=45")[0, 1] < -4


def test_defocus_is_a_disc():
    spread = _spread("blur:6,kind=defocus")
    assert spread[0, 0] == pytest.approx(9, rel=0.03)
    assert spread[1, 1] == pytest.approx(9, rel=0.03)
    point = _point_response("blur:6,kind=defocus")
    np.testing.assert_allclose(point[30:35, 30:35], 1 / (np.pi * 36), rtol=0.02)


@pytest.mark.parametrize("kind", ["gaussian", "motion", "defocus"])
def test_no_blur_changes_nothing(photo, kind):
    assert torch.equal(parse([f"blur:0,kind={kind}"])(photo, seeds(0)).images, photo)


@pytest.mark.parametrize("step", ["blur:3", "blur:30,kind=motion", "blur:9,kind=defocus"])
def test_blur_keeps_a_constant_picture_and_never_leaves_the_range(photo, step):
    constant = torch.full((1, 3, 20, 30), 0.3)
    assert torch.equal(parse([step])(constant, seeds(0)).images, constant)
    result = parse([step])(photo, seeds(0)).images
    assert result.min() >= photo.min()
    assert result.max() <= photo.max()


def _point_response(step):
    point = torch.zeros(1, 3, 65, 65, dtype=torch.float64)
    point[..., 32, 32] = 1
    return parse([step])(point, seeds(0)).images[0, 0].numpy()


def _spread(step):
    """Second moments of a blurred point, rows first; positive mixed moment: down to the right."""
    response = _point_response(step)
    assert response.sum() == pytest.approx(1)
    offsets = np.indices(response.shape) - 32
    return np.einsum("iyx,jyx,yx->ij", offsets, offsets, response)


@pytest.mark.parametrize("kernel", ["bicubic", "box"])
def test_downscale_is_the_matlab_compatible_resize_without_overshoot(photo, kernel):
    wanted = resize(photo, scale=0.25, kernel=kernel).clamp(0, 1)
    assert torch.equal(parse([f"downscale:4,kernel={kernel}"])(photo, seeds(0)).images, wanted)


def test_downscale_does_not_cut_off_noise():
    noisy = 1 + 0.2 * torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    result = parse(["downscale:2"])(noisy, seeds(0)).images
    assert result.max() > 1.1
    assert result.mean().item() == pytest.approx(1, abs=0.01)


def test_a_faded_print_has_less_contrast_and_paler_colours(photo):
    images = photo.expand(8, -1, -1, -1)
    faded = parse(["fade:1"])(images, torch.arange(8)).images
    assert (faded.amax(dim=(1, 2, 3)) - faded.amin(dim=(1, 2, 3)) < 0.85 * (photo.max() - photo.min())).all()
    assert (faded.amin(dim=(1, 2, 3)) > photo.min()).all()
    neutral = parse(["fade:1,cast=none"])(images, torch.arange(8)).images
    assert ((neutral.amax(1) - neutral.amin(1)).mean() < 0.8 * (photo.amax(1) - photo.amin(1)).mean()).all()


def test_a_warm_cast_takes_the_blue():
    grey = torch.full((1, 3, 8, 8), 0.6)
    red, green, blue = parse(["fade:0.8,cast=warm"])(grey, seeds(0)).images[0, :, 0, 0].tolist()
    assert blue < green < red


def test_no_fading_changes_nothing(photo):
    assert torch.allclose(parse(["fade:0"])(photo, seeds(0)).images, photo, atol=1e-6)


def test_haze_is_a_mixture_of_the_picture_and_nearly_neutral_light(photo):
    dark, bright = (torch.full_like(photo, value) for value in (0.0, 1.0))
    seeds = torch.tensor([3])
    veil, both, hazy = (parse(["haze:2,light=0.8"])(images, seeds).images for images in (dark, bright, photo))
    transmission = both - veil
    assert (transmission.amax(1) - transmission.amin(1)).max() < 1e-6
    assert torch.allclose(hazy, photo * transmission + veil, atol=1e-6)
    light = veil / (1 - transmission)
    assert ((light - 0.8).abs() < 0.03 + 1e-4).all()
    assert transmission.min().item() == pytest.approx(math.exp(-2), abs=1e-4)
    steps = torch.cat([transmission.diff(dim=2).flatten(), transmission.diff(dim=3).flatten()]).abs()
    assert 0 < steps.max() < 0.1


def test_haze_is_thicker_towards_the_top_more_often_than_not():
    dark = torch.zeros(40, 3, 32, 48)
    veils = parse(["haze:1.5"])(dark, torch.arange(40)).images
    thicker = veils[:, :, :8].mean(dim=(1, 2, 3)) > veils[:, :, -8:].mean(dim=(1, 2, 3))
    assert 0.6 < thicker.float().mean() < 1


def test_no_haze_changes_nothing(photo):
    assert torch.equal(parse(["haze:0"])(photo, seeds(0)).images, photo)


def test_real_damage_differs_from_picture_to_picture_and_is_worse_than_downscaling(photo):
    images = photo.expand(6, -1, -1, -1)
    damaged = parse(["real:2"])(images, torch.arange(6)).images
    clean = resize(photo, scale=0.5)
    errors = (damaged - clean).pow(2).mean(dim=(1, 2, 3)).sqrt()
    assert (errors > 0.01).all()
    assert (errors < 0.35).all()
    assert errors.std() > 0.005
