"""What pixel losses weigh."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from restorekit.nn.losses import pixel_loss


def _off_by(*errors: float) -> tuple[Tensor, Tensor]:
    """Return pictures that are off by so much everywhere, upwards and downwards, and what they should be."""
    target = torch.full((len(errors), 3, 4, 4), 0.5)
    signs = torch.tensor([1.0, -1.0]).repeat(len(target[0].flatten()) // 2).view_as(target[0])
    return target + torch.tensor(errors)[:, None, None, None] * signs, target


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("l1", (0.1 + 0.3) / 2),
        ("l2", (0.01 + 0.09) / 2),
        ("charbonnier", (math.sqrt(0.01 + 1e-6) + math.sqrt(0.09 + 1e-6)) / 2),
        ("psnr", (math.log(0.01 + 1e-4) + math.log(0.09 + 1e-4)) / 2),
    ],
)
def test_losses_have_the_values_of_their_definitions(kind, expected):
    assert pixel_loss(kind, *_off_by(0.1, 0.3)).item() == pytest.approx(expected, rel=1e-5)


def test_half_the_error_is_worth_as_much_on_a_lightly_damaged_picture_as_on_a_heavily_damaged_one():
    def gains(kind) -> tuple[float, float]:
        before = pixel_loss(kind, *_off_by(0.05, 0.4)).item()
        light, heavy = (pixel_loss(kind, *_off_by(*errors)).item() for errors in ((0.025, 0.4), (0.05, 0.2)))
        return before - light, before - heavy

    light, heavy = gains("psnr")
    assert light == pytest.approx(heavy, rel=0.1)
    for kind in ("l1", "charbonnier", "l2"):
        light, heavy = gains(kind)
        assert light < heavy / 4


def test_what_is_nearly_perfect_hardly_counts_and_perfect_pictures_have_finite_gradients():
    before, better = (pixel_loss("psnr", *_off_by(error)).item() for error in (0.001, 0.0005))
    assert before - better < 0.01
    restored, target = (part.requires_grad_() for part in _off_by(0.0))
    pixel_loss("psnr", restored, target).backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()


@pytest.mark.parametrize("kind", ["l1", "l2", "charbonnier", "psnr"])
def test_losses_of_low_precision_are_computed_in_float32(kind):
    restored, target = _off_by(0.1, 0.3)
    loss = pixel_loss(kind, restored.bfloat16(), target.bfloat16())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(pixel_loss(kind, restored, target).item(), rel=0.01)
