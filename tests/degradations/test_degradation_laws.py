"""Laws that hold for every degradation."""

import hashlib
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.degradations import DEGRADATIONS, draw_mask, parse

#: Every degradation, with each of its kinds.
STEPS = [
    "blur:1.6",
    "blur:0.5-3,ratio=0.2-1",
    "blur:2-9,kind=motion",
    "blur:1-4,kind=defocus",
    "downscale:4",
    "downscale:3,kernel=lanczos3",
    "dust:20-80",
    "dust:15,hairs=3,tone=dark",
    "fade",
    "fade:0.4,cast=warm",
    "gray",
    "haze",
    "haze:1-4,light=0.5",
    "holes",
    "holes:center,fill=mean",
    "holes:random,coverage=0.2-0.3,fill=noise",
    "jpeg:20-60",
    "jpeg:40,chroma=444",
    "noise:5-50",
    "noise:25,gray=true,clip=true",
    "noise:5-50,grain=0-3",
    "poisson:20-200",
    "poisson:50,gray=true,clip=true",
    "real:2",
    "cracks",
    "cracks:2,flakes=0,tone=dark",
    "scratches",
    "scratches:4,tilt=0-90,tone=light",
    "text:3,color=black",
    "text:2,words=Hello,opacity=0.3-0.8",
]
MARKING = [step for step in STEPS if step.split(":")[0] in ("holes", "cracks", "scratches", "dust", "text")]
RESIZING = ("downscale", "real")
FIXED = (
    "blur:1.6",
    "downscale:4",
    "downscale:3,kernel=lanczos3",
    "gray",
    "holes:center,fill=mean",
    "jpeg:40,chroma=444",
)
UNBOUNDED = ("noise:5-50", "noise:5-50,grain=0-3", "poisson:20-200")


def seeds(*values):
    return torch.tensor(values, dtype=torch.int64)


def test_every_degradation_is_held_to_the_laws():
    assert {step.partition(":")[0] for step in STEPS} == set(DEGRADATIONS)


@pytest.mark.parametrize("step", STEPS)
def test_damages_the_picture_and_keeps_its_shape_and_range(photo, step):
    before = photo.clone()
    result = parse([step])(photo, seeds(3))
    assert torch.equal(photo, before), "the input was written to"
    assert result.images.dtype == photo.dtype
    assert torch.isfinite(result.images).all()
    if step.startswith(RESIZING):
        factor = int(step.split(":")[1][0])
        assert result.images.shape == (1, 3, photo.shape[2] // factor, -(-photo.shape[3] // factor))
    else:
        assert result.images.shape == photo.shape
        assert not torch.equal(result.images, photo)
    if step not in UNBOUNDED:
        assert result.images.min() >= 0
        assert result.images.max() <= 1


@pytest.mark.parametrize("step", STEPS)
def test_a_picture_is_the_same_alone_and_in_any_batch(photo, step):
    recipe = parse(["noise:2", step])
    batch = torch.cat([photo.flip(-1), photo, photo * 0.5, photo.flip(-2), photo])
    together = recipe(batch, seeds(1, 2, 3, 4, 5))
    shuffled = recipe(batch[[3, 1]], seeds(4, 2))
    alone = recipe(batch[1:2], seeds(2))
    for result, place in ((together, 1), (shuffled, 1), (alone, 0)):
        assert torch.equal(result.images[place], alone.images[0])
        if alone.masks is not None:
            assert result.masks is not None
            assert torch.equal(result.masks[place], alone.masks[0])
    assert torch.equal(together.images[3], shuffled.images[0])


@pytest.mark.parametrize("step", [step for step in STEPS if step not in FIXED])
def test_another_seed_gives_another_damage(photo, step):
    results = parse([step])(torch.cat([photo, photo]), seeds(1, 2)).images
    assert not torch.equal(results[0], results[1])


def test_the_same_seed_gives_the_same_bytes_in_another_process():
    program = f"""
import hashlib, sys, torch
from restorekit.degradations import parse
photo = torch.linspace(0.1, 0.9, 3 * 48 * 64).reshape(1, 3, 48, 64)
for step in {STEPS!r}:
    print(hashlib.sha256(parse([step])(photo, torch.tensor([12345])).images.numpy().tobytes()).hexdigest())
"""
    gradient = torch.linspace(0.1, 0.9, 3 * 48 * 64).reshape(1, 3, 48, 64)
    results = [parse([step])(gradient, seeds(12345)).images for step in STEPS]
    ours = [hashlib.sha256(result.numpy().tobytes()).hexdigest() for result in results]
    theirs = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert theirs == ours


@pytest.mark.parametrize("step", MARKING)
def test_outside_the_mask_nothing_changes_and_inside_it_does(photo, step):
    images = photo.expand(4, -1, -1, -1)
    result = parse([step])(images, seeds(1, 2, 3, 4))
    assert result.masks is not None
    assert result.masks.shape == (4, 1, *photo.shape[2:])
    assert set(result.masks.unique().tolist()) == {0.0, 1.0}
    changed = (result.images != images).any(dim=1, keepdim=True)
    marked = result.masks > 0
    assert not (changed & ~marked).any()
    assert (changed & marked).sum() > 0.98 * marked.sum()


@pytest.mark.parametrize("step", MARKING)
def test_masks_alone_are_those_of_the_damaged_pictures(photo, step):
    images = photo.expand(3, -1, -1, -1)
    wanted = parse(["noise:10", step])(images, seeds(7, 8, 9)).masks
    assert wanted is not None
    assert torch.equal(draw_mask(step, (96, 128), seeds(7, 8, 9), index=1), wanted)


def test_masks_add_up_over_the_steps_and_those_that_came_with_the_picture(photo):
    given_mask = torch.zeros(1, 1, 96, 128)
    given_mask[..., :5, :5] = 1
    result = parse(["holes:center", "scratches:5"])(photo, seeds(4), given_mask)
    holes = draw_mask("holes:center", (96, 128), seeds(4))
    scratches = draw_mask("scratches:5", (96, 128), seeds(4), index=1)
    assert result.masks is not None
    assert torch.equal(result.masks, torch.maximum(torch.maximum(given_mask, holes), scratches))


@pytest.mark.parametrize("step", ["downscale:4", "real:4", "downscale:3"])
def test_masks_follow_a_change_of_size_and_lose_no_damage(photo, step):
    mask = torch.zeros(1, 1, 96, 128)
    mask[..., 41, 70] = 1
    factor = int(step[-1])
    result = parse([step])(photo, seeds(0), mask)
    assert result.masks is not None
    assert result.masks.shape[2:] == result.images.shape[2:]
    assert result.masks[0, 0, 41 // factor, 70 // factor] == 1
    assert 1 <= result.masks.sum() <= 4


def test_without_marking_steps_there_are_no_masks(photo):
    assert parse(["noise:25", "jpeg:40"])(photo, seeds(1)).masks is None


def test_steps_are_done_in_order_and_draw_apart(photo):
    twice = parse(["noise:10", "noise:10"])(photo, seeds(1)).images - photo
    once = parse(["noise:10"])(photo, seeds(1)).images - photo
    assert not torch.allclose(twice, 2 * once)
    small_noise = parse(["noise:25", "downscale:4"])(photo, seeds(1)).images
    noise_on_small = parse(["downscale:4", "noise:25"])(photo, seeds(1)).images
    clean = parse(["downscale:4"])(photo, seeds(1)).images
    assert (small_noise - clean).std() < 0.5 * (noise_on_small - clean).std()


def test_an_empty_batch_stays_empty(photo):
    for step in STEPS:
        result = parse([step])(photo[:0], seeds())
        assert len(result.images) == 0


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(STEPS), st.integers(9, 40), st.integers(9, 40), st.integers(-(2**63), 2**63 - 1))
def test_any_size_and_any_seed_work(step, height, width, seed):
    image = torch.linspace(0, 1, 3 * height * width).reshape(1, 3, height, width)
    result = parse([step])(image, seeds(seed))
    assert torch.isfinite(result.images).all()
    assert torch.equal(parse([step])(image, seeds(seed)).images, result.images)


@pytest.mark.parametrize("step", STEPS)
def test_one_pixel_is_a_picture_too(step):
    assert torch.isfinite(parse([step])(torch.full((1, 3, 1, 1), 0.5), seeds(1)).images).all()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("step", STEPS)
def test_a_gpu_sees_the_same_damage(photo, step):
    here = parse([step])(photo, seeds(1))
    there = parse([step])(photo.cuda(), seeds(1).cuda())
    assert there.images.is_cuda
    # A last-bit difference before a rounding step (JPEG, photon counts) may become a whole level.
    assert (there.images.cpu() - here.images).abs().mean() < 1e-3
