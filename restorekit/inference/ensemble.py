"""Self-ensemble: a network looks at a picture mirrored and turned, and the turned-back results are averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from restorekit.contract import Batch

__all__ = ["ensembled"]

#: Of each size: which of (transposed, upside down, mirrored) are taken, all combined.
_SYMMETRIES = {2: (False, False, True), 4: (False, True, True), 8: (True, True, True)}


def ensembled(call: Callable[[Batch], Tensor], count: int) -> Callable[[Batch], Tensor]:
    """Average a restorer or detector over symmetries of the square.

    Parameters
    ----------
    call : callable
        A generator's ``restore`` or ``detect``.
    count : {1, 2, 4, 8}
        1 for the picture alone; 2 with its mirror image, 4 with both flips, 8 with all flips and quarter turns. So
        many times longer.

    References
    ----------
    Timofte et al. 2016, "Seven ways to improve example-based single image super resolution".
    """
    if count == 1:
        return call
    transposed, flipped, mirrored = _SYMMETRIES[count]

    def averaged(batch: Batch) -> Tensor:
        total: Tensor | None = None
        for axes in _subsets(flipped, mirrored):
            for swap in (False, True)[: 1 + transposed]:
                seen = dataclasses.replace(
                    batch,
                    images=_turned(batch.images, axes, swap),
                    masks=None if batch.masks is None else _turned(batch.masks, axes, swap),
                )
                back = call(seen).float()
                back = (back.transpose(2, 3) if swap else back).flip(axes)
                total = back if total is None else total + back
        assert total is not None
        return total / count

    return averaged


def _subsets(flipped: bool, mirrored: bool) -> list[list[int]]:
    rows = [[], [2]] if flipped else [[]]
    columns = [[], [3]] if mirrored else [[]]
    return [row + column for row in rows for column in columns]


def _turned(images: Tensor, axes: list[int], swap: bool) -> Tensor:
    turned = images.flip(axes)
    turned = turned.transpose(2, 3) if swap else turned
    kept = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return turned.contiguous(memory_format=kept)
