"""Makes ``docs/before-after.jpg``: the sample pictures as they are and as ``restorekit restore`` leaves them.

python docs/make_before_after.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import restorekit
from restorekit import images
from restorekit.batch.restore import Options

HERE = Path(__file__).parent
SAMPLES = HERE.parent / "data" / "samples"
PICTURES = ("scratched.png", "torn.png", "noisy.png", "compressed.jpg")
CELL = (176, 240)


def cell(path: Path) -> NDArray[np.uint8]:
    """Read the middle of a picture as an RGB cell."""
    pixels = images.read(path).pixels.astype(np.uint8)
    height, width = pixels.shape[:2]
    top, left = max(0, (height - CELL[0]) // 2), max(0, (width - CELL[1]) // 2)
    crop = pixels[top : top + CELL[0], left : left + CELL[1]]
    return np.pad(crop, ((0, CELL[0] - crop.shape[0]), (0, CELL[1] - crop.shape[1]), (0, 0)), constant_values=255)


def main() -> None:
    """Restore the samples and put both rows into one picture."""
    with tempfile.TemporaryDirectory() as folder:
        restorekit.restore_folder(SAMPLES, folder, Options(report=False))
        gap = np.full((CELL[0], 6, 3), 255, np.uint8)
        rows = []
        for source in (SAMPLES, Path(folder)):
            cells = [piece for name in PICTURES for piece in (cell(source / name), gap)]
            rows.append(np.concatenate(cells[:-1], axis=1))
        line = np.full((6, rows[0].shape[1], 3), 255, np.uint8)
        sheet = np.concatenate([rows[0], line, rows[1]], axis=0)
    encoded = cv2.imencode(".jpg", sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])[1]
    (HERE / "before-after.jpg").write_bytes(encoded.tobytes())


if __name__ == "__main__":
    main()
