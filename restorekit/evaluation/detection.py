"""Precision, recall and F1 of marked damage against the true one, by a stated protocol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restorekit.evaluation.protocol import Facts

__all__ = ["DETECTION_METRICS", "Detection"]

#: What is measured of a detector; ``false_alarms`` on pictures without damage.
DETECTION_METRICS = ("f1", "precision", "recall", "false_alarms")


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """The protocol of detectors.

    Parameters
    ----------
    tolerance : int
        Pixels, in steps to one of the four neighbours, that a mark may lie beside the damage: thin lines have no exact
        place.
    """

    tolerance: int = 2

    def facts(self) -> Facts:
        """Return the protocol for the record."""
        return {
            "metrics": ", ".join(DETECTION_METRICS),
            "tolerance": f"{self.tolerance} px",
            "false_alarms": "share of the undamaged picture's pixels that are marked",
        }

    def measure(
        self, marked: NDArray[np.bool_], damage: NDArray[np.bool_], alarms: NDArray[np.bool_]
    ) -> dict[str, float]:
        """Measure the marks on one picture.

        Parameters
        ----------
        marked : ndarray
            ``(H, W)``: what was marked of the damaged picture.
        damage : ndarray
            ``(H, W)``: where it is damaged.
        alarms : ndarray
            ``(H, W)``: what was marked of the same picture before it was damaged.

        Returns
        -------
        dict of str to float
            By metric, from 0 to 1. Precision is the share of marks near damage, recall the share of damage near
            marks; both are 1 of nothing. F1 is their harmonic mean.
        """
        near_damage, near_marks = self._grown(damage), self._grown(marked)
        precision = float(near_damage[marked].mean()) if marked.any() else 1.0
        recall = float(near_marks[damage].mean()) if damage.any() else 1.0
        f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        return {"f1": f1, "precision": precision, "recall": recall, "false_alarms": float(alarms.mean())}

    def _grown(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        # scipy repeats until nothing changes where it is told 0 times.
        return np.asarray(ndimage.binary_dilation(mask, iterations=self.tolerance), bool) if self.tolerance else mask
