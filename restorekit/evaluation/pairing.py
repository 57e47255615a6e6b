"""Finds which reference belongs to which restored picture: by name, never by position."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from restorekit.batch.manifest import Record, read_history
from restorekit.batch.plan import Item, make_plan
from restorekit.errors import OutputError, UsageError

__all__ = ["Pair", "Pairing", "pair"]


@dataclass(frozen=True, slots=True)
class Pair:
    """One restored picture and what it is measured against.

    Parameters
    ----------
    name : str
        The reference's place below its folder, with ``/``.
    restored, reference : Path
        The files.
    mask : Path, optional
        The mask of its hole.
    """

    name: str
    restored: Path
    reference: Path
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Pairing:
    """What was found.

    Parameters
    ----------
    pairs : tuple of Pair
        In the order of their names.
    missing : tuple of str
        References that no restored picture belongs to.
    extra : tuple of str
        Restored pictures that have no reference.
    refused : tuple of (str, str)
        Restored pictures for which several references would do, and folders that cannot be read, with the reason.
    """

    pairs: tuple[Pair, ...]
    missing: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()


def pair(restored: Path, reference: Path, masks: Path | None = None) -> Pairing:
    """Pair the pictures of two folders, or two single files.

    Two pictures belong together when their names below the folders are equal: with extensions (``a/b.png``), or as
    the pipeline names conversions (``b.jpg.png`` for ``b.jpg``), or without extensions (``a/b.png`` with ``a/b.jpg``);
    case counts only where it has to. Where the restored folder holds a run's manifest, the names of the run's inputs
    count instead of those of its outputs. Masks (``NAME.mask.png``) are no pictures.

    Parameters
    ----------
    restored, reference : Path
        Two folders (searched recursively) or two files.
    masks : Path, optional
        A folder of masks paired by name; without it, ``NAME.mask.png`` beside the reference or the restored picture.

    Raises
    ------
    UsageError
        One of the two does not exist, holds no picture, or is a file where the other is a folder; or no name is in
        both.
    """
    for path in (restored, reference):
        if not path.exists():
            raise UsageError(path, "does not exist", "check the spelling")
    if restored.is_dir() != reference.is_dir():
        raise UsageError(restored, f"cannot be paired with {reference}", "give two folders or two files")
    if masks is not None and masks.resolve() in (restored.resolve(), reference.resolve()):
        masks = None  # they lie beside the pictures, which are no masks themselves
    ours, our_troubles = _pictures(restored, masks)
    theirs, their_troubles = _pictures(reference, masks)
    if not restored.is_dir():
        mask = theirs[0].mask or ours[0].mask
        return Pairing((Pair(theirs[0].name, restored, reference, mask),))
    found = _match(ours, _known_by(ours, restored), theirs)
    if not found.pairs and not found.refused:
        problem = f"none of its {len(ours)} names is among the {len(theirs)} of {reference}"
        example = f"{ours[0].name} and {theirs[0].name} are the first; names are equal but for their extensions"
        raise UsageError(restored, problem, example)
    return Pairing(found.pairs, found.missing, found.extra, (*found.refused, *our_troubles, *their_troubles))


def _pictures(root: Path, masks: Path | None) -> tuple[tuple[Item, ...], list[tuple[str, str]]]:
    """List the pictures below a folder with their masks, and what could not be looked into."""
    plan = make_plan([root], root / ".restorekit-evaluate", masks=masks)
    if not plan.items:
        raise UsageError(root, "holds no picture", "name a folder of pictures")
    return plan.items, [(str(path), f"cannot be read ({reason})") for path, reason in plan.unreadable]


def _known_by(items: Sequence[Item], folder: Path) -> dict[str, str]:
    """Name restored pictures by the inputs that they were made from, where a manifest tells."""
    records: dict[str, Record] = {}
    for path in sorted(folder.glob("manifest*.jsonl")):
        try:
            records |= read_history(path).records
        except OutputError:
            continue  # somebody else's file: the pictures' own names will do
    inputs = {record.output: record.input for record in records.values() if record.status == "done"}
    return {item.name: inputs.get(item.name, item.name) for item in items}


def _match(restored: Sequence[Item], known_by: Mapping[str, str], references: Sequence[Item]) -> Pairing:
    """Pair in the order of how much two names agree; what several would fit is refused."""
    pairs: list[Pair] = []
    refused: list[tuple[str, str]] = []
    ours, theirs = {item.name: item for item in restored}, {item.name: item for item in references}
    open_ours, open_theirs = dict(known_by), {name: name for name in theirs}
    for fold, (our_key, their_key) in itertools.product((str, str.casefold), _AGREEMENTS):
        groups = _grouped(open_ours, our_key, fold)
        # Among all references: that one is taken by a better match does not make the other one the answer.
        candidates = _grouped({name: name for name in theirs}, their_key, fold)
        for key in sorted(groups.keys() & candidates.keys()):
            names, fitting = groups[key], candidates[key]
            if open_theirs.keys().isdisjoint(fitting):
                continue
            if len(names) == len(fitting) == 1:
                our, their = ours[names[0]], theirs[fitting[0]]
                pairs.append(Pair(their.name, our.source, their.source, their.mask or our.mask))
            else:
                refused += [(name, _ambiguous(name, names, fitting)) for name in names]
            for name in names:
                del open_ours[name]
            for name in fitting:
                open_theirs.pop(name, None)
    return Pairing(
        tuple(sorted(pairs, key=lambda pair: pair.name)), tuple(open_theirs), tuple(open_ours), tuple(sorted(refused))
    )


def _grouped(names: Mapping[str, str], key: Callable[[str], str], fold: Callable[[str], str]) -> dict[str, list[str]]:
    """Sort pictures into groups by what their names look like through ``key``."""
    groups: dict[str, list[str]] = {}
    for picture, name in names.items():
        groups.setdefault(fold(key(name)), []).append(picture)
    return groups


def _whole(name: str) -> str:
    return name


def _stem(name: str) -> str:
    return str(PurePosixPath(name).with_suffix(""))


#: What of a restored and of a reference's name is compared, the surest first.
_AGREEMENTS = ((_whole, _whole), (_stem, _whole), (_stem, _stem))


def _ambiguous(name: str, names: Sequence[str], candidates: Sequence[str]) -> str:
    if len(candidates) > 1:
        return f"could belong to {' or '.join(sorted(candidates))}; give it the whole name of its reference"
    others = sorted(set(names) - {name})
    return f"belongs to {candidates[0]} as {' and '.join(others)} does; keep one of them"
