"""Plain loops over a folder, in the manner of the peers' scripts: what restorekit is measured against.

Written for this comparison: fp32, contiguous tensors, one picture after the other, OpenCV in and out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.contract import Batch, Restorer

__all__ = ["chainner", "real_esrgan"]


@torch.no_grad()
def real_esrgan(restorer: Restorer, source: Path, target: Path, tile: int = 512, pad: int = 10) -> None:
    """Restore in the manner of Real-ESRGAN: tiles of a fixed stride, padded, pasted into a float tensor."""
    scale = restorer.geometry.scale
    for path in sorted(source.iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 255
        rgb = np.transpose(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), (2, 0, 1))
        tensor = torch.from_numpy(np.ascontiguousarray(rgb))[None]
        _, channels, height, width = tensor.shape
        output = tensor.new_zeros((1, channels, height * scale, width * scale))
        for y, x in _origins(height, width, tile, tile):
            bottom, right = min(y + tile, height), min(x + tile, width)
            top, left = max(y - pad, 0), max(x - pad, 0)
            piece = tensor[:, :, top : min(bottom + pad, height), left : min(right + pad, width)]
            restored = restorer.restore(Batch(piece))
            inside = restored[
                :, :, (y - top) * scale : (bottom - top) * scale, (x - left) * scale : (right - left) * scale
            ]
            output[:, :, y * scale : bottom * scale, x * scale : right * scale] = inside
        floats = output.data.squeeze().float().cpu().clamp_(0, 1).numpy()
        bgr = np.transpose(floats[[2, 1, 0]], (1, 2, 0))
        cv2.imwrite(str(target / path.name), (bgr * 255.0).round().astype(np.uint8))


@torch.no_grad()
def chainner(restorer: Restorer, source: Path, target: Path, tile: int = 512, overlap: int = 16) -> None:
    """Restore in the manner of chaiNNer: even tiles with an overlap, every tile from and to a float array."""
    scale = restorer.geometry.scale
    for path in sorted(source.iterdir()):
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED).astype(np.float32) / 255
        height, width, channels = image.shape
        output = np.zeros((height * scale, width * scale, channels), np.float32)
        sides = [math.ceil(length / math.ceil(length / tile)) for length in (height, width)]
        for y, x in _origins(height, width, *sides):
            bottom, right = min(y + sides[0], height), min(x + sides[1], width)
            top, left = max(y - overlap, 0), max(x - overlap, 0)
            piece = image[top : min(bottom + overlap, height), left : min(right + overlap, width)]
            restored = _array(restorer.restore(Batch(_tensor(piece))))
            inside = restored[(y - top) * scale : (bottom - top) * scale, (x - left) * scale : (right - left) * scale]
            output[y * scale : bottom * scale, x * scale : right * scale] = inside
        cv2.imwrite(str(target / path.name), (np.clip(output, 0, 1) * 255).round().astype(np.uint8))


def _origins(height: int, width: int, down: int, across: int) -> Iterator[tuple[int, int]]:
    return ((y, x) for y in range(0, height, down) for x in range(0, width, across))


def _tensor(bgr: NDArray[np.float32]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).transpose(2, 0, 1)))[None]


def _array(tensor: Tensor) -> NDArray[Any]:
    return cv2.cvtColor(np.ascontiguousarray(tensor[0].clamp(0, 1).numpy().transpose(1, 2, 0)), cv2.COLOR_RGB2BGR)
