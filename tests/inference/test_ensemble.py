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
from restorekit.inference.ensemble import ensembled
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
