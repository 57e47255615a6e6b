"""Averaging over mirrored and turned views."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import restorekit
from restorekit.contract import Batch
from restorekit.errors import UsageError
from restorekit.inference.ensemble import another_view, ensembled
from restorekit.registry import registry
from restorekit.weights import save


def shifted(batch: Batch) -> torch.Tensor:
    """Far from symmetric: every pixel takes its left upper neighbour's value, enlarged by two."""
    images = batch.images if batch.masks is None else batch.images * (1 - batch.masks)
    return F.interpolate(images.roll((1, 2), (2, 3)), scale_factor=2)


@pytest.mark.parametrize("count", [2, 4, 8])
def test_the_result_turns_with_the_picture(count):
    batch = Batch(torch.rand(2, 3, 6, 9), (torch.rand(2, 1, 6, 9) < 0.3).float())
    call = ensembled(shifted, count)
    mirrored = Batch(batch.images.flip(3), batch.masks.flip(3))  # pyright: ignore[reportOptionalMemberAccess]
    torch.testing.assert_close(call(mirrored), call(batch).flip(3))
    if count == 8:
        turned = Batch(batch.images.rot90(1, (2, 3)), batch.masks.rot90(1, (2, 3)))  # pyright: ignore
        torch.testing.assert_close(call(turned), call(batch).rot90(1, (2, 3)))


@pytest.mark.parametrize("count", [1, 2, 4, 8])
def test_what_is_symmetric_already_stays(count):
    batch = Batch(torch.rand(1, 3, 5, 8))
    calls = []

    def doubled(batch: Batch) -> torch.Tensor:
        calls.append(batch.images.shape)
        return 2 * batch.images

    torch.testing.assert_close(ensembled(doubled, count)(batch), 2 * batch.images)
    assert len(calls) == count


def test_a_step_asks_for_it_and_the_manifest_says_so(tmp_path: Path):
    torch.manual_seed(0)
    made = registry().build("super-resolver", {"scale": 2, "features": 8, "blocks": 1})
    file = tmp_path / "x2.safetensors"
    with torch.no_grad():
        for parameter in made.generator.parameters():  # pyright: ignore[reportAttributeAccessIssue]
            parameter.add_(0.05 * torch.randn_like(parameter))
    save(made.generator, file, spec=made.spec, config=made.config)
    picture = np.random.default_rng(0).integers(0, 256, (12, 17, 3), np.uint8)
    plain, eight = (restorekit.restore(picture, f"{file}{more}") for more in ("", ",ensemble=8"))
    assert not np.array_equal(plain, eight)
    turned = restorekit.restore(np.ascontiguousarray(np.rot90(picture)), f"{file},ensemble=8")
    assert np.abs(np.rot90(eight).astype(int) - turned).max() <= 1
    with pytest.raises(UsageError, match="ensemble=3 is not allowed; choose 1, 2, 4, 8"):
        restorekit.restore(picture, f"{file},ensemble=3")
    with pytest.raises(UsageError, match="bicubic has no setting 'ensemble'"):
        restorekit.restore(picture, "bicubic:2,ensemble=8")


@pytest.mark.parametrize("size", [(7, 7), (6, 9)])
def test_another_view_is_one_of_those_that_an_ensemble_averages_and_never_the_picture_as_it_is(size):
    count, views = 400, 7 if size[0] == size[1] else 3
    batch = Batch(torch.rand(1, 3, *size).expand(count, -1, -1, -1), seeds=torch.arange(count))
    made = another_view(shifted, batch)
    different, times = made.flatten(1).unique(dim=0, return_counts=True)
    assert len(different) == views
    assert times.min() > count / views / 2, "all alike"
    as_it_is = shifted(Batch(batch.images[:1]))
    assert not (made == as_it_is).flatten(1).all(dim=1).any()
    mean = (different.mean(dim=0) * views + as_it_is.flatten()) / (views + 1)
    torch.testing.assert_close(mean.unflatten(0, made.shape[1:]), ensembled(shifted, views + 1)(batch)[0])


def test_another_view_turns_masks_along():
    batch = Batch(torch.rand(9, 3, 8, 8), (torch.rand(9, 1, 8, 8) < 0.3).float(), seeds=torch.arange(9))
    made = another_view(lambda seen: seen.images * seen.masks, batch)  # pyright: ignore[reportOperatorIssue]
    torch.testing.assert_close(made, batch.images * batch.masks)  # pyright: ignore[reportOperatorIssue]
