"""Chooses which pictures a report shows, and cuts the part of each on which the competitors differ most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from restorekit.images.depth import rescaled, white_of

__all__ = ["SIDE", "Crop", "Shown", "choose", "crops"]

#: Side of a crop in pixels of the clean picture.
SIDE = 96


@dataclass(frozen=True, slots=True)
class Crop:
    """One of the pictures side by side.

    Parameters
    ----------
    title : str
        Whose it is.
    png : bytes
        The crop, lossless, pixel for pixel.
    scores : mapping of str to float
        The metrics of the whole picture.
    """

    title: str
    png: bytes
    scores: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Shown:
    """One picture of the report.

    Parameters
    ----------
    name : str
        The clean picture's.
    what : str
        ``"worst"``, ``"median"`` or ``"best"``.
    box : tuple of int
        Left, top, width and height of the crop, in pixels of the clean picture.
    crops : tuple of Crop
        The damaged picture, what each competitor made of it, and the clean one.
    """

    name: str
    what: str
    box: tuple[int, int, int, int]
    crops: tuple[Crop, ...]


def choose(values: Mapping[str, float], higher_is_better: bool) -> dict[str, str]:
    """Name the worst, the median and the best picture; of an even number, the worse one in the middle.

    >>> choose({"a": 30.0, "b": 20.0, "c": 25.0}, higher_is_better=True)
    {'b': 'worst', 'c': 'median', 'a': 'best'}
    """
    ranked = sorted(values, key=lambda name: (values[name] if higher_is_better else -values[name], name))
    chosen = {ranked[-1]: "best", ranked[(len(ranked) - 1) // 2]: "median", ranked[0]: "worst"}
    if len(ranked) == 1:
        chosen = {ranked[0]: "only"}
    return {name: chosen[name] for name in ranked if name in chosen}


def crops(
    name: str,
    what: str,
    degraded: NDArray[Any],
    restored: Mapping[str, NDArray[Any]],
    clean: NDArray[Any],
    scores: Mapping[str, Mapping[str, float]],
) -> Shown:
    """Cut the same part out of every version of a picture.

    Parameters
    ----------
    name, what : str
        See `Shown`.
    degraded : ndarray
        ``(h, w, C)``; smaller than the others where resolution was lost, and then enlarged by its nearest pixels.
    restored : mapping of str to ndarray
        ``(H, W, C)`` by competitor.
    clean : ndarray
        ``(H, W, C)``.
    scores : mapping
        Metrics by competitor, and of ``"degraded"``.
    """
    box = _box(restored, clean)
    cut = [Crop("degraded", _png(_sampled(degraded, box, clean.shape)), scores.get("degraded", {}))]
    cut += [Crop(title, _png(_sampled(pixels, box, clean.shape)), scores[title]) for title, pixels in restored.items()]
    cut.append(Crop("reference", _png(_sampled(clean, box, clean.shape)), {}))
    return Shown(name, what, box, tuple(cut))


def _box(restored: Mapping[str, NDArray[Any]], clean: NDArray[Any]) -> tuple[int, int, int, int]:
    """Return where the competitors lie furthest apart; a single one is compared with the clean picture."""
    versions = [*restored.values(), *([clean] if len(restored) < 2 else [])]
    lowest = highest = _eight_bits(versions[0])
    for version in versions[1:]:  # one after another: there may be many, and large
        pixels = _eight_bits(version)
        lowest, highest = np.minimum(lowest, pixels), np.maximum(highest, pixels)
    spread = (highest - lowest).astype(np.float32).mean(axis=2)
    height, width = clean.shape[:2]
    wide, high = min(SIDE, width), min(SIDE, height)
    # Entry (y, x) of the filtered picture is the mean of the window that begins there.
    means = cv2.boxFilter(spread, -1, (wide, high), anchor=(0, 0))[: height - high + 1, : width - wide + 1]
    top, left = np.unravel_index(int(means.argmax()), means.shape)
    return int(left), int(top), wide, high


def _sampled(pixels: NDArray[Any], box: tuple[int, int, int, int], size: tuple[int, ...]) -> NDArray[np.uint8]:
    """Cut a box of a picture of ``size`` out of a smaller version, by its nearest pixels."""
    left, top, width, height = box
    rows = ((np.arange(top, top + height) + 0.5) * pixels.shape[0] / size[0]).astype(np.intp)
    columns = ((np.arange(left, left + width) + 0.5) * pixels.shape[1] / size[1]).astype(np.intp)
    return _eight_bits(pixels[np.ix_(rows, columns)])


def _eight_bits(pixels: NDArray[Any]) -> NDArray[np.uint8]:
    return np.broadcast_to(rescaled(pixels, white_of(pixels), 255), (*pixels.shape[:2], 3)).astype(np.uint8)


def _png(pixels: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".png", np.ascontiguousarray(pixels[..., ::-1]))[1].tobytes()
