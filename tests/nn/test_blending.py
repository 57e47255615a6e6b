"""Poisson blending keeps what is known and leaves no seam."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.nn.blending import poisson_blend


def pictures(seed, height, width):
    chance = torch.Generator().manual_seed(seed)
    images = torch.rand(2, 3, height, width, generator=chance) * 0.4 + 0.3
    masks = (torch.rand(2, 1, height, width, generator=chance) < 0.4).float()
    return images, masks


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.floats(-0.2, 0.2))
def test_a_fill_that_is_off_by_a_constant_is_put_right_exactly(seed, height, width, offset):
    images, masks = pictures(seed, height, width)
    blended = poisson_blend(images + offset, images, masks)
    for image, mask, result, filled in zip(images, masks, blended, images + offset, strict=True):
        assert torch.allclose(result, filled if mask.all() else image, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 9), st.integers(2, 9))
def test_known_pixels_stay_and_what_lies_under_a_hole_does_not_matter(seed, height, width):
    images, masks = pictures(seed, height, width)
    masks[..., 0, 0] = 0
    filled = torch.full_like(images, 0.5)
    blended = poisson_blend(filled, images, masks)
    known = masks.expand_as(images) == 0
    assert torch.allclose(blended[known], images[known], atol=1e-6)
    assert torch.equal(blended, poisson_blend(filled, torch.where(known, images, 0.9), masks))
