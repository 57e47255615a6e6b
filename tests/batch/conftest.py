"""Folders of small real pictures for batch tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage import data


def noisy_pictures(folder: Path, count: int, side: int = 64) -> list[Path]:
    """Write ``count`` different noisy crops of real photos: mostly PNG, some JPEG, in two folders."""
    rng = np.random.default_rng(7)
    photos = [data.astronaut(), data.coffee(), data.chelsea()]
    paths = []
    for number in range(count):
        photo = photos[number % 3]
        y, x = (int(rng.integers(0, limit - side)) for limit in photo.shape[:2])
        crop = photo[y : y + side, x : x + side] + rng.normal(0, 15, (side, side, 3))
        name = f"{'sub/' if number % 4 == 0 else ''}p{number:03d}.{'jpg' if number % 5 == 0 else 'png'}"
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(crop, 0, 255).astype(np.uint8)).save(path)
        paths.append(path)
    return paths


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A folder with twelve noisy pictures."""
    noisy_pictures(tmp_path / "in", 12)
    return tmp_path / "in"


def contents(folder: Path) -> dict[str, bytes]:
    """Map the pictures in an output folder to their bytes."""
    own = ("manifest", "report", ".restorekit")
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(own)
    }
