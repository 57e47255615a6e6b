"""Scores of a folder of pictures against another folder, or against statistics in a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from restorekit.batch.manifest import Record
from restorekit.batch.plan import Item, Plan
from restorekit.batch.workers import Listener, Silent
from restorekit.errors import NotAvailable, OutputError, UsageError
from restorekit.evaluation.distribution.names import resolve
from restorekit.evaluation.distribution.networks import FeatureNetwork, feature_network
from restorekit.evaluation.distribution.pictures import Reading, pictures_below, read_features
from restorekit.evaluation.distribution.scores import OF_FEATURES, Scores, Settings, gathered, scored
from restorekit.evaluation.distribution.stored import (
    Statistics,
    cached_statistics,
    read_statistics,
    write_statistics,
)
from restorekit.evaluation.protocol import differences
from restorekit.weights.files import current_sha256

__all__ = ["compare_folders", "folder_statistics"]


@dataclass(slots=True)
class _Told:
    """Passes on to a listener, and remembers what was skipped."""

    listener: Listener
    skipped: list[tuple[str, str]] = field(default_factory=list)

    def planned(self, plan: Plan) -> None:
        self.listener.planned(plan)

    def finished(self, record: Record) -> None:
        if record.status == "failed":
            self.skipped.append((record.input, record.reason))
        self.listener.finished(record)


def compare_folders(
    restored: Path,
    reference: Path,
    metrics: Sequence[str] = ("fid",),
    *,
    files: Mapping[str, Path] | None = None,
    resize: str = "pytorch-fid",
    device: str = "auto",
    settings: Settings = Settings(),  # noqa: B008
    reading: Reading = Reading(),  # noqa: B008
    listener: Listener | None = None,
    cache: bool = True,
) -> Scores:
    """Compare the pictures of a folder with those of another, or with statistics in a file.

    Parameters
    ----------
    restored : Path
        A folder of pictures of any sizes.
    reference : Path
        A folder, whose statistics are kept in the cache; or a ``.npz`` or ``.safetensors`` file of statistics.
    metrics : sequence of str
        Names of metrics on one network; see `restorekit.evaluation.distribution.DISTRIBUTION_METRICS`.
    files : mapping, optional
        From the name of a network to its weights file.
    resize, device : str
        See `feature_network`.
    settings : Settings
        Of the metrics.
    reading : Reading
        How folders are read.
    listener : Listener, optional
        Is told of progress, and of pictures that cannot be read.
    cache : bool
        Keep and use the reference's statistics.

    Raises
    ------
    UsageError
        The request is wrong: an empty folder, one picture, statistics of another network.
    NotAvailable
        A network or statistics are not here.
    PictureError
        A picture cannot be read and ``reading`` is strict, or the network makes NaN of it.
    """
    name, kinds = resolve(metrics)
    wanted = set(kinds.values())
    items = pictures_below(restored)
    stored = None if reference.is_dir() else read_statistics(reference)
    their_items = pictures_below(reference) if stored is None else ()
    network = feature_network(name, (files or {}).get(name), resize, device)
    facts: dict[str, Any] = {}
    place = None
    if stored is not None:
        _require_fitting(stored, network, wanted, reference)
        facts = {"reference": "statistics from a file", "reference_sha256": current_sha256(reference)}
    elif cache:
        place, stored = _recall(their_items, network, bool(wanted & OF_FEATURES))
    told = _Told(listener or Silent())
    told.planned(Plan((*(() if stored is not None else their_items), *items)))
    if stored is None:
        needed = bool(wanted & OF_FEATURES)
        stored = gathered(read_features(their_items, network, reading, told), network, needed, reference)
        if place is not None and not told.skipped:  # what a repaired file would change is not kept
            with suppress(OutputError):  # a cache that cannot be written costs time, not the number
                write_statistics(place, stored)
    keep = bool(wanted & {*OF_FEATURES, "inception-score"})
    ours = gathered(read_features(items, network, reading, told), network, keep, restored)
    scores = scored(ours, stored, network, kinds, settings)
    return replace(scores, facts={**scores.facts, **facts}, skipped=tuple(told.skipped))


def folder_statistics(
    folder: Path,
    network: FeatureNetwork,
    *,
    features: bool = False,
    reading: Reading = Reading(),  # noqa: B008
    listener: Listener | None = None,
) -> Statistics:
    """Return the statistics of a folder, for `write_statistics`; with ``features`` also what KID and others need."""
    items = pictures_below(folder)
    told = listener or Silent()
    told.planned(Plan(items))
    return gathered(read_features(items, network, reading, told), network, features, folder)


def _recall(items: Sequence[Item], network: FeatureNetwork, features: bool) -> tuple[Path, Statistics | None]:
    """Look into the cache: where statistics go, and those that are there, if they hold what is needed."""
    place = cached_statistics([item.source for item in items], [item.name for item in items], network.facts())
    try:
        found = read_statistics(place)
    except NotAvailable:  # not there, or damaged: then it is written anew
        return place, None
    return place, None if features and found.features is None else found


def _require_fitting(stored: Statistics, network: FeatureNetwork, wanted: set[str], path: Path) -> None:
    """Refuse statistics that were made otherwise, before a thousand pictures are read."""
    if len(stored.mean) != network.dimensions:
        problem = f"has features of {len(stored.mean)} numbers, and {network.name} makes {network.dimensions}"
        raise UsageError(path, problem, "choose statistics of the same network")
    if stored.facts and (differing := differences(network.facts(), stored.facts)):
        raise UsageError(path, f"was made otherwise ({'; '.join(differing)})", "choose the same network and resizing")
    if stored.features is None and wanted & OF_FEATURES:
        problem = "holds mean and covariance, which suffice for the Fréchet distance alone"
        raise UsageError(path, problem, "name the folder of its pictures")
