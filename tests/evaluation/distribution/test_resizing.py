"""Resizing against loops and the libraries that published numbers were computed with."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional as F

from restorekit.evaluation.distribution.resizing import resizing

SIZES = [(7, 5), (31, 64), (40, 40)]


def pictures(height, width):
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (2, 3, height, width), dtype=np.uint8))


@pytest.mark.parametrize("size", SIZES)
def test_tf1_has_no_half_pixel_centres(size):
    images = pictures(*size)
    found = resizing("tf1")(images, 24)
    height, width = size
    wanted = np.empty((2, 3, 24, 24))
    source = images.numpy().astype(float)
    for i in range(24):
        for j in range(24):
            y, x = i * height / 24, j * width / 24
            y0, x0 = int(np.float32(y)), int(np.float32(x))
            y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)
            top = source[..., y0, x0] * (1 - x + x0) + source[..., y0, x1] * (x - x0)
            bottom = source[..., y1, x0] * (1 - x + x0) + source[..., y1, x1] * (x - x0)
            wanted[..., i, j] = top * (1 - y + y0) + bottom * (y - y0)
    np.testing.assert_allclose(found * 128 + 128, wanted, atol=1e-3)


@pytest.mark.parametrize("size", SIZES)
def test_clean_is_pillows_bicubic_unrounded(size):
    images = 96 + pictures(*size) // 4  # Pillow clips and rounds 8 bits between its two passes
    found = resizing("clean")(images, 24) * 128 + 128
    rounded = [Image.fromarray(image.permute(1, 2, 0).numpy()).resize((24, 24), Image.Resampling.BICUBIC)
               for image in images]  # fmt: skip
    np.testing.assert_allclose(
        found.permute(0, 2, 3, 1), np.stack([np.asarray(r) for r in rounded]), atol=1.3
    )  # it rounds twice
    assert not torch.equal(found, found.round())


def test_pytorch_fid_interpolates_between_pixel_centres_without_antialiasing():
    images = pictures(64, 31)
    wanted = 2 * F.interpolate(images / 255, size=(24, 24), mode="bilinear", align_corners=False) - 1
    assert torch.equal(resizing("pytorch-fid")(images, 24), wanted)


@pytest.mark.parametrize("name", ["pytorch-fid", "clean", "tf1"])
def test_flat_pictures_stay_flat(name):
    found = resizing(name)(torch.full((1, 3, 9, 13), 255, dtype=torch.uint8), 24)
    assert torch.allclose(found, torch.tensor(1.0 if name == "pytorch-fid" else 127 / 128), atol=1e-6)
