"""Small sets that live on the device: cropped, mirrored and turned there, with the same bits as on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.sources.arrays import ArraySource
from restorekit.sources.sampling import Sampler, sample_seeds, uniforms

__all__ = ["Resident", "can_reside"]

#: Share of the device's free memory that a set may take.
_SHARE = 0.25


def can_reside(sampler: Sampler, device: torch.device) -> bool:
    """Return whether a sampler's pictures can live on the device: in one array, small enough, of one shape and size."""
    source = sampler.source
    if not isinstance(source, ArraySource) or sampler.shrink < 1:
        return False
    height, width = source.pictures.shape[1:3]
    if sampler.crop is None and sampler.rotate and height != width:
        return False
    if device.type != "cuda":
        return True
    return source.pictures.nbytes <= _SHARE * torch.cuda.mem_get_info(device)[0]


class Resident:
    """The pictures of a sampler on the device.

    Parameters
    ----------
    sampler : Sampler
        Over an `ArraySource`, see `can_reside`.
    device : torch.device
        Where they go.
    """

    def __init__(self, sampler: Sampler, device: torch.device):
        source = sampler.source
        assert isinstance(source, ArraySource)
        self._sampler = sampler
        height, width, channels = source.pictures.shape[1:]
        self._size = (height, width)
        self._crop = (height, width) if sampler.crop is None else (sampler.crop, sampler.crop)
        self._pixels = torch.from_numpy(np.ascontiguousarray(source.pictures)).to(device).view(-1, channels)
        # Pictures smaller than the crop are continued by their mirror image.
        self._rows, self._columns = (
            torch.from_numpy(np.pad(np.arange(side), (0, max(0, crop - side)), mode="symmetric")).to(device)
            for side, crop in zip(self._size, self._crop, strict=True)
        )

    def places(self, indices: Sequence[int]) -> tuple[Tensor, NDArray[np.int64] | None, NDArray[np.int64]]:
        """Draw samples, without touching a pixel.

        Parameters
        ----------
        indices : sequence of int
            As for `Sampler.batch`.

        Returns
        -------
        places : Tensor
            ``(N, 5)`` int64 on the CPU: picture, top, left, mirrored, quarter turns.
        labels, seeds : ndarray
            As from `Sampler.batch`.
        """
        sampler = self._sampler
        seeds = sample_seeds(sampler.seed, np.asarray(indices, np.int64))
        draws = uniforms(seeds, 4)
        chosen = sampler.chosen(indices)
        room = [max(0, side - crop) + 1 for side, crop in zip(self._size, self._crop, strict=True)]
        places = np.stack(
            [
                chosen,
                (draws[:, 0] * room[0]).astype(np.int64),
                (draws[:, 1] * room[1]).astype(np.int64),
                (draws[:, 2] < 0.5).astype(np.int64) * sampler.flip,
                (draws[:, 3] * 4).astype(np.int64) * sampler.rotate,
            ],
            axis=1,
        )
        labels = None if sampler.source.labels is None else sampler.source.labels[chosen]
        return torch.from_numpy(places), labels, seeds

    def pictures(self, places: Tensor) -> Tensor:
        """Return ``(N, H, W, 3)`` uint8 of places that are on the device."""
        number, top, left, mirrored, turns = (column[:, None, None] for column in places.unbind(dim=1))
        height, width = self._crop
        i = torch.arange(height, device=places.device)[:, None]
        j = torch.arange(width, device=places.device)[None]
        # Where rot90 takes each pixel from; turned crops are square.
        last = height - 1
        row = torch.where(turns == 0, i, torch.where(turns == 1, j, torch.where(turns == 2, last - i, last - j)))
        column = torch.where(turns == 0, j, torch.where(turns == 1, last - i, torch.where(turns == 2, last - j, i)))
        column = torch.where(mirrored > 0, width - 1 - column, column)
        row, column = self._rows[top + row], self._columns[left + column]
        pixels = self._pixels[(number * self._size[0] + row) * self._size[1] + column]
        return pixels.expand(-1, -1, -1, 3)
