"""What the tests of distributions share: one random Inception a session, and small folders of pictures."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from restorekit.evaluation.distribution.inception import random_state


@pytest.fixture(scope="session")
def inception_state() -> dict[str, Tensor]:
    return random_state(0)


@pytest.fixture(scope="session")
def inception_file(inception_state, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("inception") / "random.pth"
    torch.save(inception_state, path)
    return path


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RESTOREKIT_INCEPTION", raising=False)
    monkeypatch.delenv("RESTOREKIT_SQUEEZENET", raising=False)


class Averages:
    """A feature network of three numbers, that anyone could write: the mean colour."""

    name = "averages"
    dimensions = 3

    def facts(self):
        return {"network": "averages"}

    def features(self, images: Tensor) -> Tensor:
        return images.float().mean(dim=(2, 3))


@pytest.fixture
def averages() -> Averages:
    return Averages()


def write_pictures(folder: Path, count: int, seed: int = 0, base: int = 60) -> Path:
    """Pictures of several sizes, grey ones and 16-bit ones among them."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        shape = (20 + 3 * (number % 3), 24, 3) if number % 4 else (24, 20)
        pixels = np.clip(rng.normal(base + 10 * rng.normal(), 20, shape), 0, 255)
        sixteen = number % 5 == 4
        written = (pixels * 257).astype(np.uint16) if sixteen else pixels.astype(np.uint8)
        path = folder / f"{'sub/' if number % 2 else ''}{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), written)
    return folder
