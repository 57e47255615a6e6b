"""Checks of whole pictures: halo, tiles and masks, through the core's own pipeline."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from restorekit.contract import Batch, PictureInfo
from restorekit.images import Picture
from restorekit.inference.device import Runtime
from restorekit.inference.executor import Executor, Frame
from restorekit.inference.halo import measure_halo
from restorekit.inference.job import Job
from restorekit.inference.restoration import Restoration
from restorekit.inference.tiling import smallest_tile
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.pictures import grid_mask, pictures
from restorekit.testing.checks.subject import Subject

__all__ = ["CHECKS", "RUNTIME"]

RUNTIME = Runtime(torch.device("cpu"), "fp32", "the kit compares bit by bit")

_LEVEL = 1 / 255


def _tileable(subject: Subject) -> bool:
    return subject.sees_pictures and not subject.geometry.whole_image and subject.geometry.size is None


@check(
    "halo",
    why="tiles overlap by the halo: where it is too small, seams show in large pictures",
    way_out="declare at least what was measured, leave halo=None for the core to measure it, or whole_image=True",
    concerns=lambda subject: _tileable(subject) and subject.geometry.halo is not None,
)
def halo(subject: Subject) -> None:
    """Measure how far it looks, by cutting pictures in two."""
    declared = subject.geometry.halo
    measured = measure_halo(subject.call, subject.geometry, settings=subject.settings)
    assert declared is not None
    if measured is None:
        raise Failure(
            f"it declares a halo of {declared} px, and pixels more than 200 px away still matter",
            way_out="declare Geometry(whole_image=True): such pictures are never tiled",
        )
    if measured > declared:
        raise Failure(f"it declares a halo of {declared} px, and looks {measured} px far")


@check(
    "tiles",
    why="large pictures are restored in tiles: the result must be that of the whole picture",
    way_out="declare the halo and multiple_of that the method has, or whole_image=True where it looks at everything "
    "(mean colours, histograms, attention, normalisation over the picture)",
    concerns=_tileable,
)
def tiles(subject: Subject) -> None:
    """Restore a picture whole and in the smallest tiles, and compare."""
    geometry = subject.geometry
    tile = max(48, smallest_tile(geometry.halo if geometry.halo is not None else 16, geometry.multiple_of))
    height, width = tile + 37, tile + 51
    whole, cut = _executed(subject, height, width, 100_000), _executed(subject, height, width, tile)
    worst = float(np.abs(whole - cut).max())
    if worst > _LEVEL:
        y, x = np.unravel_index(np.abs(whole - cut).max(axis=2).argmax(), whole.shape[:2])
        raise Failure(f"in tiles of {tile} px a picture differs by {255 * worst:.3g} of 255 levels, at {y}, {x}")


@check(
    "masks",
    why="outside the mask users expect their own pixels, to the bit",
    way_out="the core keeps them for generators with the task 'inpaint' and scale 1; add it to the spec's tasks",
    concerns=lambda subject: subject.repairs_holes and subject.geometry.scale == 1,
)
def masks(subject: Subject) -> None:
    """Restore pictures with holes through the pipeline, and compare what is outside them."""
    restoration = Restoration([subject.step], registry=subject.registry, runtime=RUNTIME)
    for channels, bits in ((3, 8), (1, 8), (3, 16)):
        height, width = 61, 75
        dtype = np.uint8 if bits == 8 else np.uint16
        canvas: NDArray[Any] = np.rint(_canvas(height, width)[..., :channels] * np.iinfo(dtype).max).astype(dtype)
        hole = grid_mask(height, width, 5)[0].numpy() > 0
        info = PictureInfo(format="png", width=width, height=height, channels=channels, bits=bits)
        (outcome,) = restoration.restore([Job("picture", Picture(pixels=canvas, info=info), hole)])
        if outcome.error is not None or outcome.picture is None:
            raise Failure(f"through the pipeline it fails: {outcome.error}")
        changed = (outcome.picture.pixels != canvas).any(axis=2) & ~hole
        if changed.any():
            raise Failure(
                f"{int(changed.sum())} pixels outside the mask are changed ({bits} bits, {channels} channels)"
            )


@check(
    "depth",
    why="a picture of 16 bits would come back with 256 levels, which shows in skies and shadows",
    way_out="compute in float, or quantise by Batch.bits (restorekit.nn.to_integers)",
    concerns=lambda subject: subject.channels == 3 and subject.sees_pictures and not subject.geometry.needs_mask,
)
def depth(subject: Subject) -> None:
    """Count the levels of a fine ramp of 16 bits."""
    height, width = subject.size(64, 96)
    ramp = torch.linspace(0.2, 0.8, height * width).reshape(1, 1, height, width).expand(1, 3, -1, -1).contiguous()
    batch = Batch(ramp, seeds=torch.zeros(1, dtype=torch.int64), settings=subject.settings, bits=16)
    if subject.repairs_holes:
        return
    made = subject.output(batch).clamp(0, 1)[0, 0]
    on_grid = float(((made * 255) - (made * 255).round()).abs().max()) < 1e-3
    if on_grid and float(made.max() - made.min()) > 2 * _LEVEL:
        raise Failure("of a ramp with thousands of levels it makes one of 8 bits")


CHECKS = (halo, tiles, masks, depth)


def _canvas(height: int, width: int) -> NDArray[np.float32]:
    return pictures(height, width, (3,))[0].permute(1, 2, 0).contiguous().numpy()


def _executed(subject: Subject, height: int, width: int, tile: int) -> NDArray[np.float32]:
    """Run the core's executor with tiles of a side; return ``(H, W, C)``."""
    scale, canvas = subject.geometry.scale, _canvas(height, width)
    hole = grid_mask(height, width, 5)[0].numpy() > 0 if subject.repairs_holes else None
    executor = Executor(
        subject.call,
        subject.geometry,
        RUNTIME,
        channels=subject.channels,
        settings=subject.settings,
        tile=tile,
        batch_size=2,
    )
    made = np.zeros((height * scale, width * scale, subject.channels), np.float32)
    if subject.geometry.needs_mask and scale == 1:  # tiles without a hole are not visited
        made[:] = canvas
    for patch in executor.run([Frame("picture", canvas, hole)]):
        made[patch.rows, patch.columns] = patch.after.clamp(0, 1).permute(1, 2, 0).numpy()
    if hole is not None and scale == 1:
        made[~hole] = canvas[~hole]
    return made
