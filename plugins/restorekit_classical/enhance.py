"""Contrast, sharpness, colour cast and haze."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from scipy import ndimage

from restorekit.plugin import Geometry, Restorer
from restorekit_classical.config import CLAHE, Dehaze, Unsharp, WhiteBalance
from restorekit_classical.picturewise import Image, Mask, Picturewise, Plane

__all__ = ["clahe", "dehaze", "unsharp", "white_balance"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
_BINS = 256


def unsharp(config: Unsharp) -> Restorer:
    """Add the difference from a blurred lightness, so that colours do not fringe."""
    return Picturewise(Geometry(halo=int(np.ceil(4 * config.radius)) + 1), partial(_unsharp, config))


def clahe(config: CLAHE) -> Restorer:
    """Equalise the histogram of Lab lightness tile by tile (Zuiderveld, Graphics Gems IV, 1994)."""
    return Picturewise(Geometry(whole_image=True), partial(_clahe, config))


def white_balance(config: WhiteBalance) -> Restorer:
    """Scale the channels, in linear light, until what is taken to be neutral is grey (Finlayson, CIC 2004)."""
    return Picturewise(Geometry(whole_image=True), partial(_white_balance, config))


def dehaze(config: Dehaze) -> Restorer:
    """Remove haze by the dark channel (He et al., TPAMI 33(12), 2011), refined by a guided filter (35(6), 2013)."""
    return Picturewise(Geometry(whole_image=True), partial(_dehaze, config))


def _unsharp(config: Unsharp, image: Image, mask: Mask | None) -> Image:
    luma = image @ _LUMA
    detail = luma - cv2.GaussianBlur(luma, (0, 0), config.radius, borderType=cv2.BORDER_REPLICATE)
    kept = np.sign(detail) * np.maximum(np.abs(detail) - config.threshold / 255, 0)  # no step at the threshold
    return image + (config.amount * kept)[..., None]


def _clahe(config: CLAHE, image: Image, mask: Mask | None) -> Image:
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)
    lab[..., 0] = 100 * _equalised(lab[..., 0] / 100, config.clip, config.tiles)
    return cv2.cvtColor(lab, cv2.COLOR_Lab2RGB)


def _equalised(lightness: Plane, clip: float, tiles: int) -> Plane:
    """Return the lightness through the tone curves of the nearest tiles, interpolated in place *and* in value.

    OpenCV's curve for 16 bit has 65,536 bins, and its clip limit then acts differently; curves of 256 bins that are
    interpolated treat every depth alike, and leave no steps.
    """
    shape = np.minimum(tiles, np.maximum(1, np.array(lightness.shape) // 8))
    curves = np.empty((*shape, _BINS + 1), np.float32)
    rows, columns = (
        np.linspace(0, side, count + 1).astype(int) for side, count in zip(lightness.shape, shape, strict=True)
    )
    for i, j in np.ndindex(*shape):
        curves[i, j] = _tone_curve(lightness[rows[i] : rows[i + 1], columns[j] : columns[j + 1]], clip)
    y, x = (
        (np.arange(side, dtype=np.float32) + 0.5) * count / side - 0.5
        for side, count in zip(lightness.shape, shape, strict=True)
    )
    place = np.broadcast_arrays(y[:, None], x[None, :], lightness * _BINS)
    return ndimage.map_coordinates(curves, place, order=1, mode="nearest", output=np.float32)


def _tone_curve(tile: Plane, clip: float) -> Plane:
    """Return the cumulated histogram at the 257 edges of its bins, its slope limited to ``clip``."""
    share = np.histogram(tile, _BINS, (0, 1))[0] / tile.size
    limit = clip / _BINS
    clipped = np.minimum(share, limit)
    room = limit - clipped
    # What was cut off goes where there is room, so that no slope passes the limit.
    clipped += room * (1 - clipped.sum()) / max(room.sum(), 1e-12) if clip > 1 else 1 / _BINS - clipped
    return np.concatenate([[0], np.cumsum(clipped)])


def _white_balance(config: WhiteBalance, image: Image, mask: Mask | None) -> Image:
    linear = np.where(image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4)
    pixels = linear.reshape(-1, 3).astype(np.float64)
    usable = pixels[(image.reshape(-1, 3) < 0.98).all(axis=1)]  # clipped pixels have lost their colour
    pixels = usable if len(usable) else pixels
    if config.method == "white-patch":
        light = np.percentile(pixels, 99, axis=0)
    else:
        order = 1 if config.method == "grey-world" else 6
        light = np.mean(pixels**order, axis=0) ** (1 / order)
    if light.min() <= 1e-4:  # a channel without light gives no measure of the cast
        return image
    gains = (light @ _LUMA / light) ** config.strength
    balanced = np.clip(linear * gains, 0, 1)
    return np.where(balanced <= 0.0031308, balanced * 12.92, 1.055 * balanced ** (1 / 2.4) - 0.055)


def _dehaze(config: Dehaze, image: Image, mask: Mask | None) -> Image:
    dark = _dark_channel(image, config.patch)
    count = max(1, dark.size // 1000)
    haziest = np.argpartition(dark, -count, axis=None)[-count:]
    air = np.maximum(image.reshape(-1, 3)[haziest].mean(axis=0), 0.1)
    transmission = 1 - config.strength * _dark_channel(image / air, config.patch)
    transmission = _guided(image @ _LUMA, transmission, radius=2 * config.patch, epsilon=1e-3)
    return (image - air) / np.clip(transmission, 0.1, 1)[..., None] + air


def _dark_channel(image: Image, patch: int) -> Plane:
    darkest = np.ascontiguousarray(image.min(axis=-1))
    return cv2.erode(darkest, np.ones((patch, patch), np.uint8))


def _guided(guide: Plane, plane: Plane, radius: int, epsilon: float) -> Plane:
    """Smooth ``plane`` along the edges of ``guide``: in each window it is a linear function of it."""

    def mean(values: Plane) -> Plane:
        side = 2 * radius + 1
        return cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)

    guide_mean, plane_mean = mean(guide), mean(plane)
    slope = (mean(guide * plane) - guide_mean * plane_mean) / (mean(guide * guide) - guide_mean**2 + epsilon)
    return mean(slope) * guide + mean(plane_mean - slope * guide_mean)
