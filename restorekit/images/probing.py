"""Reads headers: what a file is and whether it can be taken, before any pixel is decoded."""

from __future__ import annotations

from pathlib import Path, PurePath

from restorekit.contract import PictureInfo
from restorekit.errors import PictureError
from restorekit.images.codecs.handlers import HANDLERS
from restorekit.images.formats import FORMATS, REFUSED, refused_of_extension, sniff
from restorekit.images.header import DAMAGED, FileBytes, Header, Source, Unreadable

__all__ = ["DEFAULT_MAX_PIXELS", "file_error", "header_of", "probe"]

#: Larger pictures are refused unless the user raises the limit: 512 megapixels, 1.5 GB of 8-bit RGB.
DEFAULT_MAX_PIXELS = 512_000_000

_SPLIT = {
    "tiff": "split it into single pages first, for example with `tiffsplit`",
    "gif": "it is an animation: split it into single pictures first, for example with `ffmpeg -i IN OUT%04d.png`",
}


def probe(source: Path | bytes, *, name: str = "", max_pixels: int = DEFAULT_MAX_PIXELS) -> PictureInfo:
    """Read a picture's header.

    The content decides the format, whatever the name says. Of a file only the parts that the header needs are read.

    Parameters
    ----------
    source : Path or bytes
        A file, or its content.
    name : str, optional
        What errors call it; a file's path by default.
    max_pixels : int, optional
        Largest picture to accept, width times height.

    Raises
    ------
    PictureError
        It cannot be read, is no picture, is of a format that is refused by name (HEIC, camera RAW, ...), is empty or
        too large, or holds several frames or pages.
    """
    if isinstance(source, bytes):
        return header_of(source, name=name or "picture", max_pixels=max_pixels).info
    name = name or str(source)
    try:
        with source.open("rb") as file:
            return header_of(FileBytes(file), name=name, max_pixels=max_pixels).info
    except OSError as error:
        raise file_error(name, error) from error


def header_of(data: Source, *, name: str, max_pixels: int) -> Header:
    """Read and check a header; parameters and errors as in `probe`."""
    if not len(data):
        raise PictureError(name, "is empty", DAMAGED)
    kind = _format_of(data[:64], name)
    try:
        header = HANDLERS[kind].read_header(data)
    except Unreadable as error:
        raise PictureError(name, error.problem, error.way_out) from error
    _check(header, name, max_pixels)
    return header


def file_error(name: str, error: OSError) -> PictureError:
    """Tell in one line why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return PictureError(name, "is not there (any more), or is a broken link")
    if isinstance(error, IsADirectoryError):
        return PictureError(name, "is a directory, not a picture")
    if isinstance(error, PermissionError):
        return PictureError(name, "may not be read", "ask its owner for permission")
    return PictureError(name, f"cannot be read ({error.strerror or error})")


def _format_of(head: bytes, name: str) -> str:
    kind = sniff(head)
    suffix = PurePath(name).suffix
    by_suffix = refused_of_extension(suffix)
    if kind == "tiff" and by_suffix is REFUSED["raw"]:
        kind = "raw"  # most RAW files are TIFFs whose first picture is a thumbnail
    if kind is None and by_suffix is not None:
        raise PictureError(name, f"is a {by_suffix.title} file by its name, which is not read", by_suffix.way_out)
    if kind is None:
        what = "is no picture of a known format"
        raise PictureError(name, what, f"restorekit reads {', '.join(FORMATS)}")
    if kind in REFUSED:
        raise PictureError(name, f"is a {REFUSED[kind].title} file, which is not read", REFUSED[kind].way_out)
    return kind


def _check(header: Header, name: str, max_pixels: int) -> None:
    pixels = header.width * header.height
    if pixels <= 0:
        raise PictureError(name, f"has no pixels ({header.width}x{header.height})", DAMAGED)
    if pixels > max_pixels:
        raise PictureError(
            name,
            f"has {header.width}x{header.height} = {pixels:,} pixels, more than the limit of {max_pixels:,}",
            f"raise it with --max-pixels {pixels}",
        )
    if header.frames > 1:
        unit = "pages" if header.format == "tiff" else "frames"
        raise PictureError(name, f"holds {header.frames} {unit}", _SPLIT.get(header.format, _SPLIT["gif"]))
