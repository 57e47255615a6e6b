"""Encodes pictures into files: same format, depth, channels and metadata as the input unless asked otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from restorekit.errors import PictureError, UsageError
from restorekit.images import exif
from restorekit.images.codecs import avif, bitmap, jpeg, netpbm, png, tiff, webp
from restorekit.images.depth import rescaled, white_of
from restorekit.images.formats import FORMATS, Format, format_of_extension, formats_with
from restorekit.images.metadata import fitted
from restorekit.images.picture import Metadata, Picture

__all__ = ["DEFAULT_QUALITY", "LEAST_JPEG_QUALITY", "encode"]

#: Quality of lossy files whose input states none.
DEFAULT_QUALITY = 95
#: A restored JPEG is not written worse than this, however bad its input was: it would be damaged again.
LEAST_JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What is to be written: samples ``(H, W, C)`` of their final depth, alpha last, and everything about them."""

    samples: np.ndarray
    bits: int
    metadata: Metadata
    quality: int | None
    picture: Picture


def encode(
    picture: Picture,
    format: str | None = None,
    *,
    quality: int | None = None,
    strip_metadata: bool = False,
) -> tuple[bytes, tuple[str, ...]]:
    """Encode a picture.

    Parameters
    ----------
    picture : Picture
        Its pixels may differ in size, channels and depth from the file it came from; ``info``, ``metadata`` and
        ``coding`` are that file's.
    format : str, optional
        A name or suffix of a written format; by default that of the input (PNG for GIF).
    quality : int, optional
        1 to 100, for JPEG, WebP and AVIF. By default a JPEG keeps its input's quality but has at least
        `LEAST_JPEG_QUALITY`, a lossless WebP stays lossless, and everything else has `DEFAULT_QUALITY`. From 90 on
        JPEG keeps the full resolution of colours; 100 makes AVIF lossless.
    strip_metadata : bool, optional
        Leave out EXIF, XMP and texts; the colour profile and the resolution stay.

    Returns
    -------
    data : bytes
        The file's content; the same for the same picture.
    notes : tuple of str
        What the format could not hold: ``"16 bits reduced to 8"``.

    Raises
    ------
    PictureError
        The format cannot hold the picture: it has alpha, or is too large.
    UsageError
        There is no such format, or the quality is out of range.
    """
    target = _target(picture, format)
    if quality is not None and not 1 <= quality <= 100:
        raise UsageError(f"quality {quality}", "is out of range", "choose 1 to 100")
    height, width = picture.pixels.shape[:2]
    if picture.alpha is not None and not target.alpha:
        others = ", ".join(formats_with(alpha=True))
        raise PictureError("picture", f"has an alpha channel, which {target.name} cannot hold", f"write {others}")
    if max(height, width) > target.max_side:
        raise PictureError(
            "picture", f"is {width}x{height}; {target.name} holds at most {target.max_side} a side", "write png or tiff"
        )
    picture, notes = _widened(picture, target)
    metadata, metadata_notes = fitted(picture, strip=strip_metadata)
    samples, bits, depth_notes = _samples(picture, target)
    notes += metadata_notes + depth_notes + _losses(picture, metadata, target)
    order = _Order(samples=samples, bits=bits, metadata=metadata, quality=quality, picture=picture)
    data, format_notes = _WRITERS[target.name](order)
    return data, notes + format_notes


def _target(picture: Picture, wanted: str | None) -> Format:
    name = picture.info.format if wanted is None else (format_of_extension(wanted) or wanted)
    if wanted is None and name in FORMATS and not FORMATS[name].written:
        name = "png"
    if name not in FORMATS or not FORMATS[name].written:
        raise UsageError(repr(wanted or name), "is no format that is written", f"choose {', '.join(formats_with())}")
    return FORMATS[name]


def _widened(picture: Picture, target: Format) -> tuple[Picture, tuple[str, ...]]:
    """Turn grey into RGB where the format, or OpenCV's writer of it, has no grey."""
    if picture.pixels.shape[2] != 1:
        return picture, ()
    if target.grey and (picture.alpha is None or target.grey_alpha):
        return picture, ()
    kind = "grey" if not target.grey else "grey with alpha"
    return (
        replace(picture, pixels=np.repeat(picture.pixels, 3, axis=2)),
        (f"grey written as RGB: {target.name} is written without {kind}",),
    )


def _samples(picture: Picture, target: Format) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """Join colours and alpha at the deepest depth that both the picture and the format have."""
    pixels, info = picture.pixels, picture.info
    joined = pixels if picture.alpha is None else np.concatenate([pixels, picture.alpha[..., None]], axis=2)
    if pixels.dtype.kind == "f":
        bits = info.bits if info.floating else 32
        if bits in target.floating:
            return joined.astype(f"f{bits // 8}"), bits, ()
        best = max(target.bits)
        clipped = ", values above 1 clipped" if pixels.max(initial=0) > 1 else ""
        return _to_bits(joined, best), best, (f"{bits}-bit floats reduced to {best} bits{clipped}",)
    bits = pixels.dtype.itemsize * 8
    if bits == 16 and 8 < info.bits < 16 and not info.floating:
        bits = info.bits  # the values above these bits are filled up, not measured
    stored = min((b for b in target.bits if b >= bits), default=max(target.bits))
    notes = (f"{bits} bits reduced to {stored}",) if stored < bits else ()
    return _to_bits(joined, stored), stored, notes


def _to_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    return rescaled(samples, white_of(samples), (1 << bits) - 1)


def _losses(picture: Picture, metadata: Metadata, target: Format) -> tuple[str, ...]:
    """Say what the format has no place for."""
    lost = [
        name
        for name, present, held in (
            ("EXIF data", metadata.exif, target.exif),
            ("the colour profile", metadata.icc, target.icc),
            ("XMP data", metadata.xmp, target.xmp),
            ("the resolution", metadata.dpi, target.dpi or (target.exif and exif.resolution(metadata.exif))),
            (f"texts and colour chunks of {picture.info.format}", metadata.chunks, target.name == picture.info.format),
            ("colour primaries and transfer function", picture.coding.cicp, target.name == "avif"),
        )
        if present and not held
    ]
    return (f"{target.name} cannot hold {', '.join(lost)}",) if lost else ()


def _write_jpeg(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    estimated = order.picture.coding.quality
    quality = order.quality or (DEFAULT_QUALITY if estimated is None else max(estimated, LEAST_JPEG_QUALITY))
    return jpeg.with_metadata(jpeg.encode_pixels(order.samples, quality), order.metadata)


def _write_png(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    return png.with_metadata(png.encode_pixels(order.samples), order.metadata), ()


def _write_webp(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    lossless = order.quality is None and order.picture.coding.lossless
    quality = None if lossless else order.quality or DEFAULT_QUALITY
    return webp.with_metadata(webp.encode_pixels(order.samples, quality), order.metadata), ()


def _write_tiff(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    compression = order.picture.coding.compression
    return tiff.encode_pixels(order.samples, order.metadata, compression), ()


def _write_avif(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    quality = order.quality or DEFAULT_QUALITY
    return avif.encode_pixels(order.samples, order.bits, quality, order.metadata, order.picture.coding), ()


def _write_bmp(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    return bitmap.encode_bmp(order.samples, order.metadata.dpi), ()


def _write_ppm(order: _Order) -> tuple[bytes, tuple[str, ...]]:
    coding = order.picture.coding
    full = (1 << order.bits) - 1
    white = coding.maxval if coding.maxval and (coding.maxval > 255) == (order.bits > 8) else full
    # From the pixels, not from the order's samples: rounding twice would not give the input's values back.
    pixels = order.picture.pixels
    return netpbm.encode_pixels(rescaled(pixels, white_of(pixels), white), white), ()


_WRITERS = {
    "jpeg": _write_jpeg,
    "png": _write_png,
    "webp": _write_webp,
    "tiff": _write_tiff,
    "avif": _write_avif,
    "bmp": _write_bmp,
    "ppm": _write_ppm,
}
