"""Scores of one set of pictures against another, streamed from memory or gathered before."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from restorekit.errors import PictureError, UsageError
from restorekit.evaluation.distribution.frechet import frechet_distance
from restorekit.evaluation.distribution.inception_score import inception_score
from restorekit.evaluation.distribution.kernel import kernel_distance, unbiased_mmd
from restorekit.evaluation.distribution.moments import Moments
from restorekit.evaluation.distribution.names import resolve
from restorekit.evaluation.distribution.networks import FeatureNetwork
from restorekit.evaluation.distribution.precision_recall import precision_recall
from restorekit.evaluation.distribution.stored import Statistics
from restorekit.evaluation.protocol import Facts

__all__ = ["OF_FEATURES", "Scores", "Settings", "distribution_scores", "gathered", "scored"]

#: What needs the features of both sides; the others make do with a Gaussian, or with our side alone.
OF_FEATURES = {"kernel", "kernel-whole", "precision", "recall"}
#: Pictures below which a Fréchet distance on Inception says more about their number than about them.
_FEW = 2048


@dataclass(frozen=True, slots=True)
class Settings:
    """What the metrics can be told.

    Parameters
    ----------
    seed : int
        Of the kernel distance's subsets and the Inception Score's shuffling.
    subsets : int
        Of the kernel distance.
    subset_size : int, optional
        See `kernel_distance`.
    splits : int
        Of the Inception Score.
    neighbours : int
        Of precision and recall.
    """

    seed: int = 0
    subsets: int = 100
    subset_size: int | None = None
    splits: int = 10
    neighbours: int = 3


@dataclass(frozen=True, slots=True)
class Scores:
    """Numbers and how they were computed.

    Parameters
    ----------
    values : dict of str to float
        By metric.
    standard_errors : dict of str to float
        Of those that have one: of the kernel distance over its subsets, of the Inception Score over its splits. Papers
        print the standard deviation over them, larger by the root of their number, which the facts state.
    facts : mapping
        The protocol.
    skipped : tuple of (str, str)
        Pictures that could not be read, with the reason.
    notes : tuple of str
        What is good to know about the numbers.
    """

    values: dict[str, float]
    standard_errors: dict[str, float]
    facts: Facts
    skipped: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()


def distribution_scores(
    ours: Iterable[Tensor] | Statistics,
    theirs: Iterable[Tensor] | Statistics,
    network: FeatureNetwork,
    metrics: Sequence[str] = ("fid",),
    *,
    settings: Settings = Settings(),
) -> Scores:
    """Compare pictures in memory, streamed through a network.

    Parameters
    ----------
    ours, theirs : iterable of Tensor
        Batches ``(N, 3, H, W)`` or ``(N, 1, H, W)`` uint8; or statistics that were gathered before. Memory grows
        with the pictures only for metrics that need their features: all but Fréchet distances.
    network : FeatureNetwork
        Makes the features.
    metrics : sequence of str
        Names of metrics on this network, such as ``"fid"``.
    settings : Settings
        Of the metrics.

    Raises
    ------
    UsageError
        The metrics are not of this network, or statistics do not hold what they need, or there are too few pictures.
    PictureError
        The network makes NaN or infinity of a picture.
    """
    name, kinds = resolve(metrics)
    if name != network.name:
        raise UsageError("--metric", f"{next(iter(kinds))} is not on {network.name}", "choose another metric")
    wanted = set(kinds.values())
    sides = [
        side
        if isinstance(side, Statistics)
        else gathered(_featured(side, network), network, bool(wanted & needing), subject)
        for side, needing, subject in (
            (ours, {*OF_FEATURES, "inception-score"}, "the samples"),
            (theirs, OF_FEATURES, "the reference"),
        )
    ]
    return scored(sides[0], sides[1], network, kinds, settings)


def _featured(batches: Iterable[Tensor], network: FeatureNetwork) -> Iterator[tuple[list[str], Tensor]]:
    number = 0
    for batch in batches:
        if batch.dtype != torch.uint8 or batch.ndim != 4 or batch.shape[1] not in (1, 3):
            raise ValueError(f"pictures of {batch.dtype} and shape {tuple(batch.shape)} are not (N, 3, H, W) uint8")
        names = [f"picture {number + index + 1}" for index in range(len(batch))]
        number += len(batch)
        if names:
            yield names, network.features(batch.expand(-1, 3, -1, -1))


def gathered(
    batches: Iterable[tuple[list[str], Tensor]], network: FeatureNetwork, keep: bool, subject: object
) -> Statistics:
    """Take in named features, and keep them where they are needed; errors are about ``subject`` or a picture."""
    moments = Moments(network.dimensions)
    kept: list[Tensor] = []
    for names, features in batches:
        finite = torch.isfinite(features).all(dim=1)
        if not finite.all():
            bad = names[int((~finite).nonzero()[0])]
            problem = f"the network {network.name} makes NaN or infinity of it"
            raise PictureError(bad, problem, "check the network's weights file")
        moments.update(features)
        if keep:
            kept.append(features)
    if moments.count < 2:
        problem = f"has {('no picture', 'one picture')[moments.count]} that can be read"
        raise UsageError(subject, problem, "a distribution needs at least two; papers use 10,000 and more")
    return Statistics.of(moments, network.facts(), torch.cat(kept) if keep else None)


def scored(
    ours: Statistics, theirs: Statistics, network: FeatureNetwork, kinds: Mapping[str, str], settings: Settings
) -> Scores:
    """Compute metrics, by name what `resolve` says they are, of what was gathered."""
    values: dict[str, float] = {}
    errors: dict[str, float] = {}
    facts: dict[str, Any] = {
        "metrics": ", ".join(kinds),
        **network.facts(),
        "samples": ours.count,
        "reference_samples": theirs.count,
    }
    shares: tuple[float, float] | None = None
    for metric, kind in kinds.items():
        if kind == "frechet":
            values[metric] = frechet_distance(ours, theirs)
        elif kind == "inception-score":
            values[metric], errors[metric], said = _inception_score(ours, network, settings)
            facts |= said
        elif kind == "kernel-whole":
            values[metric] = unbiased_mmd(*_both(ours, theirs, metric))
        elif kind == "kernel":
            values[metric], errors[metric], said = _kernel(*_both(ours, theirs, metric), settings)
            facts |= said
        else:
            shares = shares or _shares(*_both(ours, theirs, metric), settings)
            values[metric] = shares[kind == "recall"]
            facts["neighbours"] = settings.neighbours
    known = {metric: error for metric, error in errors.items() if not math.isnan(error)}
    return Scores(values, known, facts, notes=_notes(ours, theirs, kinds, network.dimensions))


def _both(ours: Statistics, theirs: Statistics, metric: str) -> tuple[Tensor, Tensor]:
    for side in (ours, theirs):
        if side.features is None:
            raise UsageError(metric, "needs features, and the statistics hold none", "name a folder of pictures")
    assert ours.features is not None
    assert theirs.features is not None
    return ours.features, theirs.features


def _kernel(ours: Tensor, theirs: Tensor, settings: Settings) -> tuple[float, float, dict[str, Any]]:
    least = min(len(ours), len(theirs))
    if settings.subset_size is not None and not 2 <= settings.subset_size <= least:
        problem = f"subsets of {settings.subset_size} cannot be drawn from {least} pictures"
        raise UsageError("the kernel distance", problem, f"use 2 to {least}")
    found = kernel_distance(
        ours, theirs, subsets=settings.subsets, subset_size=settings.subset_size, seed=settings.seed
    )
    said = {
        "kernel": "(x.y/d + 1)^3, unbiased",
        "kernel_subsets": f"{found.subsets} of {found.subset_size}, seed {settings.seed}",
        "kernel_error": "standard error over the subsets",
    }
    return found.mean, found.standard_error, said


def _inception_score(
    ours: Statistics, network: FeatureNetwork, settings: Settings
) -> tuple[float, float, dict[str, Any]]:
    classify = getattr(network, "classify", None)
    if classify is None or ours.features is None:
        raise UsageError("inception-score", f"is not to be had of {network.name}", "use inception and a folder")
    found = inception_score(classify(ours.features), splits=settings.splits, seed=settings.seed)
    said = {
        "inception_score_classes": "1008, without bias",
        "inception_score_splits": f"{found.splits}, shuffled with seed {settings.seed}",
        "inception_score_error": "standard error over the splits",
    }
    error = found.deviation / math.sqrt(found.splits) if found.splits > 1 else math.nan
    return found.mean, error, said


def _shares(ours: Tensor, theirs: Tensor, settings: Settings) -> tuple[float, float]:
    least = min(len(ours), len(theirs))
    if least <= settings.neighbours:
        problem = f"{least} pictures do not have {settings.neighbours} neighbours each"
        raise UsageError("precision and recall", problem, "measure more pictures")
    return precision_recall(ours, theirs, neighbours=settings.neighbours)


def _notes(ours: Statistics, theirs: Statistics, kinds: Mapping[str, str], dimensions: int) -> tuple[str, ...]:
    notes = []
    counts = [side.count for side in (ours, theirs) if side.count is not None]
    if "frechet" in kinds.values() and min(counts) < _FEW:
        metric = next(name for name, kind in kinds.items() if kind == "frechet")
        notes.append(
            f"{metric} of {min(counts)} pictures is too high by an amount that depends on their number: compare it "
            "with others of the same number alone; papers use 10,000 and more"
        )
    if not theirs.facts:
        notes.append("the reference statistics do not say which network and resizing they were made with")
    return tuple(notes)
