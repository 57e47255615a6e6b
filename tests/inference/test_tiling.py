"""Tiles cover a picture once, and a tiled result equals the whole one."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from restorekit.contract import Batch, Geometry
from restorekit.errors import PictureError
from restorekit.inference.device import Runtime
from restorekit.inference.executor import Cancelled, Executor, Frame
from restorekit.inference.tiling import cut, padded_size, smallest_tile, tile_grid

CPU = Runtime(torch.device("cpu"), "fp32", "tests")


@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    extra=st.integers(0, 12),
    halo=st.integers(0, 9),
    multiple=st.sampled_from([1, 2, 4, 8]),
    even=st.booleans(),
)
def test_trusted_rectangles_cover_every_pixel_once_and_keep_their_halo(height, width, extra, halo, multiple, even):
    height, width = padded_size(height, width, multiple)
    side = smallest_tile(halo, multiple) + extra * multiple
    seen = np.zeros((height, width), int)
    for tile in tile_grid(height, width, side, halo, multiple, even=even):
        assert max(tile.height, tile.width) <= side
        seen[tile.top : tile.bottom, tile.left : tile.right] += 1
        assert tile.y % multiple == 0
        assert tile.x % multiple == 0
        assert 0 <= tile.y <= tile.y + tile.height <= height
        assert tile.top == 0 or tile.top - tile.y >= halo
        assert tile.bottom == height or tile.y + tile.height - tile.bottom >= halo
        assert tile.left == 0 or tile.left - tile.x >= halo
        assert tile.right == width or tile.x + tile.width - tile.right >= halo
    assert (seen == 1).all()


@given(length=st.integers(401, 3000), halo=st.integers(0, 40), multiple=st.sampled_from([1, 2, 8]))
def test_even_tiles_are_as_many_and_hardly_larger_than_their_share(length, halo, multiple):
    length = padded_size(length, 1, multiple)[0]
    usual, even = (tile_grid(length, 64, 400, halo, multiple, even=even) for even in (False, True))
    assert len(even) == len(usual)
    overlap = padded_size(2 * halo, 1, multiple)[0]
    assert even[0].height * len(even) - overlap * (len(even) - 1) < length + len(even) * multiple


@given(length=st.integers(1, 9), beyond=st.integers(0, 30))
def test_padding_mirrors_at_any_size(length, beyond):
    from restorekit.inference.tiling import Tile

    image = np.arange(length)[:, None].repeat(3, axis=1)
    padded = cut(image, Tile(0, 0, length + beyond, 3, 0, length, 0, 3))[:, 0]
    expected = np.pad(np.arange(length), (0, beyond), mode="reflect") if length > 1 else np.zeros(1 + beyond)
    np.testing.assert_array_equal(padded, expected)


class Network(nn.Module):
    """Three 5x5 convolutions (halo 6) around an optional stride-4 bottleneck and pixel shuffle."""

    def __init__(self, scale: int = 1, multiple: int = 1):
        super().__init__()
        torch.manual_seed(1)
        middle = [nn.Conv2d(8, 8, 5, padding=2)]
        if multiple == 4:
            middle = [nn.Conv2d(8, 8, 4, stride=4), nn.ReLU(), nn.ConvTranspose2d(8, 8, 4, stride=4)]
        self.body = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2), nn.ReLU(), *middle, nn.ReLU(), nn.Conv2d(8, 3 * scale**2, 5, padding=2)
        )
        self.shuffle = nn.PixelShuffle(scale)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(3 * self.shuffle(self.body(images)))

    def restore(self, batch: Batch) -> torch.Tensor:
        return self(batch.images)


def run(executor: Executor, canvases: list[np.ndarray]) -> list[np.ndarray]:
    scale = executor.geometry.scale
    outputs = [np.full((c.shape[0] * scale, c.shape[1] * scale, 3), np.nan, np.float32) for c in canvases]
    for patch in executor.run([Frame(f"{i}", canvas) for i, canvas in enumerate(canvases)]):
        outputs[patch.frame][patch.rows, patch.columns] = patch.after.permute(1, 2, 0).numpy()
    return outputs


@settings(deadline=None, max_examples=25)
@given(
    height=st.integers(1, 150),
    width=st.integers(1, 150),
    scale=st.sampled_from([1, 2, 3]),
    multiple=st.sampled_from([1, 4]),
    batch_size=st.sampled_from([1, 3]),
)
def test_tiled_equals_whole_for_a_network_with_the_right_halo(height, width, scale, multiple, batch_size):
    network = Network(scale, multiple)
    rng = np.random.default_rng(height * 1000 + width)
    canvas = rng.integers(0, 256, (height, width, 3), np.uint8)
    geometry = Geometry(scale=scale, halo=8, multiple_of=multiple)
    whole = run(Executor(network.restore, geometry, CPU, tile=4096), [canvas])[0]
    tiled = run(Executor(network.restore, geometry, CPU, tile=48, batch_size=batch_size), [canvas])[0]
    assert np.isfinite(tiled).all()
    assert np.abs(whole - tiled).max() <= 1 / 255


def test_what_a_picture_becomes_does_not_depend_on_the_pictures_beside_it():
    network = Network()
    rng = np.random.default_rng(0)
    canvases = [rng.integers(0, 256, (n, 70, 3), np.uint8) for n in (40, 70, 100, 70)]
    geometry = Geometry(halo=6)
    together = run(Executor(network.restore, geometry, CPU, tile=40, batch_size=4), canvases)
    for canvas, result in zip(canvases, together, strict=True):
        alone = run(Executor(network.restore, geometry, CPU, tile=40, batch_size=4), [canvas])[0]
        np.testing.assert_array_equal(alone, result)


def test_a_halo_that_is_not_declared_is_measured_and_then_right():
    network = Network()
    canvas = np.random.default_rng(3).integers(0, 256, (130, 110, 3), np.uint8)
    whole = run(Executor(network.restore, Geometry(halo=6), CPU, tile=4096), [canvas])[0]
    tiled = run(Executor(network.restore, Geometry(), CPU, tile=48), [canvas])[0]
    assert np.abs(whole - tiled).max() <= 1.5 / 255  # measured on other pictures than this one


def test_a_global_operation_that_declares_no_halo_is_not_tiled():
    frame = Frame("a", np.random.default_rng(0).integers(0, 200, (90, 90, 3), np.uint8))
    executor = Executor(lambda b: b.images * b.images.mean(dim=(2, 3), keepdim=True), Geometry(), CPU, tile=32)
    patches = list(executor.run([frame]))
    assert len(patches) == 1
    assert "whole picture" in frame.warnings[0]


def test_tiles_get_smaller_when_memory_runs_out_and_the_result_is_the_same():
    network = Network()

    def poor(batch: Batch) -> torch.Tensor:
        if batch.images.shape[2] > 70:
            raise torch.OutOfMemoryError("not today")
        return network.restore(batch)

    canvas = np.random.default_rng(0).integers(0, 256, (200, 150, 3), np.uint8)
    frame = Frame("a", canvas)
    output = np.zeros((200, 150, 3), np.float32)
    for patch in Executor(poor, Geometry(halo=6), CPU, tile=256).run([frame]):
        output[patch.rows, patch.columns] = patch.after.permute(1, 2, 0).numpy()
    whole = run(Executor(network.restore, Geometry(halo=6), CPU, tile=4096), [canvas])[0]
    assert np.abs(whole - output).max() <= 1 / 255
    assert any("memory ran out" in warning for warning in frame.warnings)


def test_memory_that_never_suffices_fails_the_picture_with_a_way_out():
    def poor(batch: Batch) -> torch.Tensor:
        raise torch.OutOfMemoryError("never")

    with pytest.raises(PictureError, match="does not fit into memory"):
        list(Executor(poor, Geometry(halo=2), CPU).run([Frame("big.png", np.zeros((64, 64, 3), np.uint8))]))


def test_an_output_that_is_not_finite_in_bf16_is_computed_again_in_fp32():
    def fragile(batch: Batch) -> torch.Tensor:
        return batch.images * float("nan") if torch.is_autocast_enabled("cpu") else batch.images

    frame = Frame("a", np.full((8, 8, 3), 100, np.uint8))
    bf16 = Runtime(torch.device("cpu"), "bf16", "tests")
    (patch,) = Executor(fragile, Geometry(halo=0), bf16).run([frame])
    assert torch.isfinite(patch.after).all()
    assert "fp32" in frame.warnings[0]


def test_an_output_that_is_never_finite_fails_the_picture():
    executor = Executor(lambda batch: batch.images / 0, Geometry(halo=0), CPU)
    with pytest.raises(PictureError, match="not finite"):
        list(executor.run([Frame("a.png", np.zeros((8, 8, 3), np.uint8))]))


def test_sixteen_bit_pictures_are_computed_in_fp32_whatever_the_precision():
    seen = []

    def spy(batch: Batch) -> torch.Tensor:
        seen.append(torch.is_autocast_enabled("cpu"))
        return batch.images

    bf16 = Runtime(torch.device("cpu"), "bf16", "tests")
    executor = Executor(spy, Geometry(halo=0), bf16)
    list(executor.run([Frame("a", np.zeros((8, 8, 3), np.uint8)), Frame("b", np.zeros((8, 8, 3), np.uint16), bits=16)]))
    assert seen == [True, False]


def test_a_wrong_shape_is_reported_as_the_plugins_mistake():
    executor = Executor(lambda batch: batch.images[..., 1:], Geometry(halo=0), CPU)
    with pytest.raises(PictureError, match=r"returned shape \(1, 3, 8, 7\)"):
        list(executor.run([Frame("a.png", np.zeros((8, 8, 3), np.uint8))]))


def test_a_stop_is_heard_between_batches():
    calls = []
    executor = Executor(
        lambda batch: (calls.append(1), batch.images)[1],
        Geometry(halo=0),
        CPU,
        tile=16,
        stopped=lambda: len(calls) >= 2,
    )
    with pytest.raises(Cancelled):
        list(executor.run([Frame("a", np.zeros((64, 64, 3), np.uint8))]))
    assert len(calls) == 2


def test_a_long_call_is_stopped_and_its_progress_told():
    heard, stops = [], []

    def patient(batch: Batch) -> torch.Tensor:
        for tenth in range(10):
            batch.progress(tenth / 10)
            if tenth == 3:
                stops.append(True)
        return batch.images

    executor = Executor(
        patient, Geometry(halo=0), CPU, stopped=lambda: bool(stops), told=lambda *what: heard.append(what)
    )
    with pytest.raises(Cancelled):
        list(executor.run([Frame("a", np.zeros((8, 8, 3), np.uint8))]))
    assert heard == [("a", 0.0), ("a", 0.1), ("a", 0.2), ("a", 0.3)]


def test_the_halo_of_the_same_weights_is_measured_once_a_process():
    network, seen = Network(), []

    def counted(batch: Batch) -> torch.Tensor:
        seen.append(batch.images.shape)
        return network.restore(batch)

    canvas = np.zeros((60, 60, 3), np.uint8)
    for _ in range(2):
        calls = len(seen)
        run(Executor(counted, Geometry(), CPU, tile=48, identity=("once a process", id(network))), [canvas])
    assert {tuple(shape[2:]) for shape in seen[calls:]} == {tuple(shape[2:]) for shape in seen[-1:]}  # tiles alone
    assert len(seen) - calls < calls
