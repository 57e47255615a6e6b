"""What the benchmarks share: pictures, timing in turn, and a table."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from skimage import data

__all__ = ["in_turn", "make_large", "make_pictures", "median_ratio", "print_rows"]


def make_pictures(folder: Path, count: int, side: int, sigma: float = 15.0) -> None:
    """Write ``count`` different noisy crops of scikit-image's photos, JPEG and PNG in turn."""
    rng = np.random.default_rng(0)
    photos = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        photo = photos[number % len(photos)]
        y, x = (int(rng.integers(0, max(1, limit - side))) for limit in photo.shape[:2])
        crop = photo[y : y + side, x : x + side].astype(np.float32)
        noisy = np.clip(crop + rng.normal(0, sigma, crop.shape), 0, 255).astype(np.uint8)
        suffix, options = (".jpg", [cv2.IMWRITE_JPEG_QUALITY, 92]) if number % 2 else (".png", [])
        cv2.imwrite(str(folder / f"{number:05d}{suffix}"), noisy[..., ::-1], options)


def make_large(folder: Path, count: int, megapixels: float) -> None:
    """Write noisy JPEGs of a size, 4 to 3: a photo of scikit-image, repeated."""
    photo = data.astronaut().astype(np.float32)
    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    width = round(megapixels * 1e6 / height)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 15, photo.shape)
        block = np.clip(photo + noise, 0, 255).astype(np.uint8)
        tiled = np.tile(block, (-(-height // len(block)), -(-width // block.shape[1]), 1))[:height, :width]
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), tiled[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])


def in_turn(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time contestants one after the other, round by round, so that a busy machine is unfair to all alike."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, contestant in contestants.items():
            begun = time.perf_counter()
            contestant()
            seconds[name].append(time.perf_counter() - begun)
    return seconds


def print_rows(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a Markdown table."""
    print("| " + " | ".join(columns) + " |")
    print("|" + "---|" * len(columns))
    for row in rows:
        print("| " + " | ".join(f"{cell:.2f}" if isinstance(cell, float) else str(cell) for cell in row) + " |")


def median_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Return the median of the ratios of runs that stood side by side."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))
