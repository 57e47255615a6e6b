"""Makes the small pictures of the report: thumbnails before and after, and the region that changed most."""

from __future__ import annotations

import io
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from restorekit.images.picture import Picture, Pixels

__all__ = ["Detail", "Preview", "preview"]

Bytes = NDArray[np.uint8]
Layers = tuple[Pixels, Pixels | None]

#: The detail shows this many pixels of the result, one to one: width, height. It divides by the common scales.
DETAIL = (384, 288)
#: Side in pixels of the cells in which change is averaged before the detail is placed.
CELL = 8
#: Rows looked at together when measuring change, so that memory does not grow with the picture.
BAND = 64 * CELL
#: JPEG or WebP quality of the thumbnails, and of the detail, whose grain is what people look at. JPEG at these is a
#: quarter larger than WebP and ten times faster to make.
THUMBNAIL_QUALITY, DETAIL_QUALITY = 80, 90
#: Alpha of opaque pixels by dtype.
OPAQUE = {"uint8": 255.0, "uint16": 65535.0, "float32": 1.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Detail:
    """A part of a picture before and after, at the result's own resolution.

    Parameters
    ----------
    before, after : bytes
        JPEG, or WebP where there is transparency. Both have the size of ``box``.
    box : tuple of int
        Left, top, width and height in pixels of the result.
    """

    before: bytes
    after: bytes
    box: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the report shows of a picture, small enough to keep until the end of a run.

    Parameters
    ----------
    before, after : bytes
        Thumbnails: JPEG, or WebP where there is transparency.
    size_before, size_after : tuple of int
        Width and height in pixels of the pictures themselves.
    detail : Detail, optional
        The region that changed most; ``None`` where the thumbnail already shows every pixel.
    change : float
        Mean absolute difference of the pictures, in [0, 1].
    """

    before: bytes
    after: bytes
    size_before: tuple[int, int]
    size_after: tuple[int, int]
    detail: Detail | None
    change: float


def preview(before: Picture, after: Picture, *, thumbnail: int = 480) -> Preview:
    """Make thumbnails of a picture before and after, and of the region that changed most.

    Parameters
    ----------
    before, after : Picture
        Of any depth, with or without alpha; they may differ in size and in channels.
    thumbnail : int
        Longest side of the thumbnails in pixels.

    Returns
    -------
    Preview
        Encoded in 8-bit sRGB; the same pictures give the same bytes.
    """
    white = _white(before.pixels)
    height, width = after.pixels.shape[:2]
    changes = _changes(before, after, white)
    detail = None
    if width > DETAIL[0] or height > DETAIL[1]:
        box = _most_changed(changes, width, height)
        old, new = (
            _encode(_sampled(picture, box, (width, height)), white, picture.metadata.icc, DETAIL_QUALITY)
            for picture in (before, after)
        )
        detail = Detail(before=old, after=new, box=box)
    old, new = (
        _encode(_reduced(picture, thumbnail), white, picture.metadata.icc, THUMBNAIL_QUALITY)
        for picture in (before, after)
    )
    return Preview(
        before=old,
        after=new,
        size_before=(before.pixels.shape[1], before.pixels.shape[0]),
        size_after=(width, height),
        detail=detail,
        change=float(np.average(changes, weights=_cell_sizes(height, width))) / 255,
    )


def _white(pixels: Pixels) -> float:
    """Return the float that is shown as white: 1, or nearly the brightest one where they go beyond."""
    if pixels.dtype.kind == "u":
        return 1.0
    stride = max(1, int(np.sqrt(pixels.size / 1e6)))
    return max(1.0, float(np.percentile(np.fmax(pixels[::stride, ::stride], 0), 99.9)))


def _eight_bits(values: Pixels, white: float) -> Bytes:
    """Scale to uint8; what is negative or no number becomes black."""
    if values.dtype == np.uint8:
        return values  # pyright: ignore[reportReturnType]
    if values.dtype == np.uint16:
        return cv2.convertScaleAbs(values, alpha=1 / 257).reshape(values.shape)  # pyright: ignore[reportReturnType]
    visible = np.minimum(np.fmax(values, 0), white)
    return cv2.convertScaleAbs(visible, alpha=255 / white).reshape(values.shape)  # pyright: ignore[reportReturnType]


def _sampled(picture: Picture, box: tuple[int, int, int, int], size: tuple[int, int]) -> Layers:
    """Cut ``box`` out of the picture as if it had ``size`` (width, height), by its nearest pixels."""
    left, top, width, height = box
    rows, columns = picture.pixels.shape[:2]
    y = ((np.arange(top, top + height) + 0.5) * rows / size[1]).astype(np.intp)
    x = ((np.arange(left, left + width) + 0.5) * columns / size[0]).astype(np.intp)

    def sampled(layer: Pixels) -> Pixels:
        if (columns, rows) == size:
            return layer[top : top + height, left : left + width]
        # Columns of the few rows that are needed first: ten times as fast as both axes at once.
        return layer[y[0] : y[-1] + 1].take(x, axis=1)[y - y[0]]

    return sampled(picture.pixels), None if picture.alpha is None else sampled(picture.alpha)


def _changes(before: Picture, after: Picture, white: float) -> NDArray[np.float32]:
    """Average the absolute difference over cells: ``(H / CELL, W / CELL)``, in [0, 255]."""
    height, width = after.pixels.shape[:2]
    bands = []
    for top in range(0, height, BAND):
        box = (0, top, width, min(BAND, height - top))
        (old, _), (new, alpha) = (_sampled(picture, box, (width, height)) for picture in (before, after))
        difference = cv2.absdiff(_colour(_eight_bits(old, white)), _colour(_eight_bits(new, white)))
        if alpha is not None:  # colours nobody sees do not count
            difference = (difference * (_eight_bits(alpha, 1.0)[..., None] / 255)).astype(np.float32)
        bands.append(_cell_means(difference))  # pyright: ignore[reportArgumentType]
    return np.concatenate(bands)


def _cell_means(values: Pixels) -> NDArray[np.float32]:
    """Average ``(H, W, C)`` over cells, those at the right and bottom being smaller: ``(H / CELL, W / CELL)``."""
    height, width, channels = values.shape
    rows, columns = -(-height // CELL), -(-width // CELL)
    full = cv2.copyMakeBorder(
        values, 0, rows * CELL - height, 0, columns * CELL - width, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )
    # Row by row first, and of bytes in 16 bits: three times as fast as letting OpenCV average floats.
    lines = full.reshape(rows, CELL, -1).sum(axis=1, dtype=np.uint16 if values.dtype == np.uint8 else np.float32)
    sums = lines.reshape(rows, columns, -1).sum(axis=2, dtype=np.float32)
    return sums / (channels * _cell_sizes(height, width))


def _cell_sizes(height: int, width: int) -> NDArray[np.float32]:
    """Return the pixels in each cell."""
    high, wide = (np.minimum(CELL, side - np.arange(0, side, CELL)) for side in (height, width))
    return np.outer(high, wide).astype(np.float32)


def _most_changed(changes: NDArray[np.float32], width: int, height: int) -> tuple[int, int, int, int]:
    """Return the box of the detail's size with most change around its middle; without change, the centre."""
    wide, high = min(DETAIL[0], width), min(DETAIL[1], height)
    x, y = width / 2, height / 2
    if changes.any():
        # Weighted towards the middle, so that a small repair is shown in the middle and not at an edge.
        weights = cv2.GaussianBlur(
            changes, (0, 0), wide / CELL / 4, sigmaY=high / CELL / 4, borderType=cv2.BORDER_CONSTANT
        )
        row, column = np.unravel_index(int(weights.argmax()), weights.shape)
        x, y = (column + 0.5) * CELL, (row + 0.5) * CELL
    left = min(max(int(x - wide / 2), 0), width - wide)
    top = min(max(int(y - high / 2), 0), height - high)
    return left, top, wide, high


def _reduced(picture: Picture, longest: int) -> Layers:
    """Reduce to ``longest`` pixels on the long side; smaller pictures stay as they are."""
    height, width = picture.pixels.shape[:2]
    factor = longest / max(width, height)
    if factor >= 1:
        return picture.pixels, picture.alpha
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    pixels, alpha = picture.pixels, picture.alpha
    if alpha is None:
        if factor <= 0.25:  # halving has a fast way of its own
            half = (max(1, width // 2), max(1, height // 2))
            pixels = cv2.resize(pixels, half, interpolation=cv2.INTER_AREA)
        small = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
        return small.reshape(*small.shape[:2], -1), None  # pyright: ignore[reportReturnType]
    # Of a huge picture every few pixels do: floats of all of them would be the most memory.
    step = max(1, max(width, height) // (8 * longest))
    pixels, alpha = pixels[::step, ::step], np.ascontiguousarray(alpha[::step, ::step])
    # Averaged premultiplied: the colour under transparent pixels must not bleed into the visible ones.
    full = OPAQUE[alpha.dtype.name]
    cover = np.repeat(alpha[..., None], pixels.shape[2], axis=2)
    seen = cv2.resize(cv2.multiply(pixels, cover, scale=1 / full), size, interpolation=cv2.INTER_AREA)
    small_alpha = cv2.resize(alpha, size, interpolation=cv2.INTER_AREA)
    seen = seen.reshape(*seen.shape[:2], -1).astype(np.float32)
    straight = seen * full / np.maximum(small_alpha[..., None].astype(np.float32), 1e-6)
    if alpha.dtype.kind == "u":
        straight = np.rint(np.minimum(straight, full))
    return straight.astype(pixels.dtype), small_alpha  # pyright: ignore[reportReturnType]


def _colour(pixels: Bytes) -> Bytes:
    """Give grey pictures three channels."""
    return pixels if pixels.shape[2] == 3 else np.repeat(pixels[..., :1], 3, axis=2)


def _srgb(pixels: Bytes, profile: bytes) -> Bytes:
    """Convert to sRGB, so that every browser shows the colours that the profile means."""
    if not profile:
        return pixels
    image = Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0])
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        shown = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        return pixels  # a profile for other pixels, or a broken one: untouched colours are the best guess
    return pixels if shown is None else np.asarray(shown)


def _encode(layers: Layers, white: float, profile: bytes, quality: int) -> bytes:
    """Encode as JPEG, or as WebP where there is an alpha channel."""
    pixels, alpha = layers
    image = _colour(_srgb(np.ascontiguousarray(_eight_bits(pixels, white)), profile))[..., ::-1]
    if alpha is None:
        suffix, options = ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    else:
        image = np.dstack([image, _eight_bits(alpha, 1.0)])
        suffix, options = ".webp", [cv2.IMWRITE_WEBP_QUALITY, quality]
    return cv2.imencode(suffix, np.ascontiguousarray(image), options)[1].tobytes()
