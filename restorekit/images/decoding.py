"""Decodes files into pictures and encodes pictures into files: nothing that a file says is lost unsaid."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from restorekit.errors import PictureError
from restorekit.images.codecs.handlers import HANDLERS
from restorekit.images.depth import white_of
from restorekit.images.header import DAMAGED, Header, Unreadable
from restorekit.images.metadata import cleaned
from restorekit.images.picture import Picture
from restorekit.images.probing import DEFAULT_MAX_PIXELS, file_error, header_of

__all__ = ["decode", "read"]


def read(path: Path, *, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """Read and decode a file; see `decode`.

    Raises
    ------
    PictureError
        The file cannot be read, or is no picture that can be decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise file_error(str(path), error) from error
    return decode(data, name=str(path), max_pixels=max_pixels)


def decode(data: bytes, *, name: str, max_pixels: int = DEFAULT_MAX_PIXELS) -> Picture:
    """Decode a file's content into displayed orientation.

    Parameters
    ----------
    data : bytes
        The whole file.
    name : str
        What errors call it.
    max_pixels : int, optional
        Largest picture to accept, width times height.

    Returns
    -------
    Picture
        Grey or RGB, with alpha where the file has it; palettes and CMYK become RGB.

    Raises
    ------
    PictureError
        As `probe`; and the data are damaged or cut off: half a picture is never returned.
    """
    header = header_of(data, name=name, max_pixels=max_pixels)
    try:
        samples = HANDLERS[header.format].decode_pixels(data, header)
    except Unreadable as error:
        raise PictureError(name, error.problem, error.way_out) from error
    except MemoryError as error:
        raise PictureError(name, "is too large for the memory of this machine") from error
    if samples.shape[:2] != (header.height, header.width):
        raise PictureError(name, "does not have the size that its header states", DAMAGED)
    colours, alpha = _split(samples, header)
    metadata, notes = cleaned(header)
    return Picture(
        pixels=np.ascontiguousarray(_turned(colours, header.orientation)),
        alpha=None if alpha is None else np.ascontiguousarray(_turned(alpha, header.orientation)),
        info=header.info,
        metadata=metadata,
        coding=header.coding,
        notes=(*header.notes, *notes),
    )


def _split(samples: np.ndarray, header: Header) -> tuple[np.ndarray, np.ndarray | None]:
    """Part colours and alpha, in as many channels as the header states."""
    samples = samples[..., None] if samples.ndim == 2 else samples
    has_alpha = samples.shape[2] in (2, 4)
    colours = samples[..., :-1] if has_alpha else samples
    if colours.shape[2] > header.channels:
        colours = colours[..., :1]
    elif colours.shape[2] < header.channels:
        colours = np.repeat(colours, 3, axis=2)
    if not header.alpha:
        return colours, None
    if has_alpha:
        return colours, samples[..., -1]
    # A decoder may leave out an alpha channel that is opaque throughout.
    return colours, np.full(samples.shape[:2], white_of(samples), samples.dtype)


def _turned(image: np.ndarray, orientation: int) -> np.ndarray:
    """Bring stored pixels into displayed orientation (EXIF 2.32, tag 0x0112)."""
    match orientation:
        case 2:
            return image[:, ::-1]
        case 3:
            return image[::-1, ::-1]
        case 4:
            return image[::-1]
        case 5:
            return image.swapaxes(0, 1)
        case 6:
            return image[::-1].swapaxes(0, 1)
        case 7:
            return image[::-1, ::-1].swapaxes(0, 1)
        case 8:
            return image[:, ::-1].swapaxes(0, 1)
        case _:
            return image
