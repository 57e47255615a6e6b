"""A picture costs its own size several times at most: no whole picture is held in floats."""

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from restorekit.inference import Target

from .fakes import Restores, blur, job, picture, restoration

SIDE = 1200
PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
ALPHA = np.linspace(0, 255, SIDE).astype(np.uint8)[None].repeat(SIDE, axis=0)


def peak(run: Callable[[], object]) -> float:
    """Return NumPy's peak during a call, in bytes a value of the picture."""
    tracemalloc.start()
    try:
        run()
        return tracemalloc.get_traced_memory()[1] / PIXELS.size
    finally:
        tracemalloc.stop()


def peak_of_restoring(steps: Sequence[str], alpha: NDArray[np.uint8] | None = None, **choices: Any) -> float:
    chain = restoration(steps, blur=Restores(blur), **choices)
    outcomes = []
    used = peak(lambda: outcomes.extend(chain.restore([job(picture(PIXELS, alpha))])))
    assert outcomes[0].error is None
    return used


@pytest.mark.parametrize(
    ("steps", "choices", "most"),
    [
        (["blur"], {}, 1.6),  # the result, and tiles
        (["blur", "blur", "blur"], {}, 4.6),  # 16 bits before and after a step
        (["blur"], {"target": Target(size=(SIDE, SIDE - 100))}, 5.0),  # floats of one channel at a time
    ],
)
def test_no_whole_picture_is_held_in_floats(steps, choices, most):
    assert peak_of_restoring(steps, **choices) < most


def test_a_picture_with_alpha_is_resized_channel_by_channel():
    assert peak_of_restoring(["blur"], ALPHA, target=Target(size=(SIDE, SIDE - 100))) < 9


def test_planning_takes_the_floats_that_planners_are_promised_and_no_more():
    chain = restoration(["auto"])
    assert peak(lambda: chain.plan(job(picture(PIXELS)))) < 5.5
