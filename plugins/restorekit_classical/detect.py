"""Finding scratches."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restorekit.plugin import Batch, Detector
from restorekit_classical.config import TopHat
from restorekit_classical.picturewise import Mask, Plane

__all__ = ["top_hat"]

_LUMA = np.array([0.299, 0.587, 0.114], np.float32)

_OPERATIONS = {
    "bright": (cv2.MORPH_TOPHAT,),
    "dark": (cv2.MORPH_BLACKHAT,),
    "both": (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT),
}


def top_hat(config: TopHat) -> Detector:
    """Find long thin lines that are brighter or darker than both their sides."""
    return _TopHat(config)


class _TopHat:
    def __init__(self, config: TopHat):
        self.config = config

    def detect(self, batch: Batch) -> Tensor:
        images = batch.images.detach().to("cpu", torch.float32).permute(0, 2, 3, 1).numpy()
        found = np.stack([_scratches(image @ _LUMA, self.config) for image in images])
        return torch.from_numpy(found.astype(np.float32))[:, None].to(batch.images.device)


def _scratches(luma: Plane, config: TopHat) -> Mask:
    # An opening removes what its window does not fit into: lines up to `width` pixels thick.
    side = config.width + 1 + config.width % 2
    window = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    smooth = cv2.GaussianBlur(luma, (0, 0), 0.8)
    found = np.zeros(luma.shape, bool)
    for operation in _OPERATIONS[config.tone]:
        response = cv2.morphologyEx(smooth, operation, window)
        # Texture answers too: a scratch stands out from what its own surroundings answer.
        texture = cv2.blur(response, (31, 31))
        strong = response > np.maximum(config.contrast / 255, 3 * texture)
        faint = response > np.maximum(config.contrast / 510, 1.5 * texture)
        found |= _long_lines(faint, strong, config)
    # A scratch's soft edge belongs to it.
    return cv2.dilate(found.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def _long_lines(faint: Mask, strong: Mask, config: TopHat) -> Mask:
    """Keep the connected faint pixels that hold enough strong ones and are long and thin."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(faint.astype(np.uint8), connectivity=8)
    length = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    seeds = np.bincount(labels[strong], minlength=count)
    thickness = stats[:, cv2.CC_STAT_AREA] / length
    keep = (length >= config.length) & (seeds >= length / 4) & (thickness <= config.width) & (length >= 6 * thickness)
    keep[0] = False
    return keep[labels.astype(np.intp)]
