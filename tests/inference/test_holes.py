"""Fixed-size networks: each hole is cropped with its surroundings and pasted where it is, and nowhere else."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.contract import Geometry
from restorekit.inference.holes import crops_for

from .fakes import Restores, any_picture, identity, invert, job, kinds, noise, picture, restoration, restored, seeds

SIZES = st.tuples(st.sampled_from([5, 8, 32]), st.sampled_from([5, 12, 32]))


def specks(seed: int, height: int, width: int, count: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(count):
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[y : y + rng.integers(1, 1 + height // 2), x : x + rng.integers(1, 1 + width // 2)] = True
    return mask


@settings(deadline=None, max_examples=80)
@given(seeds, st.integers(2, 120), st.integers(2, 120), st.integers(0, 6), SIZES)
def test_every_pixel_of_every_hole_is_exactly_one_crops_own(seed, height, width, count, size):
    mask = specks(seed, height, width, count)
    owned = np.zeros((height, width), int)
    for crop in crops_for(mask.shape, mask, size):
        assert 0 <= crop.top < crop.bottom <= height
        assert 0 <= crop.left < crop.right <= width
        own = crop.own(mask)
        assert own.any()
        owned[crop.slices] += own
    np.testing.assert_array_equal(owned, mask)


@settings(deadline=None, max_examples=80)
@given(seeds, st.integers(2, 120), st.integers(2, 120), SIZES)
def test_a_crop_is_twice_its_hole_no_smaller_than_the_network_and_of_its_aspect_where_the_picture_allows(
    seed, height, width, size
):
    mask = specks(seed, height, width, 1)
    (crop,) = crops_for(mask.shape, mask, size)
    rows, columns = np.nonzero(mask.any(axis=1))[0], np.nonzero(mask.any(axis=0))[0]
    hole = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    sides = crop.bottom - crop.top, crop.right - crop.left
    for side, length, own, wanted in zip(sides, mask.shape, hole, size, strict=True):
        assert side >= min(length, 2 * own, max(wanted, 2 * own))
        assert side >= min(length, wanted)
    if sides[0] < height and sides[1] < width:
        assert abs(sides[0] / sides[1] * size[1] / size[0] - 1) <= 1.1 / min(sides)


def test_a_hole_in_the_corner_is_cropped_inside_the_picture():
    mask = np.zeros((100, 100), bool)
    mask[95:, 96:] = True
    (crop,) = crops_for(mask.shape, mask, (32, 32))
    assert (crop.top, crop.bottom, crop.left, crop.right) == (68, 100, 68, 100)


def test_near_specks_share_a_crop_and_far_ones_do_not():
    mask = np.zeros((200, 200), bool)
    mask[10, 10] = mask[14, 12] = mask[150, 160] = True
    assert len(crops_for(mask.shape, mask, (32, 32))) == 2


class Looking:
    """Fills holes with the mean of what it is shown around them, and remembers what it was shown."""

    def __init__(self, size):
        self.geometry = Geometry(size=size, needs_mask=True)
        self.shown: list[tuple[int, ...]] = []

    def restore(self, batch):
        self.shown.append(tuple(batch.images.shape))
        around = 1 - batch.masks
        mean = (batch.images * around).sum((2, 3), keepdim=True) / around.sum((2, 3), keepdim=True).clamp(min=1)
        return torch.where(batch.masks > 0, mean, batch.images)


@pytest.mark.parametrize("size", [(16, 16), (24, 40), (700, 600)])
@pytest.mark.parametrize("tile", [None, 16])
def test_a_fixed_size_network_is_only_ever_given_its_size(size, tile):
    looking = Looking(size)
    mask = specks(3, 90, 110, 4)
    restored(any_picture(0, 90, 110, (np.uint8, 3, False)), "inpaint", mask, inpaint=looking, tile=tile)
    assert {shape[2:] for shape in looking.shown} == {size}


def test_each_hole_is_filled_from_its_own_surroundings():
    pixels = np.zeros((200, 200), np.uint8)
    pixels[:, 100:] = 200
    mask = np.zeros((200, 200), bool)
    mask[20:24, 20:24] = mask[30:34, 180:184] = True
    pixels[mask] = 90
    result = restored(picture(pixels), "inpaint", mask, inpaint=Looking((32, 32))).pixels[..., 0]
    assert (result[20:24, 20:24] == 0).all()
    assert (result[30:34, 180:184] == 200).all()


def test_a_hole_that_reaches_into_anothers_crop_is_filled_by_its_own():
    """The wide hole ends inside the tall one's crop, where its surroundings are cut off."""
    pixels = np.full((256, 300), 100, np.uint8)
    mask = np.zeros((256, 300), bool)
    wide, tall = np.s_[26:30, 150:250], np.s_[66:146, 100:104]
    mask[wide] = mask[tall] = True
    first, second = crops_for(mask.shape, mask, (64, 64))
    assert second.top <= 26
    assert second.right > 160
    assert first.part != second.part
    ones = []

    def count(batch):
        ones.append(1)
        return torch.full_like(batch.images, len(ones) / 5)

    inpaint = Restores(count, Geometry(size=(64, 64), needs_mask=True))
    result = restored(picture(pixels), "inpaint", mask, inpaint=inpaint).pixels[..., 0]
    assert len(ones) == 2
    assert (result[wide] == 51).all()
    assert (result[tall] == 102).all()


def test_without_a_mask_the_whole_picture_goes_through():
    given_ = any_picture(0, 40, 60, (np.uint8, 3, False))
    shown = []

    def look(batch):
        shown.append((tuple(batch.images.shape), batch.masks))
        return 1 - batch.images

    result = restored(given_, "sized", sized=Restores(look, Geometry(size=(40, 60))))
    assert shown == [((1, 3, 40, 60), None)]
    np.testing.assert_array_equal(result.pixels, 255 - given_.pixels)


@pytest.mark.parametrize("kind", [(np.uint8, 3, False), (np.uint16, 1, False), (np.float32, 3, True)])
def test_a_hole_larger_than_the_network_is_filled_entirely(kind):
    given_ = any_picture(1, 90, 100, kind)
    mask = np.zeros((90, 100), bool)
    mask[5:85, 10:95] = True
    black = Restores(lambda batch: torch.zeros_like(batch.images), Geometry(size=(16, 16), needs_mask=True))
    result = restored(given_, "inpaint", mask, inpaint=black).pixels
    seen = mask if given_.alpha is None else mask & (given_.alpha > 1 / 16)
    assert (result[seen] == 0).all()
    np.testing.assert_array_equal(result[~mask], given_.pixels[~mask])


def test_a_mask_on_everything_is_restored_too():
    given_ = any_picture(1, 30, 30, (np.uint8, 3, False))
    result = restored(given_, "inpaint", np.ones((30, 30), bool), inpaint=Restores(invert, Geometry(size=(30, 30))))
    np.testing.assert_array_equal(result.pixels, 255 - given_.pixels)


@settings(deadline=None, max_examples=15)
@given(seeds, kinds, st.integers(1, 9))
def test_the_batch_size_makes_no_difference(seed, kind, batch_size):
    jobs = [job(any_picture(seed + i, 80 + i, 70, kind), specks(seed + i, 80 + i, 70, 3)) for i in range(3)]
    one, several = (
        restoration("inpaint", inpaint=Looking((16, 24)), batch_size=size).restore(jobs) for size in (1, batch_size)
    )
    for first, second in zip(one, several, strict=True):
        assert first.picture is not None
        assert second.picture is not None
        tolerance = 0 if kind[0] == np.uint8 else 1e-5 * float(first.picture.pixels.max())
        np.testing.assert_allclose(first.picture.pixels, second.picture.pixels, rtol=0, atol=tolerance)


def test_thousands_of_specks_never_wait_in_memory_together():
    sizes = []

    def count(batch):
        sizes.append(len(batch.images))
        return 1 - batch.images

    mask = np.zeros((960, 960), bool)
    mask[8::32, 8::32] = True
    given_ = picture(noise(0, (960, 960), np.uint8))
    inpaint = Restores(count, Geometry(size=(16, 16), needs_mask=True))
    result = restored(given_, "inpaint", mask, inpaint=inpaint, batch_size=8)
    assert sizes == [8] * 113
    np.testing.assert_array_equal(result.pixels[mask], 255 - given_.pixels[mask])


def test_cropping_alone_changes_nothing_where_no_resampling_is_needed():
    given_ = any_picture(0, 64, 64, (np.uint16, 3, False))
    mask = specks(1, 64, 64, 1)
    same = Restores(identity, Geometry(size=(64, 64)))
    np.testing.assert_array_equal(restored(given_, "inpaint", mask, inpaint=same).pixels, given_.pixels)
