"""Masks: what is outside them is kept exactly, they follow changes of size, detectors add to them."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.contract import Geometry
from restorekit.errors import PictureError

from .fakes import (
    BLUR,
    DOUBLE,
    KINDS,
    Finds,
    FindsAt,
    Restores,
    any_picture,
    invert,
    kinds,
    noise,
    outcome,
    picture,
    restored,
    seeds,
    sides,
    some_mask,
)

INPAINTERS = {
    "any": Restores(invert),
    "needing": Restores(invert, Geometry(halo=3, needs_mask=True)),
    "whole": Restores(invert, Geometry(whole_image=True)),
    "multiple": Restores(invert, Geometry(halo=1, multiple_of=8)),
    "measured": Restores(invert, Geometry()),
    "sized": Restores(invert, Geometry(size=(24, 16), needs_mask=True)),
}


@settings(deadline=None, max_examples=60)
@given(
    seeds,
    sides,
    sides,
    kinds,
    st.sampled_from(sorted(INPAINTERS)),
    st.sampled_from([None, 16, 24]),
    st.sampled_from([1, 3]),
    st.sampled_from([0.3, 1.0]),
)
def test_outside_the_mask_every_picture_comes_back_exactly(
    seed, height, width, kind, inpainter, tile, batch_size, strength
):
    given_, mask = any_picture(seed, height, width, kind), some_mask(seed, height, width)
    choices = {"tile": tile, "batch_size": batch_size, "strength": strength}
    result = restored(given_, "inpaint", mask, inpaint=INPAINTERS[inpainter], **choices)
    assert result.pixels.dtype == given_.pixels.dtype
    np.testing.assert_array_equal(result.pixels[~mask], given_.pixels[~mask])
    if given_.alpha is not None:
        np.testing.assert_array_equal(result.alpha, given_.alpha)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind[2]])
@pytest.mark.parametrize("inpainter", sorted(INPAINTERS))
def test_inside_the_mask_everything_is_the_inpainters(kind, inpainter):
    given_, mask = any_picture(1, 40, 50, kind), some_mask(1, 40, 50)
    result = restored(given_, "inpaint", mask, inpaint=INPAINTERS[inpainter])
    white = float(2 ** np.ceil(np.log2(given_.pixels.max()))) if kind[0] == np.float32 else np.iinfo(kind[0]).max
    if inpainter == "sized":  # resampled on the way
        assert (result.pixels[mask] != given_.pixels[mask]).mean() > 0.9
    else:
        np.testing.assert_allclose(result.pixels[mask], white - given_.pixels[mask], rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(seeds, sides, sides, kinds, st.sampled_from([None, 24]))
def test_a_later_step_keeps_the_earlier_ones_result_outside_the_mask(seed, height, width, kind, tile):
    given_, mask = any_picture(seed, height, width, kind), some_mask(seed, height, width)
    denoised = restored(given_, "denoise", denoise=BLUR, tile=tile)
    both = restored(given_, ["denoise", "inpaint"], mask, denoise=BLUR, inpaint=Restores(invert), tile=tile)
    np.testing.assert_array_equal(both.pixels[~mask], denoised.pixels[~mask])


def test_a_denoiser_after_an_inpainter_works_on_the_whole_picture():
    given_, mask = any_picture(5, 40, 40, (np.uint8, 3, False)), some_mask(5, 40, 40)
    result = restored(given_, ["inpaint", "denoise"], mask, inpaint=Restores(invert), denoise=Restores(invert))
    np.testing.assert_array_equal(result.pixels[mask], given_.pixels[mask])  # inverted twice
    np.testing.assert_array_equal(result.pixels[~mask], 255 - given_.pixels[~mask])


def test_a_generator_that_writes_into_its_input_spoils_neither_the_picture_nor_what_is_kept():
    def in_place(batch):
        return batch.images.mul_(-1).add_(1)

    for kind in KINDS:
        given_, mask = any_picture(3, 30, 31, kind), some_mask(3, 30, 31)
        before = given_.pixels.copy()
        for geometry in (Geometry(halo=0), Geometry(whole_image=True), Geometry(size=(30, 31))):
            result = restored(given_, "inpaint", mask, inpaint=Restores(in_place, geometry))
            np.testing.assert_array_equal(given_.pixels, before)
            np.testing.assert_array_equal(result.pixels[~mask], before[~mask])


def test_a_mask_follows_steps_that_enlarge():
    given_, mask = any_picture(2, 20, 30, (np.uint8, 3, False)), some_mask(2, 20, 30)
    result = outcome(given_, ["double", "inpaint"], mask, double=DOUBLE, inpaint=Restores(invert))
    assert result.picture is not None
    assert result.mask is not None
    large = mask.repeat(2, axis=0).repeat(2, axis=1)
    np.testing.assert_array_equal(result.mask, large)
    doubled = restored(given_, "double", double=DOUBLE)
    np.testing.assert_array_equal(result.picture.pixels[~large], doubled.pixels[~large])
    assert np.abs(result.picture.pixels[large].astype(int) - (255 - doubled.pixels[large])).max() <= 1


def test_an_inpainter_that_enlarges_fills_the_whole_result_also_where_tiles_have_no_hole():
    given_ = picture(np.full((60, 60), 100, np.uint8))
    mask = np.zeros((60, 60), bool)
    mask[:5, :5] = True
    larger = Restores(lambda batch: batch.images.repeat_interleave(2, 2).repeat_interleave(2, 3) / 2, _ENLARGING)
    result = restored(given_, "inpaint", mask, inpaint=larger, tile=16)
    np.testing.assert_array_equal(result.pixels, np.full((120, 120, 1), 50, np.uint8))


_ENLARGING = Geometry(scale=2, halo=0, needs_mask=True)


def test_what_a_detector_finds_is_repaired_together_with_the_mask_that_was_given():
    pixels = np.full((40, 40), 50, np.uint8)
    pixels[10:12] = 255
    given = np.zeros((40, 40), bool)
    given[30:32] = True
    bright = Finds(lambda batch: (batch.images.amax(1, keepdim=True) > 0.9).float())
    for mask, repaired in ((None, [10, 11]), (given, [10, 11, 30, 31])):
        result = outcome(picture(pixels), ["find", "inpaint"], mask, find=bright, inpaint=Restores(invert))
        assert result.picture is not None
        assert result.mask is not None
        assert sorted({*np.nonzero(result.mask)[0]}) == repaired
        assert sorted({*np.nonzero(result.picture.pixels[..., 0] != pixels)[0]}) == repaired
        assert [str(step) for step in result.steps] == ["find", "inpaint"]
    assert given.sum() == 80  # the mask that was given is not written into


def test_a_detector_alone_changes_no_pixel_and_tells_its_mask():
    given_ = picture(noise(0, (20, 20, 3), np.uint8))
    result = outcome(given_, "find", find=Finds(lambda batch: torch.ones_like(batch.images[:, :1])))
    assert result.picture is given_
    assert result.mask is not None
    assert result.mask.all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("largest", "shown"), [(0, (60, 90)), (60, (60, 90)), (61, (60, 90)), (20, (20, 30)), (7, (7, 10))]
)
def test_a_detector_is_shown_large_pictures_shrunk_to_the_side_it_names(kind, largest, shown):
    given_ = any_picture(3, 60, 90, kind)
    seen = []

    def looks(batch):
        seen.append(batch)
        return torch.zeros_like(batch.images[:, :1])

    result = outcome(given_, "find", some_mask(3, 60, 90), find=FindsAt(looks, largest))
    assert tuple(seen[-1].images.shape[2:]) == shown
    assert tuple(seen[-1].masks.shape[2:]) == shown
    assert result.mask is not None
    np.testing.assert_array_equal(result.mask, some_mask(3, 60, 90))  # nothing found: what was given stays, to a pixel


def test_what_a_detector_finds_in_a_shrunk_picture_is_marked_at_its_place_in_the_picture():
    pixels = np.full((120, 200), 50, np.uint8)
    pixels[30:36] = 255
    bright = FindsAt(lambda batch: (batch.images.amax(1, keepdim=True) > 0.9).float(), 20)
    result = outcome(picture(pixels), ["find", "inpaint"], find=bright, inpaint=Restores(invert))
    assert result.picture is not None
    assert result.mask is not None
    np.testing.assert_array_equal(np.nonzero(result.mask.all(axis=1))[0], range(30, 36))
    np.testing.assert_array_equal(np.nonzero(result.picture.pixels[..., 0] != pixels), np.nonzero(pixels == 255))


def test_an_inpainter_is_told_where_the_hole_is_in_zeros_and_ones():
    seen = []

    def looks(batch):
        seen.append(batch.masks)
        return batch.images

    mask = some_mask(4, 20, 20)
    restored(picture(noise(0, (20, 20), np.uint8)), "inpaint", mask, inpaint=Restores(looks))
    np.testing.assert_array_equal(seen[0][0, 0].numpy(), mask.astype(np.float32))


def test_a_mask_without_a_hole_leaves_the_picture_as_it_was():
    given_ = any_picture(2, 33, 20, (np.uint16, 3, True))
    for inpainter in INPAINTERS.values():
        result = restored(given_, "inpaint", np.zeros((33, 20), bool), inpaint=inpainter)
        np.testing.assert_array_equal(result.pixels, given_.pixels)


def test_an_inpainter_without_a_mask_says_where_one_may_come_from():
    with pytest.raises(PictureError, match=r"inpaint needs a mask.*NAME\.mask\.png"):
        restored(any_picture(0, 8, 8, KINDS[0]), "inpaint", inpaint=INPAINTERS["needing"])


@pytest.mark.parametrize("shape", [(9, 8), (8, 9), (16, 16)])
def test_a_mask_of_another_size_is_refused_with_both_sizes(shape):
    with pytest.raises(PictureError, match=f"{shape[1]} x {shape[0]} pixels, the picture 8 x 8"):
        outcome(any_picture(0, 8, 8, KINDS[0]), "telea", np.ones(shape, bool))


@pytest.mark.parametrize("shape", [(1, 3, 20, 20), (2, 1, 20, 20), (1, 1, 20, 21)])
def test_what_a_detector_returns_has_to_be_one_channel_of_the_pictures_size(shape):
    with pytest.raises(PictureError, match="returned shape"):
        outcome(picture(noise(0, (20, 20), np.uint8)), "find", find=Finds(lambda batch: torch.zeros(shape)))


@pytest.mark.parametrize("step", ["telea", "navier-stokes", "interpolation", "diffusion", "biharmonic"])
@pytest.mark.parametrize("kind", [(np.uint8, 3, False), (np.uint16, 1, True), (np.float32, 3, False)])
def test_installed_inpainters_keep_what_is_outside_the_mask(step, kind):
    given_ = any_picture(7, 40, 44, kind)
    mask = np.zeros((40, 44), bool)
    mask[10:14, 8:30] = True
    result = restored(given_, step, mask)
    np.testing.assert_array_equal(result.pixels[~mask], given_.pixels[~mask])
    assert (result.pixels[mask] != given_.pixels[mask]).any()
