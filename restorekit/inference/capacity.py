"""Chooses tiles, and how many at once, that fit into a device's memory: by measuring what one small tile takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from restorekit.contract import Batch, Geometry
from restorekit.inference.device import LAYOUT
from restorekit.inference.tiling import padded_size

__all__ = ["DEFAULT_TILE", "LEAST_TILE", "CudaMemory", "Memory", "Portion", "memory_of", "portion"]

#: Side of a tile in input pixels, where the user names none. On a CPU larger ones are slower: an activation of 64
#: channels then has more than 32 MiB, which glibc takes from the system anew, page by page, for every layer.
DEFAULT_TILE = 400

#: Below this side a tile that does not fit into memory is given up.
LEAST_TILE = 32

#: Tiles that a GPU is given at once at most: from there on it is busy, and more only take longer to come.
_MOST = 8

#: Of a GPU's memory that one batch may take. Pictures above 8 bits, in fp32, take twice what was measured, and the
#: results of the batch before are still there.
_SHARE = 0.4

#: Side of the tile that is measured.
_PROBE = 128


@dataclass(frozen=True, slots=True)
class Portion:
    """What a generator is given at once: ``batch_size`` tiles of side ``tile``."""

    tile: int
    batch_size: int


class Memory(Protocol):
    """A device's memory."""

    def total(self) -> int:
        """Return the bytes that it has, in use or not: what is free changes, and results should not."""
        ...

    def peak(self, call: Callable[[], object]) -> int:
        """Return the bytes that a call takes at its highest, beyond what is held before."""
        ...


class CudaMemory:
    """The memory of a GPU as PyTorch's allocator sees it.

    Parameters
    ----------
    device : torch.device
        The GPU.
    """

    def __init__(self, device: torch.device):
        self._device = device

    def total(self) -> int:
        """Return the bytes that the GPU has."""
        return torch.cuda.get_device_properties(self._device).total_memory

    def peak(self, call: Callable[[], object]) -> int:
        """Return the bytes that a call takes at its highest."""
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        call()
        return torch.cuda.max_memory_allocated(self._device) - before


def memory_of(device: torch.device) -> Memory | None:
    """Return a device's memory; ``None`` where it cannot be measured."""
    return CudaMemory(device) if device.type == "cuda" else None


@torch.no_grad()
def portion(
    call: Callable[[Batch], Tensor],
    geometry: Geometry,
    device: torch.device,
    memory: Memory | None,
    *,
    settings: Mapping[str, object] | None = None,
    tile: int | None = None,
    batch_size: int | None = None,
) -> Portion:
    """Choose what the user does not.

    Both depend on the generator and the device alone, not on what else is in its memory or on the pictures: the same
    call has to give the same bytes. What does not fit in spite of it is halved when it fails.

    Parameters
    ----------
    call : callable
        A generator's ``restore`` or ``detect``, in the precision that it will have.
    geometry : Geometry
        Its multiples and its fixed size.
    device : torch.device
        Where it runs.
    memory : Memory, optional
        Of the device; without it tiles go one by one.
    settings : mapping, optional
        Validated settings for ``Batch.settings``.
    tile, batch_size : int, optional
        What the user chose.
    """
    untiled = geometry.whole_image and geometry.size is None
    if memory is None or untiled or (tile and batch_size):
        return Portion(tile or DEFAULT_TILE, batch_size or 1)
    height, width = geometry.size or (padded_size(_PROBE, 1, geometry.multiple_of)[0],) * 2
    probe = _probe(height, width, geometry, device, dict(settings or {}))
    try:
        each = memory.peak(lambda: call(probe)) / (height * width)
    except torch.OutOfMemoryError:
        each = math.inf
    return _chosen(_SHARE * memory.total() / max(1.0, each), geometry, tile, batch_size)


def _chosen(fitting: float, geometry: Geometry, tile: int | None, batch_size: int | None) -> Portion:
    """Divide so many pixels into tiles: as many of the usual ones as fit, or one that is smaller."""
    if tile is None:
        multiple = math.lcm(16, geometry.multiple_of)
        side = math.isqrt(int(fitting / (batch_size or 1))) // multiple * multiple
        tile = min(DEFAULT_TILE, max(LEAST_TILE, side))
    area = math.prod(geometry.size or (tile, tile))
    room = min(_MOST, max(1, int(fitting / area)))
    return Portion(tile, batch_size or 1 << (room.bit_length() - 1))


def _probe(height: int, width: int, geometry: Geometry, device: torch.device, settings: Mapping[str, object]) -> Batch:
    """Return a grey picture; all of it is a hole where a mask is needed."""
    image = torch.full((1, 3, height, width), 0.5, device=device).contiguous(memory_format=LAYOUT)
    mask = torch.ones_like(image[:, :1]) if geometry.needs_mask else None
    seeds = torch.zeros(1, dtype=torch.int64, device=device)
    return Batch(image, masks=mask, seeds=seeds, settings=settings)
