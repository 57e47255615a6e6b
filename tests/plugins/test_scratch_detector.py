"""The scratch detector: what it marks, and how it is taught."""

from __future__ import annotations

import pytest
import torch
from skimage import data

from restorekit.contract import Batch, Detector
from restorekit_scratch_detector.config import Network, Recipe, Settings
from restorekit_scratch_detector.generator import ScratchDetector
from restorekit_scratch_detector.training import Training, soft_dice

SMALL = Network(widths=(8, 16), blocks=1)


@pytest.fixture
def detector() -> ScratchDetector:
    torch.manual_seed(0)
    return ScratchDetector(SMALL).eval()


def test_it_is_a_detector_and_answers_at_the_pictures_size(detector):
    assert isinstance(detector, Detector)
    for side in (2, 6, 34):
        found = detector.detect(Batch(torch.rand(2, 3, side, side)))
        assert found.shape == (2, 1, side, side)
        assert 0 <= found.min() <= found.max() <= 1


def test_a_higher_sensitivity_marks_at_least_as_much(detector):
    images = torch.rand(1, 3, 32, 32)
    marked = [
        (detector.detect(Batch(images, settings={"sensitivity": s, "grow": 0})) >= 0.5).sum().item()
        for s in (0.05, 0.3, 0.5, 0.7, 0.95)
    ]
    assert marked == sorted(marked)
    assert marked[0] == 0
    assert marked[-1] == 32 * 32


def test_marks_grow_by_so_many_pixels(detector):
    with torch.no_grad():
        detector.network.tail.weight.zero_()
        assert detector.network.tail.bias is not None
        detector.network.tail.bias.fill_(-9.0)
    one = torch.full((1, 1, 9, 9), -9.0)
    one[..., 4, 4] = 9.0
    detector.forward = lambda images: one  # type: ignore[method-assign]
    for grow in (0, 1, 3):
        found = detector.detect(Batch(torch.rand(1, 3, 9, 9), settings={"grow": grow})) >= 0.5
        assert found.sum() == (2 * grow + 1) ** 2


def test_large_scans_are_looked_at_at_the_size_that_was_learned(detector):
    assert detector.working_side({}) == Settings().side > 512
    assert detector.working_side({"side": 0, "grow": 2}) == 0


def test_dice_is_one_for_agreement_and_small_for_disagreement():
    marks = torch.zeros(2, 1, 8, 8)
    marks[..., 3] = 1
    assert soft_dice((marks * 2 - 1) * 50, marks) == pytest.approx(1)
    assert soft_dice((1 - marks * 2) * 50, marks) < 0.02
    assert soft_dice(torch.full_like(marks, -50), torch.zeros_like(marks)) == pytest.approx(1)


def test_it_learns_to_mark_a_drawn_line():
    torch.manual_seed(0)
    detector = ScratchDetector(SMALL)
    training = Training(detector, Recipe())
    photo = torch.from_numpy(data.camera()[100:228, 100:228].copy()).float().div(255).expand(1, 3, -1, -1)
    marks = torch.zeros(1, 1, 128, 128)
    marks[..., 60:62] = 1
    batch = Batch(torch.where(marks > 0, 1.0, photo), marks, targets=photo)
    optimizer = torch.optim.Adam(detector.parameters(), 3e-3)

    def update(phase, loss, batch):
        value, logged = loss(batch)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        return logged

    logged = [training.training_step([batch], update) for _ in range(60)][-1]
    assert logged["overlap"] > 0.8
    found = detector.detect(Batch(batch.images, settings={"grow": 0})) >= 0.5
    assert (found == (marks > 0)).float().mean() > 0.98


def test_a_batch_without_marks_teaches_to_mark_nothing(detector):
    training = Training(detector, Recipe())
    logged = {}

    def update(phase, loss, batch):
        value, scalars = loss(batch)
        logged.update(scalars, total=value)
        return scalars

    training.training_step([Batch(torch.rand(1, 3, 16, 16))], update)
    assert all(torch.isfinite(value.detach()) for value in logged.values())
