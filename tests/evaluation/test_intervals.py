"""Bootstrap intervals: seeded, honest about small sets, and of the right width."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorekit.evaluation import average, interval

VALUES = st.lists(st.floats(-100, 100), min_size=2, max_size=12)


@given(VALUES)
def test_the_interval_holds_values_between_the_smallest_and_the_largest(values):
    low, high = interval(values)
    assert min(values) - 1e-9 <= low <= high <= max(values) + 1e-9


@given(VALUES, st.floats(-50, 50))
def test_shifting_the_values_shifts_the_interval(values, shift):
    moved = interval([value + shift for value in values])
    assert moved == pytest.approx([end + shift for end in interval(values)], abs=1e-9)


def test_the_same_values_and_seed_give_the_same_interval():
    values = list(np.random.default_rng(0).normal(28, 3, 20))
    assert interval(values) == interval(values)
    assert interval(values, seed=1) != interval(values)


def test_the_width_is_that_of_the_normal_approximation_on_many_values():
    values = np.random.default_rng(0).normal(28, 3, 400)
    low, high = interval(list(values))
    error = 1.96 * values.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.05 * error)


def test_more_confidence_is_wider():
    values = list(np.random.default_rng(0).normal(28, 3, 20))
    assert interval(values, 0.5)[0] > interval(values, 0.99)[0]


def test_an_interval_that_needs_several_draws_is_the_same_as_in_one(monkeypatch):
    values = list(np.random.default_rng(0).normal(28, 3, 50))
    whole = interval(values)
    monkeypatch.setattr("restorekit.evaluation.intervals._DRAWN_AT_ONCE", 1000)
    assert interval(values) == whole


def test_one_value_tells_nothing_about_its_spread():
    assert all(math.isnan(end) for end in interval([31.2]))


def test_equal_pictures_do_not_hide_the_others_in_the_mean():
    assert average([math.inf, 30.0, 32.0]) == 31.0
    assert interval([math.inf, 30.0, 32.0]) == interval([30.0, 32.0])
    assert average([math.inf]) == math.inf


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_nothing_and_no_numbers_have_no_mean(values):
    with pytest.raises(ValueError):
        average(values)
