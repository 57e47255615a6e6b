"""Runs a NumPy function of one picture over a batch of tensors: the bridge for OpenCV and scikit-image methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.contract import Batch

__all__ = ["each_picture", "to_float", "to_integers"]


def each_picture(
    function: Callable[[NDArray[np.float32], NDArray[np.bool_] | None], NDArray[np.floating]], batch: Batch
) -> Tensor:
    """Apply ``function`` to every picture of a batch.

    Parameters
    ----------
    function : callable
        Takes ``(H, W, 3)`` float32 RGB in [0, 1], and the ``(H, W)`` bool mask or ``None``; returns
        ``(sH, sW, 3)`` floats in the same range. It must not write into its arguments.
    batch : Batch
        The pictures.

    Returns
    -------
    Tensor
        ``(N, 3, sH, sW)`` float32 on the batch's device.
    """
    images = batch.images.detach().to("cpu", torch.float32).permute(0, 2, 3, 1).contiguous().numpy()
    masks = None if batch.masks is None else batch.masks.detach().to("cpu")[:, 0].numpy() >= 0.5
    restored = [function(image, None if masks is None else masks[i]) for i, image in enumerate(images)]
    stacked = torch.from_numpy(np.stack(restored).astype(np.float32, copy=False))
    return stacked.permute(0, 3, 1, 2).to(batch.images.device)


def to_integers(image: NDArray[np.floating], bits: int) -> NDArray[Any]:
    """Quantise [0, 1] to the integers OpenCV wants: uint8 up to 8 bits, uint16 above."""
    dtype = np.uint8 if bits <= 8 else np.uint16
    return np.rint(np.clip(image, 0.0, 1.0) * np.iinfo(dtype).max).astype(dtype)


def to_float(image: NDArray[Any]) -> NDArray[np.float32]:
    """Undo `to_integers`; floats are only cast."""
    if image.dtype.kind == "u":
        image = image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max)
    return image.astype(np.float32, copy=False)
