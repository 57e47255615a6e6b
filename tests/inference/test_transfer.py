"""Copies beside the network: the same bytes, in the right order, and no memory used by two at once."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from restorekit.contract import Batch, Geometry
from restorekit.errors import PictureError
from restorekit.inference import restoration
from restorekit.inference.arrays import to_tensor
from restorekit.inference.device import Runtime, choose_runtime
from restorekit.inference.executor import Cancelled, Executor, Frame
from restorekit.inference.soundness import examined, examined_apart
from restorekit.inference.transfer import Beside, Cuda, InTurn, transfer_for
from tests.unsynced import Unsynced

from .clockwork import Clockwork
from .fakes import BLUR, CPU, DOUBLE, KINDS, Finds, Restores, any_picture, job, noise, picture, restored, some_mask
from .fakes import restoration as restoration_of

HERE, GEOMETRY = torch.device("cpu"), Geometry(halo=0)


def beside(clock: Clockwork) -> Beside:
    return Beside(HERE, clock)  # pyright: ignore[reportArgumentType]


@pytest.fixture
def clock():
    """A clockwork that must not have been misused, and whose copies are all done."""
    clock = Clockwork()
    yield clock
    assert clock.misuses == []
    assert clock.pending == 0


def executor(clock: Clockwork, call=lambda batch: 1 - batch.images, runtime=CPU, **choices) -> Executor:
    def counted(batch: Batch) -> torch.Tensor:
        clock.compute()
        return call(batch)

    return Executor(counted, GEOMETRY, runtime, transfer=lambda device: beside(clock), **choices)


def frames(*sizes: tuple[int, int], dtype=np.uint8) -> list[Frame]:
    return [Frame(f"{i}", noise(i, (*size, 3), dtype)) for i, size in enumerate(sizes)]


def filled(batch: Batch) -> torch.Tensor:
    assert batch.masks is not None
    return torch.where(batch.masks > 0, 0.3, batch.images)


def test_a_gpu_gets_streams_and_nothing_else_does():
    assert isinstance(transfer_for(torch.device("cpu")), InTurn)
    assert isinstance(transfer_for(torch.device("mps")), InTurn)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_parcel_of_many_arrays_arrives_as_each_was(clock, dtype):
    pixels = [noise(i, size, dtype) for i, size in enumerate([(5, 7, 3), (1, 1, 1), (4, 4, 3)])]
    pixels.append(pixels[0][::-1, ::2])  # as tiles are cut: neither dense nor forwards
    mask, seeds = noise(9, (5, 7), np.uint8), np.array([1, -(2**62)])
    transfer = beside(clock)
    images, (mask_there, seeds_there) = transfer.upload(pixels, [mask, seeds])
    for image, each in zip(images, pixels, strict=True):
        assert torch.equal(image, to_tensor(each))
    np.testing.assert_array_equal(mask_there.numpy(), mask)
    np.testing.assert_array_equal(seeds_there.numpy(), seeds)
    assert clock.told == ["up"]
    del images, mask_there, seeds_there
    transfer.close()


def test_results_travel_with_their_channels_side_by_side_and_are_waited_for_once(clock):
    transfer = beside(clock)
    picture, verdict = torch.rand(3, 4, 5), torch.tensor([0, 2], dtype=torch.uint8)
    arriving = transfer.download([verdict, picture])
    assert clock.told == ["down", "down"]
    landed = list(arriving)
    assert clock.told == ["down", "down", "host waits for down"]
    assert torch.equal(landed[0], verdict)
    assert torch.equal(landed[1], picture)
    assert landed[1].permute(1, 2, 0).is_contiguous()


def test_the_next_batch_is_on_its_way_before_the_results_of_this_one_are_waited_for(clock):
    list(executor(clock, tile=8).run(frames((8, 32))))
    one = ["up", "network", "down", "down"]
    waits = "host waits for down"
    assert clock.told[:20] == [*one, *one, waits, *one, waits, *one, waits, waits]


def test_whole_runs_give_the_bytes_they_give_without_streams(clock, monkeypatch):
    fill = Restores(filled, Geometry(halo=2, needs_mask=True))
    finds = Finds(lambda b: b.images.mean(dim=1, keepdim=True))
    fixed = Restores(BLUR.function, Geometry(size=(32, 32)))
    chains = [["blur"], ["double", "blur"], ["finds", "inpaint"], ["fixed"]]
    for seed, kind in enumerate(KINDS):
        for chain in chains:
            given = [any_picture(seed, 37, 53, kind), any_picture(seed + 50, 20, 61, kind)]
            masks = [some_mask(seed, 37, 53), some_mask(seed, 20, 61)]
            jobs = [job(*each, name=f"{i}") for i, each in enumerate(zip(given, masks, strict=True))]
            make = functools.partial(
                restoration_of, chain, strength=0.4, tile=24, batch_size=3, blur=BLUR, double=DOUBLE, inpaint=fill,
                finds=finds, fixed=fixed,
            )  # fmt: skip
            expected = make().restore(jobs)
            with monkeypatch.context() as patched:
                patched.setattr(restoration, "Executor", functools.partial(Executor, transfer=lambda _: beside(clock)))
                found = make().restore(jobs)
            for one, other in zip(expected, found, strict=True):
                assert one.error is other.error is None
                assert one.picture is not None
                assert other.picture is not None
                np.testing.assert_array_equal(one.picture.pixels, other.picture.pixels)
                np.testing.assert_array_equal(one.picture.alpha, other.picture.alpha)
                np.testing.assert_array_equal(one.mask, other.mask)


def test_nothing_is_asked_of_the_device_until_results_are_wanted(clock):
    bf16 = Runtime(HERE, "bf16", "tests")
    with Unsynced():  # `tolist` on what has arrived is no wait
        patches = list(executor(clock, runtime=bf16, tile=16, batch_size=2).run(frames((40, 40)), dtypes=[np.uint8]))
    assert {patch.after.dtype for patch in patches} == {torch.uint8}, "floats travelled"


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), 0.0])
def test_what_lower_precision_spoils_is_computed_again_and_told_alike(clock, wrong):
    def fragile(batch: Batch) -> torch.Tensor:
        spoilt = batch.images.clone()
        if torch.is_autocast_enabled("cpu"):
            spoilt[batch.images.mean(dim=(1, 2, 3)) > 0.5] = wrong
        return spoilt

    bf16 = Runtime(HERE, "bf16", "tests")
    results = []
    choices: Any = {"tile": 16, "batch_size": 3}
    with_streams, without = (
        executor(clock, fragile, runtime=bf16, **choices),
        Executor(fragile, GEOMETRY, bf16, **choices),
    )
    for run in (with_streams, without):
        given = frames((40, 70), (16, 16))
        made = [np.zeros((*frame.canvas.shape,), np.float32) for frame in given]
        for patch in run.run(given):
            made[patch.frame][patch.rows, patch.columns] = patch.after.permute(1, 2, 0).numpy()
        results.append((made, [frame.warnings for frame in given]))
    for one, other in zip(*[made for made, _ in results], strict=True):
        np.testing.assert_array_equal(one, other)
    assert results[0][1] == results[1][1]
    assert any(results[0][1])


def test_a_picture_that_cannot_be_computed_fails_by_name_whichever_batch_is_under_way(clock):
    calls = []

    def third_time(batch: Batch) -> torch.Tensor:
        calls.append(1)
        return batch.images / (0 if len(calls) == 3 else 1) * torch.inf if len(calls) == 3 else batch.images

    with pytest.raises(PictureError, match="1: the generator's output is not finite"):
        list(executor(clock, third_time, tile=16).run(frames((16, 32), (16, 32), (16, 32))))


def test_memory_that_runs_out_with_a_batch_under_way_costs_nothing_but_size(clock):
    sizes = []

    def poor(batch: Batch) -> torch.Tensor:
        sizes.append(len(batch.images))
        if len(sizes) == 2:
            raise torch.OutOfMemoryError("not today")
        return 1 - batch.images

    (frame,) = frames((16, 96))
    made = np.zeros(frame.canvas.shape, np.uint8)
    for patch in executor(clock, poor, tile=16, batch_size=2).run([frame], dtypes=[np.uint8]):
        made[patch.rows, patch.columns] = patch.after.permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(made, 255 - frame.canvas)
    assert sizes == [2, 2, 1, 1, 1, 1, 1, 1]


def test_a_run_that_is_stopped_or_left_waits_for_the_copies_it_began(clock):
    calls = []
    stopping = executor(
        clock, lambda batch: (calls.append(1), batch.images)[1], tile=16, stopped=lambda: len(calls) >= 2
    )
    with pytest.raises(Cancelled):
        list(stopping.run(frames((64, 64))))
    assert clock.pending == 0
    left: Any = executor(clock, tile=16).run(frames((64, 64)))
    next(left)
    assert clock.pending > 0
    left.close()
    assert clock.pending == 0


@settings(deadline=None)
@given(st.data())
def test_looking_at_outputs_without_waiting_finds_what_looking_with_shortcuts_finds(data):
    kinds = st.sampled_from(["picture", "blank", "white", "nan", "inf", "one pixel", "beyond"])
    chosen = data.draw(st.lists(st.tuples(kinds, kinds), min_size=1, max_size=4))
    before, after = (
        torch.stack([sample(pair[side], 10 * i + side) for i, pair in enumerate(chosen)]) for side in (0, 1)
    )
    before = before.nan_to_num(0.5, 0.5, 0.5)
    for blanks in (False, True):
        assert torch.equal(examined(before, after, blanks=blanks), examined_apart(before, after, blanks=blanks))


def sample(kind: str, seed: int) -> torch.Tensor:
    image = torch.rand(3, 19, 23, generator=torch.Generator().manual_seed(seed))
    if kind in ("blank", "one pixel", "white"):
        image[:] = torch.tensor([0.2, 0.4, 0.6])[:, None, None] if kind != "white" else 1.0
    match kind:
        case "one pixel":
            image[1, 17, 3] = 0.9
        case "beyond":
            image += 2  # clipped, it is white
        case "nan" | "inf":
            image[2, 5, 5] = float(kind)
    return image


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_a_gpu_gives_the_same_bytes_with_streams_as_without(monkeypatch, kind):
    runtime = choose_runtime("cuda", "fp32")
    given = picture(noise(1, (200, 300, kind[1]), kind[0]))
    results = []
    for transfer in (transfer_for, InTurn):
        monkeypatch.setattr(restoration, "Executor", functools.partial(Executor, transfer=transfer))
        results.append(restored(given, "double", runtime=runtime, tile=64, batch_size=4, double=DOUBLE).pixels)
    np.testing.assert_array_equal(*results)


class Timed(Cuda):
    """Keeps the events of copies, and lets them tell when they happened."""

    def __init__(self, device: torch.device):
        super().__init__(device)
        self.events: list[torch.cuda.Event] = []

    def event(self) -> torch.cuda.Event:
        self.events.append(torch.cuda.Event(enable_timing=True))
        return self.events[-1]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_next_batch_arrives_while_the_network_is_at_this_one():
    device = torch.device("cuda:0")
    cuda, ends = Timed(device), []
    factor = torch.rand(4096, 4096, device=device)

    def slow(batch: Batch) -> torch.Tensor:
        for _ in range(20):
            torch.mm(factor, factor)
        ends.append(torch.cuda.Event(enable_timing=True))
        ends[-1].record()
        return 1 - batch.images

    runtime = Runtime(device, "fp32", "tests")
    run = Executor(slow, GEOMETRY, runtime, tile=512, transfer=lambda device: Beside(device, cuda))
    list(run.run(frames((512, 2048))))
    torch.cuda.synchronize(device)
    arrivals = cuda.events[::3]  # of each batch: arrived, computed, landed
    assert len(arrivals) == len(ends) == 4
    early = [arrival.elapsed_time(end) > 0 for arrival, end in zip(arrivals[1:], ends, strict=False)]
    assert early == [True] * 3
