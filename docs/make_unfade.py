"""Draws unfade.jpg for the tutorial: ``python docs/make_unfade.py FOLDER``, where its commands were typed."""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np

GAP = 6
WIDTH = 300


def picture(folder: Path) -> np.ndarray:
    """Return faded | restored | as it was, side by side."""
    cells: list[np.ndarray] = []
    for name in ("faded", "fresh", "held-out"):
        pixels = cv2.imread(str(folder / name / "coffee.png"))
        if pixels is None:
            raise SystemExit(f"{folder / name / 'coffee.png'}: is missing; follow docs/tutorial.md in {folder} first")
        size = (WIDTH, round(pixels.shape[0] * WIDTH / pixels.shape[1]))
        cells += [cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.full((size[1], GAP, 3), 255, np.uint8)]
    return np.concatenate(cells[:-1], axis=1)


if __name__ == "__main__":
    encoded = cv2.imencode(".jpg", picture(Path(sys.argv[1])), [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
    (Path(__file__).parent / "unfade.jpg").write_bytes(encoded.tobytes())
