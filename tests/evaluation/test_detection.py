"""Marks are measured against the true damage, forgiving a stated distance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from restorekit.evaluation.detection import DETECTION_METRICS, Detection

MASKS = arrays(bool, (9, 11), elements=st.booleans() | st.just(False))


def _near(mask: np.ndarray, other: np.ndarray, distance: int) -> float:
    """Return the share of a mask's pixels that have one of the other's within a distance, counted one by one."""
    places, others = np.argwhere(mask), np.argwhere(other)
    if not len(places):
        return 1.0
    return float(np.mean([any(abs(p - q).sum() <= distance for q in others) for p in places]))


@given(MASKS, MASKS, MASKS, st.integers(0, 3))
def test_numbers_are_those_counted_one_by_one(marked, damage, alarms, tolerance):
    found = Detection(tolerance=tolerance).measure(marked, damage, alarms)
    precision, recall = _near(marked, damage, tolerance), _near(damage, marked, tolerance)
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    assert tuple(found) == DETECTION_METRICS
    assert list(found.values()) == pytest.approx([f1, precision, recall, alarms.sum() / alarms.size])


@given(MASKS, MASKS, st.integers(0, 3))
def test_more_tolerance_never_lowers_a_score(marked, damage, tolerance):
    strict, lenient = (Detection(tolerance=t).measure(marked, damage, marked) for t in (tolerance, tolerance + 1))
    assert all(lenient[name] >= strict[name] for name in ("f1", "precision", "recall"))


def test_a_line_beside_the_damage_counts_up_to_the_tolerance():
    damage, nothing = np.zeros((20, 20), bool), np.zeros((20, 20), bool)
    damage[:, 8] = True
    scores = [Detection().measure(np.roll(damage, shift, axis=1), damage, nothing)["f1"] for shift in range(5)]
    assert scores == [1, 1, 1, 0, 0]
