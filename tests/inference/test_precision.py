"""Lower precision costs next to nothing with the weights that come along, and where it fails fp32 takes its place."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage import data

from restorekit.contract import Batch, Geometry
from restorekit.images.resize import resize
from restorekit.inference import Runtime
from restorekit.inference.executor import Executor, Frame
from restorekit.registry import registry

SHIPPED = [f"{spec.name}:{weights.name}" for spec in registry().generators for weights in spec.weights]
#: What may be lost, in dB.
ALLOWED = 0.02


def restored(call, geometry: Geometry, frame: Frame, precision: str, channels: int, tile: int | None = None):
    runtime = Runtime(torch.device("cpu"), precision, "tests")  # pyright: ignore[reportArgumentType]
    height, width = frame.canvas.shape[:2]
    output = np.empty((channels, height * geometry.scale, width * geometry.scale), np.float32)
    for patch in Executor(call, geometry, runtime, channels=channels, tile=tile).run([frame]):
        output[:, patch.rows, patch.columns] = patch.after.clamp(0, 1).numpy()
    return output


def damaged(clean: NDArray[np.uint8], geometry: Geometry) -> Frame:
    """Reduce, mask or add noise to a photo: what the geometry says that its generator undoes."""
    if geometry.scale > 1:
        tensor = torch.from_numpy(clean).permute(2, 0, 1)[None].float() / 255
        small = resize(tensor, scale=1 / geometry.scale)[0].clamp(0, 1).permute(1, 2, 0)
        return Frame("a", np.rint(small.numpy() * 255).astype(np.uint8))
    if geometry.needs_mask:
        mask = np.zeros(clean.shape[:2], bool)
        mask[20:100:9, 8:-8] = mask[8:-8, 30:33] = True
        return Frame("a", np.where(mask[..., None], 0, clean).astype(np.uint8), mask)
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    return Frame("a", np.clip(clean + noise, 0, 255).astype(np.uint8))


def psnr(image: NDArray[np.float32], clean: NDArray[np.uint8]) -> float:
    return float(-10 * np.log10(np.square(image - clean.transpose(2, 0, 1) / 255).mean()))


@torch.no_grad()
def agreement_of_samples(generator: Any) -> float:
    """Return the PSNR in dB between samples at bf16 and at fp32."""
    latents = generator.latents(torch.arange(20))
    labels = torch.arange(20) % 10 if getattr(generator.config, "classes", 0) else None
    fp32 = generator.decode(latents, labels)
    with torch.autocast("cpu", torch.bfloat16):
        bf16 = generator.decode(latents, labels)
    assert not torch.equal(fp32, bf16)
    return float(-10 * torch.log10((fp32 - bf16).square().mean()))


@pytest.mark.parametrize("step", SHIPPED)
def test_bf16_costs_less_than_a_fiftieth_of_a_decibel(step):
    generator: Any = registry().load(step).generator
    if hasattr(generator, "latents"):
        assert agreement_of_samples(generator) > 45
        return
    losses = []
    for photo in (data.astronaut()[:128, 160:288], data.coffee()[100:228, 100:228]):
        frame = damaged(photo, generator.geometry)
        if hasattr(generator, "restore"):
            fp32, bf16 = (restored(generator.restore, generator.geometry, frame, p, 3) for p in ("fp32", "bf16"))
            assert not np.array_equal(fp32, bf16)  # autocast does something at all
            losses.append(psnr(fp32, photo) - psnr(bf16, photo))
        else:
            fp32, bf16 = (restored(generator.detect, generator.geometry, frame, p, 1) for p in ("fp32", "bf16"))
            assert ((fp32 >= 0.5) == (bf16 >= 0.5)).mean() > 0.999
    assert max(losses, default=0.0) <= ALLOWED


def test_tiles_equal_the_whole_picture_at_bf16_as_at_fp32():
    generator: Any = registry().load("super-resolver:x4").generator
    frame = Frame("a", data.coffee()[60:156, 100:212])
    for precision in ("fp32", "bf16"):
        whole, tiled = (
            restored(generator.restore, generator.geometry, frame, precision, 3, tile=tile) for tile in (4096, 64)
        )
        assert np.abs(whole - tiled).max() <= 1 / 255


@pytest.mark.parametrize("wrong", [0.0, -300.0, 5.0])
def test_a_picture_that_lower_precision_leaves_blank_is_computed_again(wrong):
    def overflows(batch: Batch) -> torch.Tensor:
        if torch.is_autocast_enabled("cpu"):
            return torch.full_like(batch.images, wrong)
        return batch.images / 2

    frame = Frame("a", data.coffee()[:48, :48])
    output = restored(overflows, Geometry(halo=0), frame, "bf16", 3)
    np.testing.assert_allclose(output, frame.canvas.transpose(2, 0, 1) / 510, atol=1e-6)
    assert frame.warnings == ["the output was blank in bf16; computed again in fp32"]


def test_a_blank_picture_may_stay_blank():
    calls = []

    def darkens(batch: Batch) -> torch.Tensor:
        calls.append(batch)
        return batch.images * 0

    frame = Frame("a", np.full((40, 40, 3), 77, np.uint8))
    assert not restored(darkens, Geometry(halo=0), frame, "bf16", 3).any()
    assert not frame.warnings
    assert len(calls) == 1
