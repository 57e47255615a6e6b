"""Sheets of pictures to look at: samples, and samples beside the training pictures that are nearest to them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restorekit.evaluation.generative.draws import Draws
from restorekit.evaluation.generative.memorisation import Memorisation
from restorekit.evaluation.generative.pictures import Pictures
from restorekit.sampling import contact_sheet, write_pictures

__all__ = ["neighbour_sheet", "sample_sheet", "write_sheet"]

#: Samples on a sheet.
SAMPLES = 100
#: Samples beside their neighbours: the most suspicious ones, and as many others.
ROWS = 12
#: White pixels between a sample and its neighbours, and between the two halves.
_GUTTER = 12
#: Smaller pictures are shown enlarged.
_SHOWN = 56


def sample_sheet(draws: Draws) -> NDArray[np.uint8]:
    """Return ``(H, W, 3)``: the first samples."""
    return contact_sheet(_enlarged(draws.pictures(range(min(SAMPLES, draws.count)))))


def neighbour_sheet(draws: Draws, found: Memorisation, train: Pictures) -> NDArray[np.uint8]:
    """Return ``(H, W, 3)``: in each row a sample and its nearest training pictures, nearest first.

    On the left the samples that are most likely copies, the worst first; on the right the first samples, as they come.
    """
    suspects = found.suspects(ROWS)
    ordinary = list(range(min(ROWS, draws.count)))
    halves = [_rows(draws, found, train, numbers) for numbers in (suspects, ordinary)]
    return np.hstack([halves[0], _white(len(halves[0]), 2 * _GUTTER), halves[1]])


def write_sheet(sheet: NDArray[np.uint8], path: Path, *, overwrite: bool = False) -> Path:
    """Write a sheet to a picture file."""
    return write_pictures(sheet[None], path, overwrite=overwrite)[0]


def _rows(draws: Draws, found: Memorisation, train: Pictures, numbers: Sequence[int]) -> NDArray[np.uint8]:
    samples = _enlarged(draws.pictures(numbers))
    nearest = [[train.picture(int(i)) for i in found.neighbours.indices[number]] for number in numbers]
    beside = _enlarged(np.stack([picture for row in nearest for picture in row]))
    left, right = contact_sheet(samples, columns=1), contact_sheet(beside, columns=len(nearest[0]))
    return np.hstack([left, _white(len(left), _GUTTER), right])


def _enlarged(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    factor = -(-_SHOWN // min(pictures.shape[1:3]))
    return pictures.repeat(factor, axis=1).repeat(factor, axis=2)


def _white(height: int, width: int) -> NDArray[np.uint8]:
    return np.full((height, width, 3), 255, np.uint8)
