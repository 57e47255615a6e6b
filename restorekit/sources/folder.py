"""Folders of pictures of any size, decoded once and kept in memory, or decoded on demand where they do not fit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.errors import NotAvailable, PictureError

__all__ = ["FolderSource", "decoded", "pictures_below"]

#: Decoded pictures that are kept, in bytes.
MEMORY = 4 << 30
#: A picture counts once for each square of this side, so that a large one is cropped from more often.
_SQUARE = 256


class FolderSource:
    """Pictures below one or more folders, as 8-bit RGB.

    Pictures that cannot be read are left out and named in ``skipped``.

    Parameters
    ----------
    folders : sequence of Path
        Searched recursively.
    """

    def __init__(self, folders: Sequence[Path]):
        self.name = ", ".join(folder.name for folder in folders)
        self.labels: NDArray[np.int64] | None = None
        self.skipped: list[str] = []
        paths = sorted(path for folder in folders for path in pictures_below(folder))
        with ThreadPoolExecutor() as pool:
            sizes = list(pool.map(self._size, paths))
        self._paths = [path for path, size in zip(paths, sizes, strict=True) if size]
        areas = [size for size in sizes if size]
        if not areas:
            raise NotAvailable(self.name, "holds no picture that can be read", "name a folder of pictures with --data")
        counts = [max(1, area // _SQUARE**2) for area in areas]
        self._owner = np.repeat(np.arange(len(areas)), counts)
        self._kept: OrderedDict[int, NDArray[np.uint8]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._owner)

    @property
    def pictures(self) -> int:
        """How many different pictures there are."""
        return len(self._paths)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Return ``(H, W, 3)`` RGB, decoded at most once while there is room."""
        number = int(self._owner[index])
        with self._lock:
            if number in self._kept:
                self._kept.move_to_end(number)
                return self._kept[number]
        pixels = self.whole(number)
        with self._lock:
            if number not in self._kept:
                self._kept[number] = pixels
                self._bytes += pixels.nbytes
            while self._bytes > MEMORY and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels

    def whole(self, number: int) -> NDArray[np.uint8]:
        """Decode picture ``number`` (from 0, in the order of their paths)."""
        return decoded(self._paths[number])

    def _size(self, path: Path) -> int:
        try:
            info = images.probe(path, name=path.name)
        except PictureError as error:
            self.skipped.append(str(error))
            return 0
        return info.width * info.height


def pictures_below(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that are pictures by their names, and no masks."""
    for path in folder.rglob("*"):
        if path.suffix.lower() in images.PICTURE_SUFFIXES and not path.stem.endswith(".mask") and path.is_file():
            yield path


def decoded(path: Path) -> NDArray[np.uint8]:
    """Read a picture of any depth as ``(H, W, 3)`` 8-bit RGB.

    Raises
    ------
    PictureError
        It cannot be read.
    """
    pixels: NDArray[Any] = images.read(path).pixels
    if pixels.dtype == np.uint16:
        pixels = ((pixels.astype(np.uint32) + 128) // 257).astype(np.uint8)
    elif pixels.dtype != np.uint8:
        pixels = np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
