"""Measures a folder of restored pictures against their references: one bad picture never stops the others."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.batch.manifest import Record
from restorekit.batch.masks import read_mask
from restorekit.batch.plan import Item, Plan
from restorekit.errors import PictureError, UsageError
from restorekit.evaluation.fidelity import HIGHER_IS_BETTER, Fidelity
from restorekit.evaluation.intervals import average, interval
from restorekit.evaluation.pairing import Pair, pair
from restorekit.evaluation.protocol import Facts
from restorekit.images import Picture

if TYPE_CHECKING:
    from restorekit.batch.workers import Listener

__all__ = ["Evaluation", "Metric", "Score", "empty_record", "evaluate", "modcropped", "written"]

#: Digits after the point of the metrics that people know by a number of digits.
_DIGITS = {"psnr": 2, "ssim": 4, "squeezenet": 4, "lpips": 4, "brisque": 2}


class Metric(Protocol):
    """A metric of one picture beside those of `Fidelity`, such as a perceptual distance."""

    name: str

    def facts(self) -> Facts:
        """Return what belongs to the protocol."""
        ...

    def measure(self, restored: NDArray[Any], reference: NDArray[Any]) -> float:
        """Measure ``(H, W, C)`` integers or floats in [0, 1] of one size; may be called from several threads."""
        ...


@dataclass(frozen=True, slots=True)
class Score:
    """The numbers of one picture.

    Parameters
    ----------
    pair : Pair
        The files.
    values : mapping of str to float
        By metric.
    """

    pair: Pair
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a measurement of two folders gave.

    Parameters
    ----------
    protocol : mapping
        How the numbers were computed.
    scores : tuple of Score
        In the order of the pictures' names.
    missing, extra : tuple of str
        References without a restored picture, and the other way round.
    failed : tuple of (str, str)
        Pictures that could not be measured, with the reason.
    notes : tuple of str
        What is good to know about the pictures.
    """

    protocol: Facts
    scores: tuple[Score, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every picture of both folders was measured."""
        return not (self.missing or self.extra or self.failed)

    def values(self, metric: str) -> list[float]:
        """Return one metric of all pictures."""
        return [score.values[metric] for score in self.scores]

    @property
    def metrics(self) -> tuple[str, ...]:
        """The metrics, in the order of the protocol."""
        return tuple(self.scores[0].values)

    @property
    def mean(self) -> dict[str, float]:
        """The mean of each metric; infinite PSNRs, of equal pictures, are left out."""
        return {metric: average(self.values(metric)) for metric in self.metrics}

    @property
    def interval(self) -> dict[str, tuple[float, float]]:
        """The 95 % bootstrap interval of each mean; NaN for a single picture."""
        return {metric: interval(self.values(metric)) for metric in self.metrics}

    def worst_first(self, metric: str) -> list[Score]:
        """Return the scores in the order of one metric, equal ones by name."""
        sign = 1 if metric in HIGHER_IS_BETTER else -1
        return sorted(self.scores, key=lambda score: sign * score.values[metric])

    def record(self) -> dict[str, Any]:
        """Return the whole in JSON's types: what is infinite or not known is ``None``.

        A picture that equals its reference has ``"psnr": None`` and ``"identical": True``.
        """
        return {
            "protocol": dict(self.protocol),
            "mean": {metric: _finite(value) for metric, value in self.mean.items()},
            "interval": {metric: [_finite(end) for end in ends] for metric, ends in self.interval.items()},
            "pictures": [
                {
                    "name": score.pair.name,
                    **{metric: _finite(value) for metric, value in score.values.items()},
                    **({"identical": True} if math.inf in score.values.values() else {}),
                }
                for score in self.scores
            ],
            "missing": list(self.missing),
            "extra": list(self.extra),
            "failed": [{"name": name, "reason": reason} for name, reason in self.failed],
            "notes": list(self.notes),
        }


@dataclass(slots=True)
class _Seen:
    """What the pictures of one pair are like, for the protocol and the notes."""

    depth: int = 0
    notes: tuple[str, ...] = ()


@dataclass(slots=True)
class _Result:
    values: dict[str, float] = field(default_factory=dict)
    seen: _Seen = field(default_factory=_Seen)
    reason: str = ""


def evaluate(
    restored: Path,
    reference: Path,
    fidelity: Fidelity,
    *,
    masks: Path | None = None,
    modcrop: int = 1,
    workers: int | None = None,
    others: Sequence[Metric] = (),
    listener: Listener | None = None,
) -> Evaluation:
    """Measure restored pictures against their references.

    Parameters
    ----------
    restored, reference : Path
        Two folders, paired by name as `restorekit.evaluation.pairing.pair` does, or two files. Alpha is left aside.
    fidelity : Fidelity
        The paired metrics and their protocol.
    masks : Path, optional
        A folder of masks; see `pair`.
    modcrop : int, optional
        Cut references (and masks) at the right and below to a multiple of this, as the sets of papers on
        super-resolution are.
    workers : int, optional
        Pictures at once; by default one a core. They are threads: decoding and filtering let go of Python's lock, so
        threads are as fast as processes and start at once.
    others : sequence of Metric, optional
        Further metrics; they see the pictures after cropping, in RGB.
    listener : Listener, optional
        Is told of progress.

    Raises
    ------
    UsageError
        The request is wrong, or there is nothing to pair.
    PictureError
        No picture could be measured.
    """
    for option, value in (("--modcrop", modcrop), ("--workers", 1 if workers is None else workers)):
        if value < 1:
            raise UsageError(option, f"{value} is less than 1", "give 1 or more")
    pairing = pair(restored, reference, masks)
    if listener is not None:
        listener.planned(Plan(tuple(Item(each.restored, each.name, each.name) for each in pairing.pairs)))
    pool = ThreadPoolExecutor(workers or os.cpu_count())
    try:
        waiting = [pool.submit(_measured, each, fidelity, modcrop, others) for each in pairing.pairs]
        results = []
        for each, future in zip(pairing.pairs, waiting, strict=True):
            results.append(result := future.result())
            if listener is not None:
                status = "failed" if result.reason else "done"
                listener.finished(Record(input=each.name, output=each.name, status=status, reason=result.reason))
    finally:
        pool.shutdown(cancel_futures=True)
    return _collected(pairing, results, _facts(fidelity, modcrop, others), restored)


def empty_record() -> dict[str, Any]:
    """Return the record of a measurement without paired metrics."""
    shape: dict[str, Any] = {"protocol": {}, "mean": {}, "interval": {}, "pictures": []}
    return {**shape, "missing": [], "extra": [], "failed": [], "notes": []}


def written(metric: str, value: float, *, signed: bool = False) -> str:
    """Write a number with the digits that are usual for its metric."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "identical"
    digits, sign = _DIGITS.get(metric), "+" if signed else ""
    return f"{value:{sign}.4g}" if digits is None else f"{value:{sign}.{digits}f}"


def modcropped(picture: NDArray[Any], multiple: int) -> NDArray[Any]:
    """Cut ``(H, W, ...)`` at the right and below to a multiple of ``multiple`` pixels."""
    height, width = picture.shape[:2]
    return picture[: height - height % multiple, : width - width % multiple]


def _facts(fidelity: Fidelity, modcrop: int, others: Sequence[Metric]) -> dict[str, Any]:
    facts: dict[str, Any] = dict(fidelity.facts())
    facts["metrics"] = ", ".join([*fidelity.metrics, *(metric.name for metric in others)])
    facts["modcrop"] = modcrop
    facts["alpha"] = "ignored"
    for metric in others:
        facts |= metric.facts()
    return facts


def _measured(each: Pair, fidelity: Fidelity, modcrop: int, others: Sequence[Metric]) -> _Result:
    """Measure one pair; whatever is wrong with it is its reason."""
    try:
        ours, theirs = images.read(each.restored), images.read(each.reference)
        mask = None
        if fidelity.region == "mask" and each.mask is not None:
            mask = modcropped(read_mask(each.mask, images.DEFAULT_MAX_PIXELS), modcrop)
    except PictureError as error:
        return _Result(reason=str(error))
    try:
        pixels = modcropped(theirs.pixels, modcrop)
        values = fidelity.measure(ours.pixels, pixels, mask)
        if others:
            pair = fidelity.cropped(ours.pixels), fidelity.cropped(pixels)
            values |= {metric.name: metric.measure(*pair) for metric in others}
    except PictureError as error:
        return _Result(reason=error.reason if error.subject == "picture" else str(error))
    except MemoryError:
        return _Result(reason="is too large for the memory of this machine; use fewer --workers")
    if any(math.isnan(value) for value in values.values()):
        return _Result(reason="holds samples that are not numbers")
    return _Result(values, _seen(ours, theirs))


def _seen(ours: Picture, theirs: Picture) -> _Seen:
    notes = []
    if ours.pixels.shape[2] != theirs.pixels.shape[2]:
        notes.append("grey beside colour: the grey picture counts as three equal channels")
    if ours.pixels.dtype != theirs.pixels.dtype:
        notes.append(f"{_depth(ours)} bits restored beside {_depth(theirs)} bits: both put on one scale, unrounded")
    if ours.alpha is not None or theirs.alpha is not None:
        notes.append("alpha ignored")
    return _Seen(_depth(theirs), tuple(notes))


def _depth(picture: Picture) -> int:
    return 8 * picture.pixels.dtype.itemsize


def _collected(pairing: Any, results: Sequence[_Result], facts: dict[str, Any], restored: Path) -> Evaluation:
    together = list(zip(pairing.pairs, results, strict=True))
    scores = tuple(Score(each, result.values) for each, result in together if not result.reason)
    failed = tuple((each.name, result.reason) for each, result in together if result.reason) + pairing.refused
    if not scores:
        name, reason = failed[0]
        others = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise PictureError(restored, f"no picture could be measured: {name}: {reason}{others}")
    seen = [result.seen for _, result in together if not result.reason]
    depths = sorted({each.depth for each in seen})
    facts["depth"] = depths[0] if len(depths) == 1 else ", ".join(map(str, depths))
    facts["pictures"] = len(scores)
    counts = Counter(note for each in seen for note in each.notes)
    notes = [f"{count} of {len(scores)} pictures: {note}" for note, count in sorted(counts.items())]
    if identical := sum(math.inf in score.values.values() for score in scores):
        notes.append(f"{identical} of {len(scores)} pictures: equal to the reference; left out of the mean PSNR")
    return Evaluation(facts, scores, pairing.missing, pairing.extra, failed, tuple(notes))


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
