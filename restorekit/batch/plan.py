"""Decides what a run will do before it does anything: which pictures, which masks, which output names."""

from __future__ import annotations

import fnmatch
import functools
import glob
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from restorekit.errors import UsageError
from restorekit.images.formats import FORMATS, PICTURE_SUFFIXES, format_of_extension

__all__ = ["Item", "Plan", "Shard", "make_plan", "written_format"]

#: Files of a run that are never taken for inputs, should OUT be given as an input later.
_OWN_FILES = ("manifest*.jsonl", "report*.html", ".restorekit*")


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` (from 1) of ``count`` equal parts of a run, for machines that share nothing but folders."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``"2/8"``.

        Raises
        ------
        UsageError
            Not two numbers with 1 <= index <= count.
        """
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and 1 <= int(index) <= int(count)):
            raise UsageError("--shard", f"{text!r} is no shard", "write i/n with i from 1 to n, for example 2/8")
        return cls(int(index), int(count))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    @property
    def suffix(self) -> str:
        """To tell this shard's files apart; empty for a run that is not split."""
        return "" if self.count == 1 else f".{self.index}-of-{self.count}"


@dataclass(frozen=True, slots=True)
class Item:
    """One picture of the plan.

    Parameters
    ----------
    source : Path
        Where it is read from.
    name : str
        Its place below the input folder, with ``/``: its identity in the manifest, and the source of its seed.
    output : str
        Its place below OUT, with ``/``.
    mask : Path, optional
        The mask that belongs to it.
    """

    source: Path
    name: str
    output: str
    mask: Path | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run will do.

    Parameters
    ----------
    items : tuple of Item
        In the order of their names.
    ignored : tuple of Path
        Files that are no pictures.
    unreadable : tuple of (Path, str)
        Folders and links that could not be followed, with the reason.
    """

    items: tuple[Item, ...]
    ignored: tuple[Path, ...] = ()
    unreadable: tuple[tuple[Path, str], ...] = ()


@dataclass(slots=True)
class _Found:
    pictures: list[tuple[Path, str]] = field(default_factory=list)
    masks: list[Path] = field(default_factory=list)
    ignored: list[Path] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)


def make_plan(
    inputs: Sequence[str | os.PathLike[str]],
    output: Path,
    *,
    masks: Path | None = None,
    format: str | None = None,
    known: Mapping[str, str] | None = None,
) -> Plan:
    """List the pictures below the inputs and name their outputs.

    Parameters
    ----------
    inputs : sequence of path-like
        Files, folders (searched recursively, structure kept) and glob patterns.
    output : Path
        The folder that outputs go to; inside an input folder it is left out of the search.
    masks : Path, optional
        A folder whose pictures are masks, paired by name.
    format : str, optional
        Output format for all pictures; by default each keeps its own.
    known : mapping, optional
        Output names given to inputs by earlier runs; they stay.

    Returns
    -------
    Plan
        No two outputs share a name, also where file systems ignore case, and none is one of the inputs.

    Raises
    ------
    UsageError
        An input does not exist, no picture is found, or outputs would overwrite inputs.
    """
    found = _Found()
    roots = [path for text in inputs for path in _expand(text)]
    folders = [root for root in roots if root.is_dir()]
    for root in roots:
        if root.is_dir():
            # With several folders each keeps its own name, so that equal names inside do not meet.
            prefix = "" if len(folders) == 1 else f"{_real(root).name}/"
            _search(root, prefix, _real(output), masks, found)
        else:
            found.pictures.append((root, root.name))
    pictures = _unique(found.pictures)
    if masks is not None and not masks.is_dir():
        raise UsageError(masks, "is no folder", "--masks wants the folder that holds the masks")
    names = _output_names(pictures, format, known or {})
    items = tuple(
        Item(path, name, names[name], _mask_for(path, name, masks))
        for path, name in sorted(pictures, key=lambda pair: pair[1])
    )
    _masks_in.cache_clear()
    used = {item.mask for item in items}
    lost = [mask for mask in found.masks if mask not in used]
    _refuse_overwriting_inputs(items, output)
    return Plan(items, tuple(sorted([*found.ignored, *lost])), tuple(found.unreadable))


def _expand(text: str | os.PathLike[str]) -> list[Path]:
    path = Path(text)
    if os.path.lexists(path):
        return [path]
    matches = sorted(Path(match) for match in glob.glob(str(text), recursive=True))
    if not matches:
        raise UsageError(path, "does not exist", "check the spelling, or quote the pattern")
    return matches


def _real(path: Path) -> Path:
    """Follow links; unlike ``Path.resolve`` it takes links that lead in a circle for what they are."""
    return Path(os.path.realpath(path))


def _search(root: Path, prefix: str, output: Path, masks: Path | None, found: _Found) -> None:
    if _real(root) == output:
        raise UsageError(root, "is both input and output", "choose another folder for -o")
    skipped = {output} | ({_real(masks)} if masks is not None else set())
    for path in _walk(root, skipped, found):
        name = prefix + path.relative_to(root).as_posix()
        suffix = path.suffix.lower()
        if any(fnmatch.fnmatch(path.name, pattern) for pattern in _OWN_FILES):
            continue
        if suffix not in PICTURE_SUFFIXES:
            found.ignored.append(path)
        elif PurePosixPath(path.stem).suffix.lower() == ".mask":
            found.masks.append(path)
        else:
            found.pictures.append((path, name))


def _walk(root: Path, skipped: set[Path], found: _Found, seen: frozenset[Path] = frozenset()) -> Iterator[Path]:
    real = _real(root)
    if real in skipped or real in seen:  # a link that leads back up would never end
        return
    try:
        entries = sorted(os.scandir(root), key=lambda entry: entry.name)
    except OSError as error:
        found.unreadable.append((root, error.strerror or str(error)))
        return
    for entry in entries:
        path = root / entry.name
        if path.is_dir():  # unlike the entry, it bears links that lead in a circle
            if path.suffix.lower() in PICTURE_SUFFIXES and not any(path.iterdir()):
                yield path  # looks like a picture, and is reported as one that cannot be read
            yield from _walk(path, skipped, found, seen | {real})
        else:
            yield path


def _unique(pictures: Sequence[tuple[Path, str]]) -> list[tuple[Path, str]]:
    """Drop a picture named twice, and number different pictures that carry one name."""
    unique: dict[Path, tuple[Path, str]] = {}
    taken: set[str] = set()
    for path, name in pictures:
        if path.absolute() in unique:
            continue
        number, free = 2, name
        while free in taken:
            pure = PurePosixPath(name)
            free, number = str(pure.with_name(f"{pure.stem} ({number}){pure.suffix}")), number + 1
        taken.add(free)
        unique[path.absolute()] = (path, free)
    return list(unique.values())


def written_format(name: str) -> str:
    """Return the format that pictures of format ``name`` are written in by default: their own where it can be."""
    return name if FORMATS[name].written else "png"


def _new_suffix(suffix: str, wanted: str | None) -> str | None:
    """Return the suffix that an output gets, or ``None`` where it keeps its own."""
    own = format_of_extension(suffix)
    written = wanted or (own and written_format(own))
    return None if written is None or written == own else FORMATS[written].suffixes[0]


def _output_names(pictures: Sequence[tuple[Path, str]], wanted: str | None, known: Mapping[str, str]) -> dict[str, str]:
    """Name the outputs; ``a.jpg`` that becomes a PNG is ``a.png``, or ``a.jpg.png`` where ``a.png`` is taken."""
    names = sorted(name for _, name in pictures)
    outputs = {name: known[name] for name in names if name in known}
    taken = {output.casefold() for output in outputs.values()}
    # Names that stay as they are come first, so that a converted file gives way to them.
    for name in sorted(names, key=lambda name: (_new_suffix(PurePosixPath(name).suffix, wanted) is not None, name)):
        if name in outputs:
            continue
        pure = PurePosixPath(name)
        suffix = _new_suffix(pure.suffix, wanted)
        first = name if suffix is None else str(pure.with_suffix(suffix))
        second = name if suffix is None else name + suffix
        outputs[name] = _free([first, second], taken)
        taken.add(outputs[name].casefold())
    return outputs


def _free(candidates: Sequence[str], taken: set[str]) -> str:
    for candidate in candidates:
        if candidate.casefold() not in taken:
            return candidate
    pure = PurePosixPath(candidates[-1])
    number = 2
    while (name := str(pure.with_name(f"{pure.stem} ({number}){pure.suffix}"))).casefold() in taken:
        number += 1
    return name


def _mask_for(path: Path, name: str, folder: Path | None) -> Path | None:
    """Find ``photo.mask.png`` or ``photo.jpg.mask.png``; in a masks folder also ``photo.png``, in any format."""
    masks = _masks_in(path.parent, False) if folder is None else _masks_in(folder / PurePosixPath(name).parent, True)
    return masks.get(path.name) or masks.get(path.stem)


@functools.lru_cache(maxsize=256)
def _masks_in(folder: Path, plain_names: bool) -> Mapping[str, Path]:
    """Map picture names, with and without extension, to the masks in a folder; read once, however many pictures."""
    try:
        entries = sorted(os.listdir(folder), reverse=True)
    except OSError:
        return {}
    masks: dict[str, Path] = {}
    for entry in entries:
        path = folder / entry
        if path.suffix.lower() in PICTURE_SUFFIXES:
            inner = PurePosixPath(path.stem)
            if inner.suffix.lower() == ".mask":
                masks[inner.stem] = path
            elif plain_names:
                masks.setdefault(path.stem, path)
    return masks


def _refuse_overwriting_inputs(items: Sequence[Item], output: Path) -> None:
    sources = {_real(item.source) for item in items} | {_real(item.mask) for item in items if item.mask}
    for item in items:
        if _real(output / item.output) in sources:
            raise UsageError(
                output / item.output, "is an input and would be overwritten", "choose another folder for -o"
            )
