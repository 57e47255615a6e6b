"""Finds out what ``--data`` names."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from restorekit.errors import NotAvailable, UsageError
from restorekit.sources.arrays import from_cifar, from_idx, from_npz, from_sheets
from restorekit.sources.folder import FolderSource
from restorekit.sources.pairs import PairSource, holds_pairs
from restorekit.sources.published import PUBLISHED, fetch_set
from restorekit.sources.sampling import Source

__all__ = ["open_source"]


def open_source(texts: Sequence[str], split: str = "train", *, pairs: bool = False) -> Source:
    """Open training or test data.

    Parameters
    ----------
    texts : sequence of str
        One of: ``"cifar10"``, ``"mnist"`` or ``"fashion-mnist"``, which are downloaded; folders of pictures; an
        ``.npz``; a folder with CIFAR-10's binary version or with MNIST's idx files; a pattern of tile sheets
        ``"sheets/*.webp#tile=32,classes=10"``.
    split : {"train", "test"}
        Which part, where the data has parts.
    pairs : bool
        Whether a folder with ``input`` and ``target`` in it stands for pairs, see `restorekit.sources.pairs`.

    Raises
    ------
    UsageError
        Nothing is there under this name.
    NotAvailable
        What is there cannot be read.
    """
    if not texts:
        raise UsageError("--data", "names nothing", "name a folder of pictures")
    first, _, options = texts[0].partition("#")
    if options:
        return _sheets(texts[0], first, options)
    if texts[0] in PUBLISHED and not Path(texts[0]).exists():
        texts = [str(fetch_set(texts[0]))]
    paths = [Path(text) for text in texts]
    for path in paths:
        if not path.exists():
            raise UsageError(path, "does not exist", "--data wants a folder of pictures, an .npz or tile sheets")
    if paths[0].is_file():
        if paths[0].suffix == ".npz" and len(paths) == 1:
            return from_npz(paths[0], split)
        raise UsageError(paths[0], "is no training data", "give a folder, an .npz, or sheets with #tile=SIDE")
    if len(paths) == 1:
        found = _known_set(paths[0], split)
        if found is not None:
            return found
        if pairs and holds_pairs(paths[0]):
            return PairSource(paths[0])
    return FolderSource(paths)


def _known_set(folder: Path, split: str) -> Source | None:
    cifar = sorted(folder.glob("data_batch_*.bin" if split == "train" else "test_batch.bin"))
    if cifar:
        return from_cifar(cifar)
    prefix = "train" if split == "train" else "t10k"
    pictures = sorted(folder.glob(f"{prefix}-images*idx3-ubyte*"))
    labels = sorted(folder.glob(f"{prefix}-labels*idx1-ubyte*"))
    return from_idx(pictures[0], labels[0] if labels else None) if pictures else None


def _sheets(text: str, pattern: str, options: str) -> Source:
    paths = [Path(match) for match in sorted(glob.glob(pattern))]
    if not paths:
        raise UsageError(pattern, "does not exist", "check the pattern")
    values: dict[str, int] = {}
    for pair in options.split(","):
        key, _, value = pair.partition("=")
        if key not in ("tile", "classes") or not value.isdecimal():
            raise UsageError(text, f"{pair!r} is not understood", "write FILES#tile=SIDE or FILES#tile=SIDE,classes=N")
        values[key] = int(value)
    if not values.get("tile"):
        raise NotAvailable(text, "does not say the tiles' side", "write FILES#tile=SIDE")
    return from_sheets(paths, values["tile"], values.get("classes", 0))
