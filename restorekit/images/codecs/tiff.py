"""TIFF: every layout that tifffile and imagecodecs decode, brought to grey or RGB; written by tifffile.

Source: TIFF 6.0; Adobe's TIFF technical notes; BigTIFF.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np
import tifffile
from PIL.TiffImagePlugin import TiffImageFile

from restorekit.images.codecs.cmyk import cmyk_note, rgb_from_cmyk
from restorekit.images.codecs.jpeg import require_end
from restorekit.images.codecs.tiff_exif import exif_of_tiff, order_of, with_exif
from restorekit.images.depth import rescaled, white_of
from restorekit.images.header import Header, Source, Unreadable, as_file
from restorekit.images.picture import Coding, Metadata

__all__ = ["decode_pixels", "encode_pixels", "read_header"]

# tifffile warns on this logger of oddities that it copes with; a library must not print them unasked.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _SEPARATED, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOURS = {_MIN_IS_WHITE: 1, _MIN_IS_BLACK: 1, _RGB: 3, _PALETTE: 1, _SEPARATED: 4, _YCBCR: 3}
_RAW_PHOTOMETRICS = {32803, 34892}
_OLD_JPEG, _JPEG = 6, 7
_UNSIGNED, _FLOAT = 1, 3
_ASSOCIATED = 1
_CONVERT = "convert it to RGB first"

#: Lossless compressions that are written again, by TIFF's number, and their names for tifffile.
_LOSSLESS = {1: "none", 5: "lzw", 8: "zlib", 32946: "zlib", 32773: "packbits", 50000: "zstd", 34925: "lzma"}
_PREDICTABLE = {"lzw", "zlib", "zstd", "lzma"}


def read_header(data: Source) -> Header:
    """Read a TIFF's directories."""
    with _opened(data) as (tif, page):
        layout = _layout(page)
        extra = page.samplesperpixel - _COLOURS[page.photometric]
        if page.photometric in (_PALETTE, _SEPARATED) and extra:
            raise Unreadable("is a CMYK or palette TIFF with an extra channel", _CONVERT)
        if extra not in (0, 1):
            raise Unreadable(f"is a TIFF with {extra} channels besides its colours", "keep one alpha channel at most")
        floating = int(page.sampleformat) == _FLOAT
        bits = page.bitspersample if floating else 8 if page.bitspersample <= 8 else page.bitspersample
        icc = _bytes_of(page, 34675)
        described = not (page.is_shaped or page.is_imagej or page.is_ome)
        metadata = Metadata(
            exif=exif_of_tiff(data, page.offset, described=described) if isinstance(data, bytes) else b"",
            icc=icc,
            xmp=_bytes_of(page, 700),
            dpi=_dpi(page),
        )
        notes = [cmyk_note(icc)] if layout == "cmyk" else []
        if extra and int(page.extrasamples[0] if page.extrasamples else 0) == _ASSOCIATED:
            layout += " premultiplied"
            notes.append("premultiplied alpha made straight")
        if floating and bits == 64:
            notes.append("64-bit floats read as 32 bits")
        return Header(
            format="tiff",
            width=page.imagewidth,
            height=page.imagelength,
            channels=1 if page.photometric in (_MIN_IS_WHITE, _MIN_IS_BLACK) else 3,
            alpha=bool(extra),
            bits=16 if bits == 14 else bits,
            floating=floating,
            frames=_frames(tif),
            orientation=_orientation(page),
            metadata=metadata,
            coding=Coding(compression=_LOSSLESS.get(int(page.compression), "")),
            layout=layout,
            notes=tuple(notes),
        )


def decode_pixels(data: bytes, header: Header) -> np.ndarray:
    """Decode to ``(H, W, C)`` with C = 1 to 4: uint8, uint16 or float32."""
    with _opened(data) as (_, page):
        _require_segments(data, page)
        if _by_pillow(page):
            return _decode_by_pillow(data)
        image: np.ndarray = page.asarray()
        if int(page.planarconfig) == 2 and image.ndim == 3:
            image = np.moveaxis(image, 0, -1)
        if image.ndim not in (2, 3) or image.shape[:2] != (header.height, header.width):
            raise Unreadable("is a TIFF of more than two dimensions", "save its planes one by one")
        image = image[..., None] if image.ndim == 2 else image
        if page.photometric == _PALETTE:
            return _from_palette(image[..., 0], page.colormap)
        image = _from_floats(image) if header.floating else _full_range(image, page.bitspersample)
        if page.photometric == _MIN_IS_WHITE:
            image = _inverted(image, header.alpha)
        if header.layout.startswith("cmyk"):
            inks = rescaled(image, white_of(image), 255)
            return rgb_from_cmyk(inks, header.metadata.icc)
        if header.layout.endswith("premultiplied"):
            return _straight(image)
        return image


def encode_pixels(pixels: np.ndarray, metadata: Metadata, compression: str) -> bytes:
    """Encode ``(H, W, C)`` with C = 1 to 4, any of the dtypes that `Header` allows, with their metadata."""
    channels = pixels.shape[2]
    compression = compression or "zlib"
    order = order_of(metadata.exif)
    settings: dict[str, Any] = {}
    if compression in _PREDICTABLE:
        settings["predictor"] = 3 if pixels.dtype.kind == "f" else 2
    if channels in (2, 4):
        settings["extrasamples"] = ["unassalpha"]
    if metadata.dpi:
        settings |= {"resolution": metadata.dpi, "resolutionunit": 2}
    buffer = BytesIO()
    tifffile.imwrite(
        buffer,
        (pixels[..., 0] if channels == 1 else pixels).astype(pixels.dtype.newbyteorder(order), copy=False),
        byteorder=order,
        photometric="rgb" if channels >= 3 else "minisblack",
        planarconfig="contig" if channels > 1 else None,
        compression=None if compression == "none" else compression,
        iccprofile=metadata.icc or None,
        extratags=[(700, 1, len(metadata.xmp), metadata.xmp, True)] if metadata.xmp else None,
        metadata=None,
        software=False,
        **settings,
    )
    return with_exif(buffer.getvalue(), metadata.exif)


@contextmanager
def _opened(data: Source) -> Iterator[tuple[tifffile.TiffFile, Any]]:
    """Open a TIFF and find its picture; whatever tifffile raises on bad data becomes `Unreadable`."""
    try:
        with tifffile.TiffFile(as_file(data)) as tif:
            page = next((page for page in tif.pages if not _is_secondary(page)), None)
            if page is None or not isinstance(page, tifffile.TiffPage):
                raise Unreadable("is a damaged TIFF: it holds no picture")
            yield tif, page
    except Unreadable:
        raise
    except MemoryError as error:
        raise Unreadable("is too large for the memory of this machine", "split it into smaller pictures") from error
    except Exception as error:  # tifffile and the codecs raise many kinds
        raise Unreadable("is a damaged TIFF") from error


def _layout(page: Any) -> str:
    """Name the layout of the samples, or refuse it."""
    if 50706 in page.tags or page.photometric in _RAW_PHOTOMETRICS:
        raise Unreadable("is camera RAW", "develop it first (darktable, RawTherapee, Lightroom) into a 16-bit TIFF")
    if page.photometric not in _COLOURS:
        raise Unreadable(f"is a TIFF of colour kind {getattr(page.photometric, 'name', page.photometric)}", _CONVERT)
    if not isinstance(page.bitspersample, int):
        raise Unreadable("is a TIFF whose channels differ in depth", _CONVERT)
    kind, bits = int(page.sampleformat), page.bitspersample
    readable = {_UNSIGNED: (1, 2, 4, 8, 10, 12, 14, 16), _FLOAT: (16, 32, 64)}.get(kind, ())
    if bits not in readable:
        name = {1: "unsigned integers", 2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex numbers"}
        raise Unreadable(
            f"is a TIFF of {bits}-bit {name.get(kind, 'samples of no known kind')}",
            "convert it to 8 or 16 bits without sign, or to floats",
        )
    if page.photometric in (_PALETTE, _SEPARATED, _YCBCR) and kind == _FLOAT:
        raise Unreadable("is a TIFF of floats that are neither grey nor RGB", _CONVERT)
    if page.photometric == _SEPARATED:
        if page.samplesperpixel < 4 or page.tags.valueof(332, 1) != 1:
            raise Unreadable("is a TIFF of inks other than CMYK", _CONVERT)
        return "cmyk"
    return "palette" if page.photometric == _PALETTE else ""


def _is_secondary(page: Any) -> bool:
    """Tell thumbnails and masks from pictures."""
    kind = page.tags.valueof(254, 0) if hasattr(page, "tags") else 0
    return bool(int(kind) & 0b101)


def _frames(tif: tifffile.TiffFile) -> int:
    pages = sum(not _is_secondary(page) for page in tif.pages)
    imagej = tif.imagej_metadata or {}
    return max(pages, int(imagej.get("images", 1)))  # ImageJ may keep a whole stack behind one directory


def _orientation(page: Any) -> int:
    value = page.tags.valueof(274, 1)
    return int(value) if isinstance(value, int) and 1 <= value <= 8 else 1


def _bytes_of(page: Any, tag: int) -> bytes:
    value = page.tags.valueof(tag, b"")
    return bytes(value) if isinstance(value, bytes | bytearray | tuple) else b""


def _dpi(page: Any) -> tuple[float, float] | None:
    ratios = [page.tags.valueof(tag) for tag in (282, 283)]
    unit = page.tags.valueof(296, 2)
    if int(unit) not in (2, 3) or not all(
        isinstance(ratio, tuple) and len(ratio) == 2 and all(ratio) for ratio in ratios
    ):
        return None
    scale = 2.54 if int(unit) == 3 else 1.0
    x, y = (above / below * scale for above, below in ratios)
    return x, y


def _by_pillow(page: Any) -> bool:
    """Tell what tifffile leaves as luma and chroma, or cannot decode."""
    compression = int(page.compression)
    return compression == _OLD_JPEG or (page.photometric == _YCBCR and compression != _JPEG)


def _decode_by_pillow(data: bytes) -> np.ndarray:
    image = TiffImageFile(BytesIO(data))
    image.load()
    return np.asarray(image.convert("L" if image.mode == "L" else "RGB")).reshape(image.height, image.width, -1)


def _require_segments(data: bytes, page: Any) -> None:
    """Refuse a file whose strips or tiles are missing or cut off: a decoder would fill them with something."""
    if len(page.dataoffsets) < len(page.databytecounts) or not page.dataoffsets:
        raise Unreadable("is a damaged TIFF: parts of its picture are missing")
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset + count > len(data) or not offset or not count:
            raise Unreadable("is a damaged TIFF: it is cut off")
        if int(page.compression) == _JPEG:
            require_end(data[offset : offset + count])


def _full_range(image: np.ndarray, bits: int) -> np.ndarray:
    """Spread samples of ``bits`` bits over uint8 or uint16."""
    return rescaled(
        image.astype(np.uint8, copy=False) if bits <= 8 else image, (1 << bits) - 1, 255 if bits <= 8 else 65535
    )


def _from_floats(image: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        image = image.astype(np.float32)
    if not np.isfinite(image).all():
        raise Unreadable("is a TIFF with values that are no numbers (NaN or infinite)", "replace them first")
    if image.min(initial=0.0) < 0:
        raise Unreadable("is a TIFF with negative values", "shift or clip them to 0 first")
    return image


def _from_palette(indices: np.ndarray, colormap: np.ndarray) -> np.ndarray:
    table = np.asarray(colormap).T
    # Writers disagree on v * 256 or v * 257, and some old ones write v itself.
    table = (table if table.max() < 256 else table >> 8).astype(np.uint8)
    return table[indices.astype(np.intp)]


def _inverted(image: np.ndarray, alpha: bool) -> np.ndarray:
    colours = (white_of(image) - image[..., :1]).astype(image.dtype)
    return np.concatenate([colours, image[..., 1:]], axis=2) if alpha else colours


def _straight(image: np.ndarray) -> np.ndarray:
    """Divide the colours by alpha; under full transparency there is no colour to get back."""
    full = white_of(image)
    alpha = image[..., -1:].astype(np.float64)
    colours = np.divide(image[..., :-1] * np.float64(full), alpha, out=np.zeros(image[..., :-1].shape), where=alpha > 0)
    if image.dtype.kind != "f":
        colours = np.rint(np.minimum(colours, full))
    return np.concatenate([colours.astype(image.dtype), image[..., -1:]], axis=2)
