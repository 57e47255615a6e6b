"""Moves pixels between the host and the device that networks run on; on CUDA beside the network, not in its turn.

`Beside` copies on two streams of its own, from and to pinned memory: with pageable memory a copy is never asynchronous
(https://docs.pytorch.org/docs/stable/notes/cuda.html#use-pinned-memory-buffers). Who waits for whom is said by events
alone, the device is never waited for as a whole.
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.inference.arrays import carried, normalised, to_tensor

__all__ = ["Beside", "Cuda", "InTurn", "Transfer", "transfer_for"]

Arrays = Sequence[NDArray[Any]]

#: Pieces of a parcel begin at multiples of this many bytes, so that each can be viewed as any dtype.
_ALIGNMENT = 16


class Transfer(Protocol):
    """Carries tiles to a device and results back, for one run."""

    #: Batches whose results may still be under way while the generator is given the next one.
    ahead: int

    def upload(self, pixels: Arrays, others: Arrays) -> tuple[list[Tensor], list[Tensor]]:
        """Bring ``(H, W, C)`` pixels over as ``(C, H, W)`` float32 in [0, 1], and other arrays as they are."""
        ...

    def download(self, tensors: Iterable[Tensor]) -> Iterator[Tensor]:
        """Return an iterator over tensors that the network's stream computes; whoever asks for the first one waits."""
        ...

    def close(self) -> None:
        """Wait for what nobody asked for."""
        ...


def transfer_for(device: torch.device) -> Transfer:
    """Return the fastest way to a device."""
    return Beside(device, Cuda(device)) if device.type == "cuda" else InTurn(device)


class InTurn:
    """Copies when it is asked to and leaves results where they are: on a CPU there is nothing to be copied."""

    ahead = 0

    def __init__(self, device: torch.device):
        self._device = device

    def upload(self, pixels: Arrays, others: Arrays) -> tuple[list[Tensor], list[Tensor]]:
        """Convert, one after the other."""
        return (
            [to_tensor(each, self._device) for each in pixels],
            [torch.from_numpy(each).to(self._device) for each in others],
        )

    def download(self, tensors: Iterable[Tensor]) -> Iterator[Tensor]:
        """Compute each when it is asked for."""
        return iter(tensors)

    def close(self) -> None:
        """Nothing is under way."""


class Stream(Protocol):
    """What is used of `torch.cuda.Stream`."""

    def wait_event(self, event: Any) -> None:
        """Begin nothing that is queued from now on before an event."""
        ...


class Event(Protocol):
    """What is used of `torch.cuda.Event`."""

    def record(self, stream: Any) -> None:
        """Happen when the stream has done what is queued so far."""
        ...

    def query(self) -> bool:
        """Whether it has happened."""
        ...

    def synchronize(self) -> None:
        """Wait until it has."""
        ...


class Cuda:
    """What `Beside` asks of CUDA; tests put a clockwork of their own in its place.

    Parameters
    ----------
    device : torch.device
        The GPU.
    """

    def __init__(self, device: torch.device):
        self._device = device

    def network_stream(self) -> Stream:
        """Return the stream that this thread's operations go to."""
        return torch.cuda.current_stream(self._device)

    def side_stream(self) -> Stream:
        """Return a stream that waits for no other by itself."""
        return torch.cuda.Stream(self._device)

    def on(self, stream: Any) -> contextlib.AbstractContextManager[object]:
        """Send what is queued, and what is allocated, in a block to a stream."""
        return torch.cuda.stream(stream)

    def event(self) -> Event:
        """Return an event that puts a thread which waits for it to sleep: the decoders need the core."""
        return torch.cuda.Event(blocking=True)

    def here(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Take pinned memory of the host."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def there(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Take memory of the device; without more, it is the current stream's alone."""
        return torch.empty(shape, dtype=dtype, device=self._device)

    def copy(self, target: Tensor, source: Tensor) -> None:
        """Queue a copy on the current stream."""
        target.copy_(source, non_blocking=True)

    def used_by(self, tensor: Tensor, stream: Any) -> None:
        """Keep a tensor's memory, once it is given back, from being taken anew before this stream is done with it."""
        tensor.record_stream(stream)


class Beside:
    """Copies on side streams while the network computes.

    Up goes one parcel with all of a batch, packed in pinned memory; the network's stream, and not the host, waits for
    its copy. For the way down the copying stream waits for the network's, and the host for the copy, when it wants
    the result.

    Parameters
    ----------
    device : torch.device
        The GPU.
    cuda : Cuda
        Its streams, events and memory.
    """

    ahead = 1

    def __init__(self, device: torch.device, cuda: Cuda):
        self._cuda = cuda
        self._network = cuda.network_stream()
        self._up, self._down = cuda.side_stream(), cuda.side_stream()
        self._under_way: deque[tuple[Event, Sequence[Tensor]]] = deque()

    def upload(self, pixels: Arrays, others: Arrays) -> tuple[list[Tensor], list[Tensor]]:
        """Queue one copy, and the conversion to float behind it on the network's stream."""
        pieces = [_Piece.of(array) for array in (*pixels, *others)]
        starts = list(itertools.accumulate((piece.room for piece in pieces), initial=0))
        size = starts.pop()
        parcel = self._cuda.here((size,), torch.uint8)
        for piece, start in zip(pieces, starts, strict=True):
            piece.pack(parcel, start)
        copied = self._cuda.event()
        with self._cuda.on(self._up):
            # Taken on this stream: what the network's gave back last may still be read by kernels that it has queued.
            arrived = self._cuda.there((size,), torch.uint8)
            self._cuda.copy(arrived, parcel)
            copied.record(self._up)
        self._keep(copied, [parcel])
        self._network.wait_event(copied)
        self._cuda.used_by(arrived, self._network)
        tensors = [piece.unpacked(arrived, start) for piece, start in zip(pieces, starts, strict=True)]
        floats = [normalised(tensor, each.dtype) for tensor, each in zip(tensors, pixels, strict=False)]
        return floats, tensors[len(pixels) :]

    def download(self, tensors: Iterable[Tensor]) -> Iterator[Tensor]:
        """Queue all copies; pictures, ``(C, H, W)``, travel with their channels side by side."""
        # Made dense on the network's stream: only then is a copy one that the host need not wait for.
        sources = [_channels_last(tensor).contiguous() for tensor in tensors]
        computed, landed = self._cuda.event(), self._cuda.event()
        computed.record(self._network)
        self._down.wait_event(computed)
        targets = [self._cuda.here(source.shape, source.dtype) for source in sources]
        with self._cuda.on(self._down):
            for target, source in zip(targets, sources, strict=True):
                self._cuda.copy(target, source)
                self._cuda.used_by(source, self._down)
            landed.record(self._down)
        self._keep(landed, targets)
        return _awaited(landed, targets)

    def close(self) -> None:
        """Wait for all copies: pinned memory that is given back is soon someone else's."""
        while self._under_way:
            self._under_way[0][0].synchronize()
            self._under_way.popleft()

    def _keep(self, done: Event, pinned: Sequence[Tensor]) -> None:
        """Hold pinned memory until its copy is done."""
        self._under_way.append((done, pinned))
        while self._under_way and self._under_way[0][0].query():
            self._under_way.popleft()


def _awaited(landed: Event, targets: Sequence[Tensor]) -> Iterator[Tensor]:
    landed.synchronize()
    for target in targets:
        yield target.permute(2, 0, 1) if target.ndim == 3 else target


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.permute(1, 2, 0) if tensor.ndim == 3 else tensor


@dataclass(frozen=True, slots=True)
class _Piece:
    """An array's part of a parcel of bytes."""

    array: NDArray[Any]
    dtype: np.dtype[Any]
    size: int

    @classmethod
    def of(cls, array: NDArray[Any]) -> _Piece:
        dtype = carried(array.dtype)
        return cls(array, dtype, array.size * dtype.itemsize)

    @property
    def room(self) -> int:
        """Bytes until the next piece."""
        return -(-self.size // _ALIGNMENT) * _ALIGNMENT

    def pack(self, parcel: Tensor, start: int) -> None:
        """Copy it in."""
        place = parcel[start : start + self.size].numpy().view(self.dtype).reshape(self.array.shape)
        np.copyto(place, self.array)

    def unpacked(self, parcel: Tensor, start: int) -> Tensor:
        """Return it as a view of a parcel that has arrived."""
        dtype = torch.from_numpy(np.empty(0, self.dtype)).dtype
        return parcel[start : start + self.size].view(dtype).view(self.array.shape)
