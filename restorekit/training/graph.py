"""Captures a whole training step in a CUDA graph and replays it: one launch in place of thousands.

The steps before the capture are ordinary training steps, so a run's result does not depend on when it is captured.
Within a captured step nothing may wait for the device or depend on what Python remembers: it is replayed as it was
recorded, on tensors that keep their addresses. Random numbers are safe: noise is a function of the batch's seeds, and
dropout draws from the device's default generator, whose seed each replay reads anew (see
https://docs.pytorch.org/docs/stable/notes/cuda.html#cuda-graphs); the loop sets it before every step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from restorekit.contract import Batch

__all__ = ["CudaRecorder", "Recorder", "StepGraph"]

#: Steps before the capture: optimizers make their moments, libraries choose their algorithms.
WARM_UP = 11

_FIELDS = ("images", "masks", "labels", "targets", "seeds")

Scalars = Mapping[str, Tensor]
Step = Callable[[Sequence[Batch]], Scalars]


class Recorder(Protocol):
    """Runs and records functions on a device."""

    def run(self, function: Callable[[], Scalars]) -> Scalars:
        """Run where recording will happen later."""
        ...

    def record(self, function: Callable[[], Scalars]) -> Callable[[], Scalars]:
        """Record without running; return what replays it. Raises ``RuntimeError`` where that cannot be."""
        ...


class StepGraph:
    """A training step that is captured once it is warm.

    Parameters
    ----------
    step : callable
        Maps a step's batches to the scalars to log.
    recorder : Recorder, optional
        Without one every step is run.
    """

    def __init__(self, step: Step, recorder: Recorder | None):
        self._step = step
        self._recorder = recorder
        self._run = 0
        self._static: tuple[Batch, ...] = ()
        self._replay: Callable[[], Scalars] | None = None
        self._told = False

    @property
    def captured(self) -> bool:
        """Whether steps are replayed."""
        return self._replay is not None

    def __call__(self, batches: Sequence[Batch]) -> Scalars:
        """Make one step; the scalars are valid until the next."""
        if self._recorder is not None and self._replay is None and self._run >= WARM_UP:
            self._capture(self._recorder, batches)
        self._run += 1
        if self._recorder is None:
            return self._step(batches)
        if self._replay is None:
            return self._recorder.run(lambda: self._step(batches))
        if _signature(batches) != _signature(self._static):
            self._tell("batches of other shapes than the captured ones are run step by step")
            return self._recorder.run(lambda: self._step(batches))
        for static, batch in zip(self._static, batches, strict=True):
            for held, given in zip(_distinct(static), _distinct(batch), strict=True):
                held.copy_(given, non_blocking=True)
        return self._replay()

    def _capture(self, recorder: Recorder, batches: Sequence[Batch]) -> None:
        self._static = tuple(_cloned(batch) for batch in batches)
        try:
            self._replay = recorder.record(lambda: self._step(self._static))
        except RuntimeError as error:
            self._tell(f"steps are not captured ({' '.join(str(error).split())[:200]})")
            self._recorder, self._static = None, ()

    def _tell(self, message: str) -> None:
        if not self._told:
            warnings.warn(f"run.graph: {message}", stacklevel=2)
        self._told = True


class CudaRecorder:
    """Records CUDA graphs on a stream of its own.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def run(self, function: Callable[[], Scalars]) -> Scalars:
        """See `Recorder`."""
        current = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            scalars = function()
        current.wait_stream(self._stream)
        return scalars

    def record(self, function: Callable[[], Scalars]) -> Callable[[], Scalars]:
        """See `Recorder`."""
        graph = torch.cuda.CUDAGraph()
        try:
            # Threads that prepare batches may pin memory meanwhile.
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                scalars = function()
        except RuntimeError:
            self._forget_failure()
            raise

        def replay() -> Scalars:
            graph.replay()
            return scalars

        return replay

    def _forget_failure(self) -> None:
        """Give the default generator a new state: that of a failed capture stays in capture mode for ever."""
        with contextlib.suppress(RuntimeError):
            torch.cuda.synchronize(self._device)
        fresh = torch.Generator(self._device)
        generator = torch.cuda.default_generators[self._device.index or 0]
        fresh.manual_seed(torch.initial_seed())
        generator.graphsafe_set_state(fresh.graphsafe_get_state())


def _distinct(batch: Batch) -> list[Tensor]:
    """Return a batch's tensors; clean pictures that serve as images and targets count once."""
    tensors = {id(tensor): tensor for name in _FIELDS if (tensor := getattr(batch, name)) is not None}
    return list(tensors.values())


def _cloned(batch: Batch) -> Batch:
    copies = {id(tensor): tensor.clone() for tensor in _distinct(batch)}
    fields = {name: copies[id(t)] for name in _FIELDS if (t := getattr(batch, name)) is not None}
    return dataclasses.replace(batch, **fields)


def _signature(batches: Sequence[Batch]) -> list[object]:
    """Describe everything about batches that a recorded step depends on, besides the values in their tensors."""
    described: list[object] = []
    for batch in batches:
        described += [dict(batch.settings), batch.bits, batch.targets is batch.images]
        for name in _FIELDS:
            tensor = getattr(batch, name)
            described.append(None if tensor is None else (tensor.shape, tensor.dtype, tensor.stride()))
    return described
