"""The classical methods on real pictures: what each is worth, and the laws that all of them keep."""

from __future__ import annotations

import subprocess
import sys

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from restorekit.errors import PictureError, UsageError
from restorekit.plugin import Batch, Detector, Geometry, Restorer
from restorekit.registry import registry

INPAINTERS = ["interpolation", "interpolation:nearest", "telea", "navier-stokes", "biharmonic", "diffusion"]
DENOISERS = ["nlmeans:20", "bilateral:20", "median:3", "wavelet:20", "tv:0.05", "sliding-dct:20"]
LOCAL = [step for step in DENOISERS if step != "wavelet:20"]
ENHANCERS = ["unsharp", "clahe", "white-balance", "dehaze"]
UPSCALERS = ["nearest", "bicubic", "lanczos"]
AUTOMATIC = ["nlmeans", "bilateral", "wavelet", "tv", "sliding-dct", "deblock"]
RESTORERS = INPAINTERS + DENOISERS + ENHANCERS + UPSCALERS + AUTOMATIC + ["median:7", "deblock:20"]


def generator(step: str) -> Restorer:
    loaded = registry().load(step).generator
    assert isinstance(loaded, Restorer)
    return loaded


def detect(step: str, images: Tensor) -> Tensor:
    detector = registry().load(step).generator
    assert isinstance(detector, Detector)
    return detector.detect(Batch(images))


def restore(step: str, images: Tensor, mask: Tensor | None = None, bits: int = 8) -> Tensor:
    with torch.no_grad():
        return generator(step).restore(Batch(images, masks=mask, bits=bits))


def tensor(pixels: NDArray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32) / 255).permute(2, 0, 1)[None]


def psnr(a: Tensor, b: Tensor, where: Tensor | None = None) -> float:
    error = (a.clamp(0, 1) - b) ** 2
    if where is not None:
        error = error[where.expand_as(error) > 0]
    return float(-10 * torch.log10(error.mean()))


@pytest.fixture(scope="module")
def astronaut() -> Tensor:
    return tensor(skimage.data.astronaut()[40:200, 140:300])


@pytest.fixture(scope="module")
def noisy(astronaut: Tensor) -> Tensor:
    noise = torch.randn(astronaut.shape, generator=torch.Generator().manual_seed(0))
    return ((astronaut + noise * 20 / 255).clamp(0, 1) * 255).round() / 255


@pytest.fixture(scope="module")
def scratches() -> Tensor:
    mask = np.zeros((160, 160), np.uint8)
    for start, end in [((5, 5), (150, 90)), ((20, 150), (120, 10)), ((0, 80), (159, 84))]:
        cv2.line(mask, start, end, 1, 3)
    cv2.circle(mask, (110, 120), 6, 1, -1)
    return torch.from_numpy(mask)[None, None].float()


@pytest.mark.parametrize(
    ("step", "gain"),
    [
        ("nlmeans:20", 6.0),
        ("nlmeans", 6.0),
        ("bilateral:20", 5.0),
        ("median:3", 3.0),
        ("wavelet:20", 6.0),
        ("wavelet", 6.0),
        ("tv:0.055", 4.5),
        ("tv", 4.5),
        ("sliding-dct:20", 7.0),
        ("sliding-dct", 7.0),
    ],
)
def test_denoisers_raise_psnr_on_a_noisy_photograph(step: str, gain: float, astronaut: Tensor, noisy: Tensor):
    assert psnr(restore(step, noisy), astronaut) > psnr(noisy, astronaut) + gain


def test_the_transform_knows_that_grey_pictures_have_one_noise(astronaut: Tensor):
    grey = astronaut.mean(dim=1, keepdim=True).expand(-1, 3, -1, -1)
    noise = torch.randn(1, 1, *grey.shape[2:], generator=torch.Generator().manual_seed(3)) * 20 / 255
    noisy = (grey + noise).clamp(0, 1)
    whole = restore("sliding-dct:20", noisy)
    assert psnr(whole, grey) > psnr(noisy, grey) + 5.5
    # Where only a part of a picture is grey, that is seen in each block by itself.
    half = noisy.clone()
    half[..., :80] = restore("sliding-dct:20", half)[..., :80] * torch.tensor([1.0, 0.9, 0.8])[:, None, None]
    assert torch.equal(restore("sliding-dct:20", half)[..., 100:], whole[..., 100:])


@pytest.mark.parametrize(
    ("step", "least"),
    [
        ("interpolation", 24.0),
        ("interpolation:nearest", 22.0),
        ("telea", 23.0),
        ("navier-stokes", 22.7),
        ("biharmonic", 25.0),
        ("diffusion", 23.7),
    ],
)
def test_inpainters_continue_what_surrounds_a_scratch(step: str, least: float, astronaut: Tensor, scratches: Tensor):
    damaged = torch.where(scratches > 0, torch.ones_like(astronaut), astronaut)
    restored = restore(step, damaged, scratches)
    assert psnr(restored, astronaut, scratches) > least
    assert torch.equal(restored * (1 - scratches), astronaut * (1 - scratches))


@pytest.mark.parametrize("step", INPAINTERS)
def test_what_a_hole_contains_is_never_looked_at(step: str, astronaut: Tensor, scratches: Tensor):
    contents = torch.rand(astronaut.shape, generator=torch.Generator().manual_seed(1))
    filled = torch.where(scratches > 0, contents, astronaut)
    assert torch.equal(restore(step, astronaut, scratches), restore(step, filled, scratches))


@pytest.mark.parametrize("step", INPAINTERS)
def test_an_empty_mask_changes_nothing_and_a_full_one_is_refused(step: str, astronaut: Tensor):
    mask = torch.zeros(1, 1, 160, 160)
    assert torch.equal(restore(step, astronaut, mask), astronaut)
    with pytest.raises(PictureError, match="covers the whole picture; nothing to repair from"):
        restore(step, astronaut, 1 - mask)


@pytest.mark.parametrize("step", INPAINTERS)
def test_a_hole_at_the_corner_is_filled(step: str):
    ramp = torch.linspace(0.3, 0.6, 40).expand(1, 3, 40, 40).contiguous()
    mask = torch.zeros(1, 1, 40, 40)
    mask[..., :6, :6] = 1
    mask[..., 30:, 20:] = 1
    restored = restore(step, torch.where(mask > 0, torch.zeros_like(ramp), ramp), mask)
    assert (restored - ramp).abs().max() < 0.15


@pytest.mark.parametrize(("step", "least"), [("diffusion", 19.5), ("biharmonic:1000", 19.0), ("interpolation", 19.5)])
def test_a_hole_too_large_for_a_direct_solution_is_filled_smoothly(step: str, least: float):
    photo = tensor(skimage.data.chelsea()[:280, :280])
    mask = torch.zeros(1, 1, 280, 280)
    mask[..., 200:270, 20:260] = 1
    restored = restore(step, photo * (1 - mask), mask)
    assert psnr(restored, photo, mask) > least
    jump = (restored[..., 199, 20:260] - restored[..., 200, 20:260]).abs().mean()
    assert jump < 1.5 * (photo[..., 199, 20:260] - photo[..., 198, 20:260]).abs().mean() + 0.01


def test_heat_in_a_very_large_hole_stays_between_the_extremes_of_its_rim():
    photo = tensor(skimage.data.astronaut())
    mask = torch.zeros(1, 1, 512, 512)
    mask[..., 60:460, 80:440] = 1
    inside = restore("diffusion", photo, mask)[..., 60:460, 80:440]
    rim = torch.nn.functional.max_pool2d(mask, 3, 1, 1) - mask
    for channel in range(3):
        values = photo[0, channel][rim[0, 0] > 0]
        assert inside[0, channel].min() >= values.min() - 1e-3
        assert inside[0, channel].max() <= values.max() + 1e-3
    curvature = inside[..., 2:, 1:-1] + inside[..., :-2, 1:-1] + inside[..., 1:-1, 2:] + inside[..., 1:-1, :-2]
    assert (curvature - 4 * inside[..., 1:-1, 1:-1]).abs().mean() < 1e-4


@pytest.mark.parametrize(("quality", "gain"), [(10, 0.5), (20, 0.5), (40, 0.3)])
@pytest.mark.parametrize("known", [True, False])
def test_deblocking_raises_psnr_of_a_jpeg(quality: int, gain: float, known: bool):
    pixels = skimage.data.coffee()[100:260, 200:360]
    jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    decoded = tensor(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR))[..., ::-1])
    restored = restore(f"deblock:{quality}" if known else "deblock", decoded)
    assert psnr(restored, tensor(pixels)) > psnr(decoded, tensor(pixels)) + gain


def test_deblocking_leaves_a_picture_alone_that_was_never_compressed(astronaut: Tensor):
    smooth = torch.nn.functional.avg_pool2d(astronaut, 3, 1, 1)
    assert torch.equal(restore("deblock", smooth), smooth)


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_lanczos_beats_bicubic_beats_nearest(scale: int):
    photo = tensor(skimage.data.coffee()[60:180, 200:320])
    small = torch.nn.functional.interpolate(photo, scale_factor=1 / scale, mode="bicubic", antialias=True).clamp(0, 1)
    quality = [psnr(restore(f"{name}:{scale}", small), photo) for name in ("nearest", "bicubic", "lanczos")]
    assert quality == sorted(quality)
    assert quality[2] > quality[0] + 1


def test_clahe_widens_contrast_and_keeps_the_hue():
    dull = tensor(skimage.data.astronaut()[:160, :160] * 0.3 + 90)
    restored = restore("clahe:3", dull)
    assert restored.mean(1).std() > 1.2 * dull.mean(1).std()
    grey = dull.mean(1, keepdim=True).expand(-1, 3, -1, -1)
    assert restore("clahe:3", grey).std(dim=1).max() < 0.01


def test_clahe_with_the_least_clip_changes_next_to_nothing(astronaut: Tensor):
    assert (restore("clahe:1", astronaut) - astronaut).abs().max() < 2 / 255


@pytest.mark.parametrize("method", ["shades-of-grey", "grey-world", "white-patch"])
def test_white_balance_undoes_a_colour_cast(method: str):
    photo = tensor(skimage.data.coffee()[:160, :160])
    once = restore(f"white-balance:{method}", photo)
    linear = photo**2.2 * torch.tensor([0.8, 0.6, 0.35]).view(1, 3, 1, 1)
    again = restore(f"white-balance:{method}", linear ** (1 / 2.2))
    ratios = [(picture[:, 0] / picture[:, 2].clamp_min(0.02)).median() for picture in (once, again)]
    assert abs(ratios[0] / ratios[1] - 1) < 0.15


def test_dehazing_brings_a_hazy_picture_nearer_to_the_clear_one():
    clear = tensor(skimage.data.coffee()[:200, :300])
    depth = torch.linspace(0.35, 0.8, 200).view(1, 1, 200, 1)
    hazy = clear * depth + 0.9 * (1 - depth)
    assert psnr(restore("dehaze", hazy), clear) > psnr(hazy, clear) + 3


def test_unsharp_sharpens_and_a_threshold_spares_the_noise(astronaut: Tensor):
    def detail(image: Tensor) -> Tensor:
        return (image[..., 1:] - image[..., :-1]).abs().mean()

    assert detail(restore("unsharp:1", astronaut)) > 1.2 * detail(astronaut)
    assert torch.equal(restore("unsharp:1,threshold=255", astronaut), astronaut)
    assert torch.equal(restore("unsharp:0", astronaut), astronaut)


def test_top_hat_finds_scratches_of_either_tone():
    photo = (skimage.data.astronaut()[:200, :200] * 0.5 + 60).astype(np.uint8)
    drawn = np.zeros((200, 200), np.uint8)
    cv2.line(drawn, (10, 30), (90, 190), 1, 2)
    for tone, value in (("bright", 255), ("dark", 0)):
        scratched = cv2.GaussianBlur(photo, (0, 0), 2)
        scratched[drawn > 0] = value
        found = detect(f"top-hat,tone={tone}", tensor(scratched))[0, 0].numpy() >= 0.5
        assert found[drawn > 0].mean() > 0.8
        assert found[cv2.dilate(drawn, np.ones((9, 9))) == 0].mean() < 0.02


@pytest.mark.parametrize("step", [step for step in RESTORERS if step != "nearest"])
def test_sixteen_bit_pictures_stay_sixteen_bit_precise(step: str):
    ramp = torch.linspace(0.2, 0.7, 96 * 96).view(1, 1, 96, 96).expand(-1, 3, -1, -1)
    images = (ramp * 65535).round() / 65535
    mask = torch.zeros(1, 1, 96, 96)
    mask[..., 40:70, 30:60] = 1
    restored = restore(step, images, mask, bits=16)
    assert len(torch.unique((restored * 65535).round())) > 512
    if step.split(":")[0] not in ("clahe", "white-balance", "dehaze", *UPSCALERS):
        error = (restored - images)[..., 15:-15, 15:-15].abs()  # a filter may bend a ramp at the border
        assert error.mean() < (1.5 if step in INPAINTERS else 0.5) / 255


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (5, 3), (2, 9), (17, 16)])
@pytest.mark.parametrize("step", RESTORERS)
def test_tiny_pictures_come_back_finite_and_in_range(step: str, size: tuple[int, int]):
    images = torch.rand((2, 3, *size), generator=torch.Generator().manual_seed(3)).round()
    mask = torch.zeros(2, 1, *size)
    if size != (1, 1):
        mask[..., 0, 0] = mask[..., -1, size[1] // 2 :] = 1
        mask[..., -1, 0] = 0
    restored = restore(step, images, mask)
    scale = generator(step).geometry.scale
    assert restored.shape == (2, 3, scale * size[0], scale * size[1])
    assert torch.isfinite(restored).all()
    assert restored.min() >= 0
    assert restored.max() <= 1


@pytest.mark.parametrize("step", ["top-hat", "top-hat:31,tone=both"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 3)])
def test_tiny_pictures_can_be_searched_for_scratches(step: str, size: tuple[int, int]):
    assert detect(step, torch.rand(1, 3, *size)).shape == (1, 1, *size)


@pytest.mark.parametrize("step", [*LOCAL, *UPSCALERS, "median:7", "deblock:20", "unsharp", "tv:2,iterations=200"])
def test_what_lies_beyond_the_halo_does_not_matter(step: str, noisy: Tensor):
    geometry: Geometry = generator(step).geometry
    assert geometry.halo is not None
    edge, scale = 80, geometry.scale
    changed = noisy.clone()
    changed[..., edge + geometry.halo :] = 1 - changed[..., edge + geometry.halo :].roll(7, dims=2)
    before, after = restore(step, noisy), restore(step, changed)
    assert (before - after)[..., : edge * scale].abs().max() <= 1 / 255
    assert (before - after).abs().max() > 1 / 255


@pytest.mark.parametrize("step", RESTORERS)
def test_the_same_call_gives_the_same_bytes_and_leaves_its_input(step: str, noisy: Tensor, scratches: Tensor):
    given_images, given_mask = noisy.clone(), scratches.clone()
    assert torch.equal(restore(step, given_images, given_mask), restore(step, noisy, scratches))
    assert torch.equal(given_images, noisy)
    assert torch.equal(given_mask, scratches)


@pytest.mark.parametrize("step", ["nlmeans", "sliding-dct", "deblock:20", "clahe", "diffusion"])
def test_pictures_of_a_batch_do_not_touch_each_other(step: str, noisy: Tensor, scratches: Tensor):
    together = restore(step, torch.cat([noisy, noisy.flip(-1) * 0.5]), torch.cat([scratches, scratches.flip(-1)]))
    alone = restore(step, noisy.flip(-1) * 0.5, scratches.flip(-1))
    assert torch.allclose(together[1:], alone, atol=1e-6)


@settings(max_examples=15, deadline=None)
@given(value=st.floats(0, 1, width=32), step=st.sampled_from([*DENOISERS, *INPAINTERS, *UPSCALERS, "unsharp"]))
def test_a_flat_picture_stays_flat(value: float, step: str):
    images = torch.full((1, 3, 24, 24), value)
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 8:14, 8:14] = 1
    assert (restore(step, images, mask) - value).abs().max() < 1e-4


@pytest.mark.parametrize("step", [*DENOISERS, *ENHANCERS, *UPSCALERS, "deblock:20", "deblock"])
def test_a_grey_picture_stays_grey(step: str, noisy: Tensor):
    grey = noisy[:, :1].expand(-1, 3, -1, -1)
    restored = restore(step, grey)
    assert (restored - restored.mean(1, keepdim=True)).abs().max() < 2e-3


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("nlmeans:foo", "sigma=foo is not allowed"),
        ("nlmeans:-3", "sigma=-3 is not allowed"),
        ("median:4", "odd number of pixels"),
        ("bicubic:9", "scale=9 is not allowed"),
        ("bicubic:2.5", "scale=2.5 is not allowed"),
        ("deblock:0", "quality=0 is not allowed"),
        ("white-balance:blue", "method=blue is not allowed"),
        ("diffusion:3", "no main choice"),
        ("telea,radios=3", "did you mean radius"),
    ],
)
def test_a_wrong_choice_is_explained_in_one_line(step: str, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        registry().load(step)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("package", ["restorekit_classical", "restorekit_auto"])
def test_listing_a_plugin_imports_nothing_heavy(package: str):
    heavy = ["torch", "cv2", "skimage", "scipy", "numpy", "pydantic"]
    code = (
        f"import sys, {package} as p; list(p.restorekit_generators()); print([m for m in {heavy} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
