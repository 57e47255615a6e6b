"""What is measured of a competitor's result: a restored picture against the clean one, or marks against the damage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from restorekit.evaluation.benchmarking.conditions import Conditions
from restorekit.evaluation.benchmarking.pictures import Sample, load
from restorekit.evaluation.benchmarking.processes import alarms_beside
from restorekit.evaluation.detection import Detection
from restorekit.evaluation.fidelity import HIGHER_IS_BETTER, Fidelity
from restorekit.evaluation.folders import Metric
from restorekit.evaluation.protocol import Facts
from restorekit.images.depth import white_of

__all__ = ["Judge", "OfMarks", "OfPictures"]

#: The colour that marks are shown in, as shares of white.
_MARK = (1, 0, 1)


class Judge(Protocol):
    """Measures results, and says how."""

    @property
    def detecting(self) -> bool:
        """Whether results are marks, ``(H, W)`` bool, instead of pictures."""
        ...

    def facts(self) -> Facts:
        """Return the protocol for the record."""
        ...

    def measure(self, result: Path, sample: Sample) -> dict[str, float]:
        """Measure the result of one picture, a ``.npy`` file."""
        ...

    def higher_is_better(self, metric: str) -> bool:
        """Whether a metric grows with quality."""
        ...

    def seen(self, result: Path, sample: Sample) -> NDArray[Any]:
        """Return what a report shows of a result, ``(H, W, C)``."""
        ...


@dataclass(frozen=True)
class OfPictures:
    """Measures restored pictures.

    Parameters
    ----------
    conditions : Conditions
        The damage and the metrics.
    fidelities : mapping of str to Fidelity
        By the suffix of their metrics' names, see `Conditions.fidelities`.
    others : sequence of Metric
        Further metrics of the whole picture.
    """

    conditions: Conditions
    fidelities: Mapping[str, Fidelity]
    others: Sequence[Metric] = ()
    detecting: bool = False

    def facts(self) -> Facts:
        """Return the protocol for the record."""
        facts = dict(self.conditions.facts(self.fidelities))
        facts["metrics"] = ", ".join([*self.conditions.metrics, *(metric.name for metric in self.others)])
        for metric in self.others:
            facts |= metric.facts()
        return facts

    def measure(self, result: Path, sample: Sample) -> dict[str, float]:
        """Measure a restored picture against the clean one, holes apart where there are any."""
        restored, clean = load(result), load(sample.clean)
        mask = None if sample.mask is None else _enlarged(load(sample.mask), clean.shape[:2])
        values: dict[str, float] = {}
        for suffix, fidelity in self.fidelities.items():
            if suffix and (mask is None or not fidelity.cropped(mask).any()):
                continue  # damage that comes by chance has spared this picture
            values |= {name + suffix: value for name, value in fidelity.measure(restored, clean, mask).items()}
            if not suffix and self.others:
                pair = fidelity.cropped(restored), fidelity.cropped(clean)
                values |= {metric.name: metric.measure(*pair) for metric in self.others}
        return values

    def higher_is_better(self, metric: str) -> bool:
        """Whether a metric grows with quality."""
        return metric.removesuffix("_mask") in HIGHER_IS_BETTER

    def seen(self, result: Path, sample: Sample) -> NDArray[Any]:
        """Return the restored picture."""
        return load(result)


@dataclass(frozen=True)
class OfMarks:
    """Measures what detectors mark.

    Parameters
    ----------
    conditions : Conditions
        The damage.
    detection : Detection
        The metrics.
    """

    conditions: Conditions
    detection: Detection
    detecting: bool = True

    def facts(self) -> Facts:
        """Return the protocol for the record."""
        return {**self.detection.facts(), **self.conditions.damage_facts()}

    def measure(self, result: Path, sample: Sample) -> dict[str, float]:
        """Measure marks against the damage, and what was marked of the clean picture."""
        marked = load(result)
        damage = np.zeros(marked.shape, bool) if sample.mask is None else load(sample.mask)
        return self.detection.measure(marked, damage, load(alarms_beside(result)))

    def higher_is_better(self, metric: str) -> bool:
        """Whether a metric grows with quality."""
        return metric != "false_alarms"

    def seen(self, result: Path, sample: Sample) -> NDArray[Any]:
        """Return the damaged picture with the marks painted over it."""
        damaged = load(sample.degraded)
        painted = np.broadcast_to(damaged, (*damaged.shape[:2], 3)).copy()
        painted[load(result)] = np.multiply(_MARK, white_of(damaged)).astype(damaged.dtype)
        return painted


def _enlarged(mask: NDArray[np.bool_], size: tuple[int, ...]) -> NDArray[np.bool_]:
    """Bring a damaged picture's mask to the size of the clean one, by its nearest pixels."""
    if mask.shape == size:
        return mask
    rows, columns = (
        ((np.arange(length) + 0.5) * own / length).astype(np.intp) for length, own in zip(size, mask.shape, strict=True)
    )
    return mask[np.ix_(rows, columns)]
