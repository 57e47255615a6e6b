"""What a file's header says before any pixel is decoded, and the file's bytes read only where they are needed."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from io import BytesIO
from typing import BinaryIO, overload

from restorekit.contract import PictureInfo
from restorekit.images.picture import Coding, Metadata

__all__ = ["DAMAGED", "FileBytes", "Header", "Source", "Unreadable", "as_file"]

#: The way out for data that break their format's rules.
DAMAGED = "copy the file again from where it came, or leave it out"


class Unreadable(Exception):
    """A file that cannot be taken: the problem and the way out; whoever knows its name makes a `PictureError` of it."""

    def __init__(self, problem: str, way_out: str = DAMAGED):
        self.problem = problem
        self.way_out = way_out
        super().__init__(problem, way_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header as stored.

    Parameters
    ----------
    format, channels, alpha, bits, floating, frames, orientation
        As in `PictureInfo`.
    width, height : int
        Pixels as stored, before the orientation is applied.
    metadata : Metadata
        As stored, not yet cleaned. `probe` leaves out what costs time to find.
    coding : Coding
        How the pixels are coded.
    layout : str
        What the pixel decoder has to know besides: ``"cmyk"``, ``"palette"``, ...
    """

    format: str
    width: int
    height: int
    channels: int = 3
    alpha: bool = False
    bits: int = 8
    floating: bool = False
    frames: int = 1
    orientation: int = 1
    metadata: Metadata = field(default_factory=Metadata)
    coding: Coding = field(default_factory=Coding)
    layout: str = ""
    notes: tuple[str, ...] = ()

    @property
    def info(self) -> PictureInfo:
        """The header as others see it: in displayed orientation."""
        turned = self.orientation >= 5
        dpi = self.metadata.dpi
        return PictureInfo(
            format=self.format,
            width=self.height if turned else self.width,
            height=self.width if turned else self.height,
            channels=self.channels,
            alpha=self.alpha,
            bits=self.bits,
            floating=self.floating,
            frames=self.frames,
            orientation=self.orientation,
            dpi=(dpi[1], dpi[0]) if dpi and turned else dpi,
        )


class FileBytes:
    """A file that is sliced like bytes and read only where it is sliced.

    Headers can so be read from large files without reading the pixels.
    """

    def __init__(self, file: BinaryIO):
        self.file = file
        self._length = os.fstat(file.fileno()).st_size

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, key: int) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> bytes: ...
    def __getitem__(self, key: int | slice) -> int | bytes:
        if isinstance(key, int):
            return self[key : key + 1][0]
        start, stop, _ = key.indices(self._length)
        self.file.seek(start)
        return self.file.read(max(stop - start, 0))


Source = bytes | FileBytes


def as_file(source: Source) -> BinaryIO:
    """Return a file object at the source's first byte."""
    if isinstance(source, bytes):
        return BytesIO(source)
    source.file.seek(0)
    return source.file
