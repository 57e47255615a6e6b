"""Self-ensemble: a network looks at a picture mirrored and turned, and the turned-back results are averaged."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import torch
from torch import Tensor

from restorekit.contract import Batch
from restorekit.nn.chance import uniforms

__all__ = ["another_view", "ensembled"]

#: Of each size: which of (transposed, upside down, mirrored) are taken, all combined.
_SYMMETRIES = {2: (False, False, True), 4: (False, True, True), 8: (True, True, True)}
#: `another_view`'s use of a sample's seed, away from those of degradations and augmentations.
_VIEW = 7003


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


def another_view(call: Callable[[Batch], Tensor], batch: Batch) -> Tensor:
    """Return what a restorer makes of each picture mirrored or turned, put upright again.

    The mean of `ensembled` over many batches, at the price of one view.

    Parameters
    ----------
    call : callable
        A generator's ``restore``.
    batch : Batch
        With seeds: they choose each picture's view, all seven (three of pictures that are not square) alike, and never
        the picture as it is.
    """
    assert batch.seeds is not None
    square = batch.images.shape[2] == batch.images.shape[3]
    ways = 1 + (uniforms(batch.seeds, 1, _VIEW)[:, 0] * (7 if square else 3)).long().to(batch.images.device)
    mirrored, flipped, transposed = ((ways >> bit & 1).bool()[:, None, None, None] for bit in range(3))

    def seen(images: Tensor) -> Tensor:
        images = torch.where(mirrored, images.flip(3), images)
        images = torch.where(flipped, images.flip(2), images)
        return torch.where(transposed, images.transpose(2, 3), images) if square else images

    masks = None if batch.masks is None else seen(batch.masks)
    back = call(dataclasses.replace(batch, images=seen(batch.images), masks=masks))
    back = torch.where(transposed, back.transpose(2, 3), back) if square else back
    back = torch.where(flipped, back.flip(2), back)
    return torch.where(mirrored, back.flip(3), back)


def _subsets(flipped: bool, mirrored: bool) -> list[list[int]]:
    rows = [[], [2]] if flipped else [[]]
    columns = [[], [3]] if mirrored else [[]]
    return [row + column for row in rows for column in columns]


def _turned(images: Tensor, axes: list[int], swap: bool) -> Tensor:
    turned = images.flip(axes)
    turned = turned.transpose(2, 3) if swap else turned
    kept = torch.channels_last if images.is_contiguous(memory_format=torch.channels_last) else torch.contiguous_format
    return turned.contiguous(memory_format=kept)
