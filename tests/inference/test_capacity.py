"""Tiles and batches of which a device's memory holds as many as are chosen."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restorekit.contract import Batch, Geometry
from restorekit.inference.capacity import DEFAULT_TILE, LEAST_TILE, CudaMemory, Portion, portion
from restorekit.inference.device import Runtime
from restorekit.inference.executor import Executor, Frame

from .fakes import CPU, noise

HERE, TILED = torch.device("cpu"), Geometry(halo=4)
MEBIBYTE = 1 << 20


class Memory:
    """So many bytes, of which each pixel of a batch takes some."""

    def __init__(self, total: int, each: float):
        self.size, self.each = total, each
        self.seen: list[int] = []

    def total(self) -> int:
        return self.size

    def peak(self, call) -> int:
        call()
        return int(self.seen[-1] * self.each)

    def look(self, batch: Batch) -> torch.Tensor:
        """Be the generator."""
        samples, _, height, width = batch.images.shape
        self.seen.append(samples * height * width)
        return 1 - batch.images


def chosen(total: int, each: float, geometry: Geometry = TILED, **own: int | None) -> Portion:
    memory = Memory(total, each)
    return portion(memory.look, geometry, HERE, memory, **own)  # pyright: ignore[reportArgumentType]


@given(
    total=st.integers(1 << 28, 1 << 38),
    each=st.floats(1, 1e6),
    multiple=st.sampled_from([1, 4, 7, 64]),
    tile=st.none() | st.integers(64, 800),
    batch_size=st.none() | st.integers(1, 20),
)
def test_what_is_chosen_fits_and_what_the_user_names_stays(total, each, multiple, tile, batch_size):
    geometry = Geometry(halo=4, multiple_of=multiple)
    made = chosen(total, each, geometry, tile=tile, batch_size=batch_size)
    least_tile = tile or LEAST_TILE
    assert made.tile == tile or LEAST_TILE <= made.tile <= DEFAULT_TILE
    assert made.batch_size == batch_size or made.batch_size in (1, 2, 4, 8)
    fits = made.tile**2 * made.batch_size * each <= total / 2
    assert fits or (made.tile, made.batch_size) == (least_tile, batch_size or 1)


@given(st.integers(1 << 28, 1 << 38), st.floats(1, 1e6))
def test_more_memory_is_used(total, each):
    less, more = chosen(total, each), chosen(16 * total, each)
    assert (more.tile, more.batch_size) >= (less.tile, less.batch_size)
    assert more != less or more in (Portion(DEFAULT_TILE, 8), Portion(LEAST_TILE, 1))


def test_a_large_gpu_takes_eight_of_the_usual_tiles_and_a_small_one_smaller_tiles():
    assert chosen(80 << 30, 10_000) == Portion(DEFAULT_TILE, 8)
    assert chosen(8 << 30, 10_000) == Portion(DEFAULT_TILE, 2)
    assert chosen(2 << 30, 10_000) == Portion(288, 1)


def test_where_memory_cannot_be_measured_nothing_is_called():
    assert portion(None, Geometry(), HERE, None) == Portion(DEFAULT_TILE, 1)  # pyright: ignore[reportArgumentType]
    assert chosen(1 << 30, 1e5, tile=100, batch_size=3) == Portion(100, 3)


def test_what_works_on_whole_pictures_is_not_tried():
    memory = Memory(1 << 30, 1e5)
    made = portion(memory.look, Geometry(whole_image=True), HERE, memory)
    assert (made, memory.seen) == (Portion(DEFAULT_TILE, 1), [])


def test_memory_that_does_not_hold_the_trial_gets_the_smallest_tiles():
    def greedy(batch: Batch) -> torch.Tensor:
        raise torch.OutOfMemoryError

    assert portion(greedy, Geometry(), HERE, Memory(1 << 30, 1)) == Portion(LEAST_TILE, 1)


@pytest.mark.parametrize("geometry", [Geometry(needs_mask=True, multiple_of=8), Geometry(size=(24, 40))])
def test_the_trial_is_such_a_batch_as_the_generator_is_made_for(geometry):
    memory, seen = Memory(1 << 30, 1), []

    def call(batch: Batch) -> torch.Tensor:
        seen.append(batch)
        return memory.look(batch)

    portion(call, geometry, HERE, memory, settings={"level": 3})
    (batch,) = seen
    height, width = batch.images.shape[2:]
    assert (height, width) == geometry.size or (height % 8, width % 8) == (0, 0)
    assert (batch.masks is not None) == geometry.needs_mask
    assert batch.settings == {"level": 3}
    assert batch.seeds is not None


def test_an_executor_measures_once_and_gives_the_generator_no_more_than_fits():
    memory = Memory(20 * MEBIBYTE, 1000)
    executor = Executor(memory.look, Geometry(halo=0), CPU, memory=lambda device: memory)
    for size in ((200, 300), (90, 50)):
        canvas, restored = noise(0, (*size, 3), np.float32), np.zeros((*size, 3), np.float32)
        for patch in executor.run([Frame("a.png", canvas)]):
            restored[patch.rows, patch.columns] = patch.after.permute(1, 2, 0)
        assert np.array_equal(restored, 1 - canvas)
    trial, *batches = memory.seen
    assert max(batches) < trial == 128 * 128
    assert max(batches) * memory.each < memory.size / 2


def test_an_executor_measures_in_its_own_precision():
    memory, seen = Memory(1 << 30, 1), []

    def call(batch: Batch) -> torch.Tensor:
        seen.append(torch.mm(torch.ones(2, 2), torch.ones(2, 2)).dtype)
        return memory.look(batch)

    executor = Executor(call, Geometry(halo=0), Runtime(HERE, "bf16", "tests"), memory=lambda device: memory)
    assert executor.portion.tile == DEFAULT_TILE
    assert seen == [torch.bfloat16]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_what_a_call_takes_is_measured():
    device = torch.device("cuda:0")
    memory = CudaMemory(device)
    held = torch.empty(8 * MEBIBYTE, dtype=torch.uint8, device=device)
    taken = memory.peak(lambda: [torch.empty(size * MEBIBYTE, dtype=torch.uint8, device=device) for size in (32, 64)])
    assert 96 * MEBIBYTE <= taken < 98 * MEBIBYTE
    assert memory.total() > held.numel()
