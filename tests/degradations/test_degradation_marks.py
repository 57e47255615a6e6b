"""Holes, scratches, dust and text: their shapes and amounts."""

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.degradations import draw_mask, parse
from restorekit.errors import UsageError


def seeds(count):
    return torch.arange(count)


def test_the_centre_hole_is_the_context_encoders_quarter():
    mask = draw_mask("holes:center", (128, 128), seeds(1))[0, 0]
    assert mask.mean() == 0.25
    assert mask[32:96, 32:96].all()


@pytest.mark.parametrize("kind", ["irregular", "random"])
@pytest.mark.parametrize(("low", "high"), [(0.1, 0.4), (0.05, 0.06), (0.6, 0.8)])
def test_holes_cover_what_was_asked_for(kind, low, high):
    masks = draw_mask(f"holes:{kind},coverage={low}-{high}", (96, 128), seeds(40))
    shares = masks.mean(dim=(1, 2, 3))
    assert shares.min() >= low - 1e-3
    assert shares.max() <= high + 1e-6
    assert shares.std() > 0.1 * (high - low), "the share is drawn, not always the same"


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["irregular", "random", "center"]),
    st.integers(1, 60),
    st.integers(1, 60),
    st.floats(0.01, 0.9),
    st.integers(0, 2**62),
)
def test_a_fixed_share_is_met_to_the_pixel_at_any_size(kind, height, width, share, seed):
    mask = draw_mask(f"holes:{kind},coverage={share}", (height, width), torch.tensor([seed]))
    slack = 1.0 if kind != "center" else height + width
    assert abs(float(mask.sum()) - share * height * width) <= slack
    assert mask.sum() >= 1


def test_irregular_holes_are_few_connected_strokes():
    for mask in draw_mask("holes:irregular", (128, 128), seeds(20)):
        parts = cv2.connectedComponents(mask[0].numpy().astype(np.uint8))[0] - 1
        assert parts <= 12


@pytest.mark.parametrize(("fill", "value"), [("white", 1.0), ("black", 0.0)])
def test_holes_are_filled_with_the_colour_asked_for(photo, fill, value):
    result = parse([f"holes:center,fill={fill}"])(photo, seeds(1))
    assert result.masks is not None
    assert (result.images[result.masks.expand_as(photo) > 0] == value).all()


def test_the_mean_filling_is_that_of_what_is_left(photo):
    result = parse(["holes:center,fill=mean"])(photo, seeds(1))
    assert result.masks is not None
    hole = result.masks[0, 0] > 0
    for before, after in zip(photo[0], result.images[0], strict=True):
        assert after[hole].unique().item() == pytest.approx(before[~hole].mean().item(), abs=1e-6)


def test_scratches_are_thin_long_and_mostly_upright():
    masks = draw_mask("scratches:1,tilt=0-5", (256, 256), seeds(12))
    heights, widths = [], []
    for mask in masks[:, 0]:
        rows = mask.any(dim=1)
        heights.append(int(rows.sum()))
        widths.append(float(mask[rows].sum(dim=1).mean()))
    assert np.median(heights) > 80
    assert max(widths) < 6


def test_cracks_branch_and_flakes_add_to_them():
    cracks = draw_mask("cracks:3,flakes=0", (256, 256), seeds(8))
    flaked = draw_mask("cracks:3,flakes=6,flake=20-40", (256, 256), seeds(8))
    assert flaked.mean() > 2 * cracks.mean()
    # Thin: nothing is left of them but flakes once three pixels are taken off.
    eroded = -torch.nn.functional.max_pool2d(-cracks, 7, 1, 3)
    assert eroded.sum() == 0
    assert (-torch.nn.functional.max_pool2d(-flaked, 7, 1, 3)).sum() > 0


def test_bare_paper_is_light_and_what_lies_behind_is_dark():
    grey = torch.full((1, 3, 128, 128), 0.5)
    for tone, light in (("paper", True), ("light", True), ("dark", False)):
        result = parse([f"cracks:4,tone={tone}"])(grey, seeds(1))
        assert result.masks is not None
        marked = result.images[:, :, result.masks[0, 0] > 0]
        assert ((marked > 0.5) == light).all()


def test_wide_scratches_cover_more_than_narrow_ones():
    narrow = draw_mask("scratches:5,width=1", (256, 256), seeds(6)).mean()
    wide = draw_mask("scratches:5,width=8", (256, 256), seeds(6)).mean()
    assert wide > 2 * narrow


def test_scratches_vary_in_brightness_and_keep_to_their_tone():
    grey = torch.full((1, 3, 256, 256), 0.5)
    for tone, sign in (("light", 1), ("dark", -1)):
        result = parse([f"scratches:8,tone={tone}"])(grey, seeds(1))
        assert result.masks is not None
        change = ((result.images - grey) * sign)[result.masks.expand_as(grey) > 0]
        assert (change > 0).all()
        assert change.std() > 0.05


def test_dust_is_many_small_specks():
    for mask in draw_mask("dust:60,hairs=0", (256, 256), seeds(6)):
        parts, _, stats, _ = cv2.connectedComponentsWithStats(mask[0].numpy().astype(np.uint8))
        assert 25 <= parts - 1 <= 60
        assert stats[1:, cv2.CC_STAT_AREA].max() < 120


def test_hairs_are_longer_than_specks():
    without = draw_mask("dust:1,hairs=0,size=1", (256, 256), seeds(8)).sum(dim=(1, 2, 3))
    with_hair = draw_mask("dust:1,hairs=1,size=1", (256, 256), seeds(8)).sum(dim=(1, 2, 3))
    assert (with_hair > without + 12).float().mean() > 0.8


def test_text_is_written_in_its_colour_and_height():
    grey = torch.full((1, 3, 200, 400), 0.5)
    masks = draw_mask("text:1,words=HHH,size=0.2", (200, 400), seeds(10))
    heights = masks[:, 0].any(dim=2).sum(dim=1)
    assert heights.min() >= 38
    assert heights.max() <= 50
    result = parse(["text:1,words=HHH,size=0.2,color=red"])(grey, seeds(1))
    assert result.masks is not None
    covered = result.images[0][:, (result.masks[0, 0] > 0)]
    assert torch.allclose(covered.T.median(dim=0).values, torch.tensor([0.9, 0.1, 0.1]), atol=0.02)


def test_a_watermark_lets_the_picture_shine_through(photo):
    result = parse(["text:3,color=white,opacity=0.3"])(photo, seeds(1))
    assert result.masks is not None
    marked = result.masks.expand_as(photo) > 0
    assert torch.corrcoef(torch.stack([result.images[marked], photo[marked]]))[0, 1] > 0.8


def test_unmarked_text_is_written_alike_and_is_no_damage(photo):
    marked = parse(["dust", "text:3"])(photo, seeds(1))
    unmarked = parse(["dust", "text:3,marked=false"])(photo, seeds(1))
    assert torch.equal(unmarked.images, marked.images)
    assert marked.masks is not None
    assert unmarked.masks is not None
    assert torch.equal(unmarked.masks, draw_mask("dust", tuple(photo.shape[-2:]), seeds(1)))
    assert not torch.equal(unmarked.masks, marked.masks)
    assert parse(["text:3,marked=false"])(photo, seeds(1)).masks is None
    assert not draw_mask("text:3,marked=false", (64, 64), seeds(2)).any()


def test_large_pictures_get_larger_marks():
    small = draw_mask("scratches:5", (512, 512), seeds(4)).mean()
    large = draw_mask("scratches:5", (1536, 1536), seeds(4)).mean()
    assert large > 0.5 * small


@pytest.mark.parametrize("step", ["noise:25", "jpeg:30", "downscale:2", "gray"])
def test_masks_come_only_from_damage_that_marks(step):
    with pytest.raises(UsageError, match="marks nothing; masks come from cracks, dust, holes, scratches, text"):
        draw_mask(step, (32, 32), seeds(1))


def test_masks_of_no_seeds_are_an_empty_batch():
    assert draw_mask("holes", (16, 24), seeds(0)).shape == (0, 1, 16, 24)
