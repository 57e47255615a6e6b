"""Sets a saved measurement beside a new one: only numbers of one protocol, picture by picture."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from restorekit.errors import UsageError
from restorekit.evaluation.intervals import average, interval
from restorekit.evaluation.protocol import differences

__all__ = ["Comparison", "Difference", "compare", "read_record"]

#: Facts that do not change what a number of one picture means.
_HARMLESS = ("metrics", "pictures")


@dataclass(frozen=True, slots=True)
class Difference:
    """One metric of the pictures that both measurements have.

    Parameters
    ----------
    metric : str
        Its name.
    ours, theirs, difference : float
        Means, and the mean of ours minus theirs, over the pictures where both are finite.
    interval : tuple of float
        95 % paired bootstrap interval of the difference: both methods on the same resampled pictures.
    pictures : int
        How many there are; 0 for a metric of whole folders, which has no interval.
    """

    metric: str
    ours: float
    theirs: float
    difference: float
    interval: tuple[float, float]
    pictures: int

    @property
    def certain(self) -> bool:
        """Whether the interval leaves out 0."""
        low, high = self.interval
        return low > 0 or high < 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """All metrics that both measurements have.

    Parameters
    ----------
    differences : tuple of Difference
        One a metric.
    protocols : tuple of str
        In what the protocols differ, where the comparison was forced.
    unshared : int
        Pictures that only one of the two has.
    """

    differences: tuple[Difference, ...]
    protocols: tuple[str, ...] = ()
    unshared: int = 0

    def record(self) -> dict[str, Any]:
        """Return the whole in JSON's types."""
        return {
            "differences": [
                {
                    "metric": each.metric,
                    "ours": each.ours,
                    "theirs": each.theirs,
                    "difference": each.difference,
                    "interval": [end if math.isfinite(end) else None for end in each.interval],
                    "pictures": each.pictures,
                }
                for each in self.differences
            ],
            "protocols": list(self.protocols),
            "unshared": self.unshared,
        }


def read_record(path: Path) -> dict[str, Any]:
    """Read what ``evaluate --json`` or ``-o`` wrote.

    Raises
    ------
    UsageError
        The file cannot be read, or holds something else.
    """
    try:
        record = json.loads(path.read_bytes())
        sound = isinstance(record["protocol"], dict) and isinstance(record["mean"], dict)
        sound = sound and all(isinstance(each["name"], str) for each in record["pictures"])
    except OSError as error:
        raise UsageError(path, f"cannot be read ({error.strerror})", "check the path") from error
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(path, "is no measurement", "give a file that `restorekit evaluate -o` wrote") from error
    if not sound:
        raise UsageError(path, "is no measurement", "give a file that `restorekit evaluate -o` wrote")
    return record


def compare(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, force: bool = False) -> Comparison:
    """Compare two measurements: paired metrics on the pictures that both have, those of whole folders as they are.

    Parameters
    ----------
    ours, theirs : mapping
        As `restorekit.evaluation.folders.Evaluation.record` returns them, with ``distribution`` where it was measured.
    force : bool, optional
        Compare although the protocols differ, and say in what.

    Raises
    ------
    UsageError
        The protocols differ; or there is no common metric or picture.
    """
    paired, unshared = _paired(ours, theirs)
    whole = _whole(ours, theirs)
    protocols = [*(_protocols(ours, theirs) if paired else ()), *(_distributions(ours, theirs) if whole else ())]
    if not paired and not whole:
        problem = "the two measurements have no metric of the same pictures in common"
        raise UsageError("--compare", problem, "measure the same references with the same metrics")
    if protocols and not force:
        raise UsageError(
            "--compare", f"the protocols differ: {'; '.join(protocols)}", "measure both in one way, or --force it"
        )
    return Comparison((*paired, *whole), tuple(protocols), unshared)


def _paired(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> tuple[list[Difference], int]:
    """Return the differences of the paired metrics, and how many pictures only one of the two has."""
    our_pictures, their_pictures = _by_name(ours, theirs)
    shared = [(picture, their_pictures[name]) for name, picture in our_pictures.items() if name in their_pictures]
    found = []
    for metric in (name for name in ours["mean"] if name in theirs["mean"]):
        pairs = [(our.get(metric), their.get(metric)) for our, their in shared]
        finite = [(float(a), float(b)) for a, b in pairs if a is not None and b is not None]
        if finite:
            changes = [a - b for a, b in finite]
            our_mean, their_mean = (average(list(side)) for side in zip(*finite, strict=True))
            found.append(
                Difference(metric, our_mean, their_mean, average(changes), interval(changes), pictures=len(changes))
            )
    return found, len(our_pictures.keys() ^ their_pictures.keys())


def _whole(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[Difference]:
    """Return the differences of the metrics of whole folders, which have no interval."""
    values = [record.get("distribution", {}).get("values", {}) for record in (ours, theirs)]
    return [
        Difference(metric, a, values[1][metric], a - values[1][metric], (math.nan, math.nan), pictures=0)
        for metric, a in values[0].items()
        if metric in values[1]
    ]


def _protocols(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Say in what two protocols differ, but for what concerns a metric that only one of the two has."""
    alone = set(ours["mean"]) ^ set(theirs["mean"])  # facts of one metric alone are named like it
    return differences(ours["protocol"], theirs["protocol"], ignoring={*_HARMLESS, *alone})


def _distributions(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    our, their = ours["distribution"], theirs["distribution"]
    facts = our["protocol"], their["protocol"]
    # Other metrics bring facts of their own: what only one side states is theirs.
    alone = set() if set(our["values"]) == set(their["values"]) else facts[0].keys() ^ facts[1].keys()
    return differences(*facts, ignoring={"metrics", *alone})


def _by_name(*records: Mapping[str, Any]) -> list[dict[str, Mapping[str, Any]]]:
    """Return each record's pictures by name; without extensions, unless they tell pictures apart."""
    for key in (_stem, str):
        named = [{key(each["name"]): each for each in record["pictures"]} for record in records]
        if all(len(each) == len(record["pictures"]) for each, record in zip(named, records, strict=True)):
            break
    return named


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))
