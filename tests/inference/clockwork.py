"""A GPU of clockwork: copies that wait as long as they may, and memory whose misuse shows."""

from __future__ import annotations

import contextlib
import itertools
import weakref
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary

__all__ = ["Clockwork"]


class Stream:
    """A queue of copies; the network's has none, since tests compute at once.

    ``sure`` counts what, on each stream, is done before anything that is queued from now on: a vector clock.
    """

    def __init__(self, clock: Clockwork, name: str):
        self.clock, self.name = clock, name
        self.queue: deque[Callable[[], None]] = deque()
        self.done = 0
        self.sure: Counter[str] = Counter()

    def wait_event(self, event: Event) -> None:
        self.sure |= event.sure
        if self is self.clock.network:  # what comes next is computed at once, so now is as late as a copy may be
            self.clock.catch_up(event.sure)


class Event:
    """A place in a stream, and what is done when it is reached."""

    def __init__(self, clock: Clockwork):
        self.clock = clock
        self.stream: Stream | None = None
        self.sure: Counter[str] = Counter()

    def record(self, stream: Stream) -> None:
        self.stream, self.sure = stream, stream.sure.copy()

    def query(self) -> bool:
        return self.sure <= self.clock.host

    def synchronize(self) -> None:
        assert self.stream is not None, "waits for an event that was not recorded"
        self.clock.told.append(f"host waits for {self.stream.name}")
        self.clock.catch_up(self.sure)
        self.clock.host |= self.sure


class Clockwork:
    """Stands in for `restorekit.inference.transfer.Cuda`, with memory of the host for both sides.

    ``told`` is what happened, in order, and ``misuses`` what would have been a race on a real device. Memory is full
    of nonsense until it is written.
    """

    def __init__(self):
        self.told: list[str] = []
        self.misuses: list[str] = []
        self.network, self.up, self.down = (Stream(self, name) for name in ("network", "up", "down"))
        self.host: Counter[str] = Counter()
        self._pool = itertools.cycle([self.up, self.down])
        self._current = self.network
        self._home = WeakIdKeyDictionary()
        self._users: Any = WeakIdKeyDictionary()

    def compute(self) -> None:
        """Tell that the generator is called."""
        self.network.sure["network"] += 1
        self.told.append("network")

    def catch_up(self, sure: Counter[str]) -> None:
        for stream in (self.up, self.down):
            while stream.done < sure[stream.name]:
                stream.queue.popleft()()
                stream.done += 1

    @property
    def pending(self) -> int:
        """Copies that the host does not know the end of."""
        return sum(stream.sure[stream.name] - self.host[stream.name] for stream in (self.up, self.down))

    def network_stream(self) -> Stream:
        return self.network

    def side_stream(self) -> Stream:
        return next(self._pool)  # CUDA, too, hands out the same streams again and again

    @contextlib.contextmanager
    def on(self, stream: Stream) -> Iterator[None]:
        before, self._current = self._current, stream
        try:
            yield
        finally:
            self._current = before

    def event(self) -> Event:
        return Event(self)

    def here(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        return _nonsense(shape, dtype)

    def there(self, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        memory = _nonsense(shape, dtype)
        self._home[memory] = self._current
        return memory

    def copy(self, target: Tensor, source: Tensor) -> None:
        stream, coming = self._current, target in self._home
        self._check(stream is not self.network, "copies in the network's turn")
        plain = target.dtype == source.dtype and target.is_contiguous() and source.is_contiguous()
        self._check(plain, "a copy that converts is not asynchronous")
        if coming:
            self._check(self._home[target] is stream, "writes where kernels of another stream may still read")
        else:
            self._check(stream.sure["network"] == self.network.sure["network"], "copies what is not computed yet")
        self.told.append(stream.name)
        stream.sure[stream.name] += 1
        number = stream.sure[stream.name]
        pinned, device = (source, target) if coming else (target, source)
        weakref.finalize(pinned, self._given_back, stream, number)
        held = weakref.ref(pinned)  # the queue must not be what keeps it
        weakref.finalize(device, self._freed, self._users.setdefault(device, []), self.network if coming else stream)

        def happen() -> None:
            if (memory := held()) is not None and coming:
                device.copy_(memory)
            elif memory is not None:
                memory.copy_(device)

        stream.queue.append(happen)

    def used_by(self, tensor: Tensor, stream: Stream) -> None:
        self._users.setdefault(tensor, []).append(stream)

    def _given_back(self, stream: Stream, number: int) -> None:
        self._check(self.host[stream.name] >= number, "pinned memory was given back before its copy")

    def _freed(self, users: Sequence[Stream], user: Stream) -> None:
        self._check(user in users, f"the allocator was not told that the {user.name} stream uses memory of another")

    def _check(self, holds: bool, misuse: str) -> None:
        if not holds:
            self.misuses.append(misuse)


def _nonsense(shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    memory = torch.empty(tuple(shape), dtype=dtype)
    memory.view(-1).view(torch.uint8).fill_(0xA5)
    return memory
