"""Pairs of pictures from two folders: what is given, and what it should become."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.errors import NotAvailable, PictureError
from restorekit.sources.folder import FolderSource, decoded, pictures_below
from restorekit.sources.sampling import Source

__all__ = ["INPUTS", "TARGETS", "PairSource", "holds_pairs", "is_paired"]

#: The folders' names.
INPUTS, TARGETS = "input", "target"
#: Names that a message shows.
_SHOWN = 3


class PairSource(FolderSource):
    """Pictures of ``FOLDER/input`` and ``FOLDER/target``, paired by their names without the suffix.

    Both pictures of a pair have one size, and are cropped, mirrored and turned together: they come as one picture of
    six channels. Pairs of which one cannot be read are left out and named in ``skipped``.

    Parameters
    ----------
    folder : Path
        Holds the two folders, which are searched recursively.

    Raises
    ------
    NotAvailable
        A picture has no other one of its name, or one of another size.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self._inputs = _paired(folder)
        super().__init__([folder / TARGETS])
        self.name = folder.name

    def whole(self, number: int) -> NDArray[np.uint8]:
        """Decode pair ``number`` to ``(H, W, 6)``: what is given, and what it should become."""
        target = self._paths[number]
        return np.concatenate([decoded(self._inputs[target]), decoded(target)], axis=2)

    def _size(self, path: Path) -> int:
        """Return the pixels of a pair, by its target; 0 where one of the two cannot be read."""
        try:
            target = images.probe(path, name=path.name)
            given = images.probe(self._inputs[path], name=self._inputs[path].name)
        except PictureError as error:
            self.skipped.append(str(error))
            return 0
        if (given.width, given.height) != (target.width, target.height):
            raise NotAvailable(
                self._inputs[path],
                f"is {given.width}x{given.height}, and its target {target.width}x{target.height}",
                "pairs have one size: resize one of them",
            )
        return target.width * target.height


def holds_pairs(folder: Path) -> bool:
    """Return whether a folder holds the two folders of pairs."""
    return all((folder / name).is_dir() for name in (INPUTS, TARGETS))


def is_paired(source: Source) -> bool:
    """Return whether a source's pictures are pairs, of six channels."""
    return isinstance(source, PairSource)


def _paired(folder: Path) -> Mapping[Path, Path]:
    """Return each target's input."""
    inputs, targets = (_by_name(folder / name) for name in (INPUTS, TARGETS))
    for lonely, there, missing in (
        (sorted(inputs.keys() - targets.keys()), INPUTS, TARGETS),
        (sorted(targets.keys() - inputs.keys()), TARGETS, INPUTS),
    ):
        if lonely:
            more = f" and {len(lonely) - _SHOWN} more" if len(lonely) > _SHOWN else ""
            problem = f"{there} has {', '.join(lonely[:_SHOWN])}{more}, which {missing} has not"
            raise NotAvailable(folder, problem, "give both pictures of a pair one name, whatever its suffix")
    return {targets[name]: inputs[name] for name in targets}


def _by_name(folder: Path) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in pictures_below(folder):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise NotAvailable(path, f"has the name of {found[name].name}", "pairs are found by name: rename one")
        found[name] = path
    return found
