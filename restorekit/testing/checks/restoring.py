"""Checks of one call of ``restore`` or ``detect``: what comes back, and what it depends on."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from restorekit.contract import Batch, Geometry, Restorer
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.subject import Subject, disturb_global_randomness

__all__ = ["CHECKS"]

#: Largest difference, in [0, 1], that the order of additions may make.
_ROUNDING = 1e-4
#: Beyond these a picture cannot be meant as [0, 1]; a network that has learned nothing yet may be farther off.
_RANGE, _RANGE_OF_NETWORKS = (-0.5, 1.5), (-8.0, 9.0)


def _sees_pictures(subject: Subject) -> bool:
    return subject.sees_pictures


@check(
    "shape",
    why="the core puts tiles together by their sizes; a picture with one odd side would fail, or be shifted",
    way_out="return (N, 3, scale*H, scale*W) floats, of a detector (N, 1, H, W), for any N, H and W that are multiples "
    "of geometry.multiple_of; pad inside and cut the result where the method needs more",
    concerns=_sees_pictures,
)
def shape(subject: Subject) -> None:
    """Try odd sizes, one pixel, one picture and several, colour and grey."""
    scale = subject.geometry.scale
    for height, width, seeds, grey in (
        (37, 45, (1,), False),
        (37, 45, (1, 2, 3), False),
        (45, 37, (4,), True),
        (1, 1, (1,), False),
        (1, 1, (1, 2), False),
        (1, 29, (1,), False),
    ):
        batch = subject.batch(height, width, seeds, grey)
        given = tuple(batch.images.shape)
        with torch.no_grad():
            try:
                made = subject.call(batch)
            except Exception as error:
                text = " ".join(str(error).split())
                raise Failure(f"it fails on images of shape {given}: {type(error).__name__}: {text}") from error
        if not isinstance(made, Tensor):
            raise Failure(f"it returns a {type(made).__name__}, not a tensor")
        wanted = (len(seeds), subject.channels, given[2] * scale, given[3] * scale)
        if made.ndim == 4 and made.shape[:2] == wanted[:2] and made.shape != wanted and _factor(made, batch):
            raise Failure(
                f"it enlarges {_factor(made, batch)} times, and geometry.scale says {scale}",
                "the core plans output sizes by the declared scale, and refuses what does not have it",
                f"declare Geometry(scale={_factor(made, batch)}), or return the declared size",
            )
        if tuple(made.shape) != wanted:
            raise Failure(f"for images of shape {given} it returns {tuple(made.shape)} instead of {wanted}")
        if not made.is_floating_point():
            raise Failure(f"it returns {made.dtype}, not floats", way_out="return floats in [0, 1]; the core rounds")


@check(
    "range",
    why="what lies outside [0, 1] is clipped: a picture in other units comes out black or white",
    way_out="return values where 0 is black and 1 is white, of a detector probabilities from 0 to 1",
    concerns=_sees_pictures,
)
def value_range(subject: Subject) -> None:
    """Look at the values."""
    for grey in (False, True):
        batch = subject.batch(grey=grey)
        for images in (batch.images, torch.zeros_like(batch.images), torch.ones_like(batch.images)):
            made = subject.output(dataclasses.replace(batch, images=images))
            if not torch.isfinite(made).all():
                raise Failure("it returns NaN or infinity", "such a picture is refused, and nothing written")
            low, high = float(made.min()), float(made.max())
            least, most = _RANGE_OF_NETWORKS if subject.networks else _RANGE
            if not subject.is_a(Restorer):
                least, most = -1e-6, 1 + 1e-6
            if low < least or high > most:
                raise Failure(f"of pictures in [0, 1] it makes values from {low:.3g} to {high:.3g}")


@check(
    "geometry",
    why="tiling, padding and memory follow from what is declared",
    way_out="give the generator an attribute geometry = Geometry(...) of restorekit.plugin",
    concerns=lambda subject: (
        subject.is_a(Restorer) or hasattr(subject.generator if subject.sees_pictures else 0, "geometry")
    ),
)
def geometry(subject: Subject) -> None:
    """Look whether the geometry is one, and stays."""
    declared = subject.generator.geometry
    if not isinstance(declared, Geometry):
        raise Failure(f"its geometry is a {type(declared).__name__}")
    if subject.channels == 1 and declared.scale != 1:
        raise Failure("a detector's mask has the picture's size, and its geometry says another", way_out="scale=1")
    subject.output(subject.batch())
    if subject.generator.geometry != declared:
        raise Failure(f"its geometry was {declared} and is {subject.generator.geometry} after a call")


@check(
    "determinism",
    why="a run that is resumed, or repeated by somebody else, would not give the same files",
    way_out="draw randomness from Batch.seeds alone (restorekit.nn.chance), and keep no state between calls",
    concerns=_sees_pictures,
)
def determinism(subject: Subject) -> None:
    """Call it twice, with other global random states and another call in between."""
    batch = subject.batch()
    disturb_global_randomness(1)
    first = subject.output(batch)
    disturb_global_randomness(2)
    again = subject.output(batch)
    if not torch.equal(first, again):
        problem = f"the same call gives another result, up to {_levels(first, again)} of 255 levels off"
        subject.output(subject.batch())
        disturb_global_randomness(1)
        if torch.equal(subject.output(batch), first):
            problem += "; it depends on the global random state"
        raise Failure(problem)
    subject.output(subject.batch(29, 33, seeds=(7, 8, 9)))
    if not torch.equal(subject.output(batch), first):
        raise Failure("a result depends on the calls before it")


@check(
    "batch-independence",
    why="pictures are batched as they come: a picture's bytes would depend on which others lie in the folder",
    way_out="compute each sample from its own pixels, mask and seed; no statistics over the batch (evaluation mode, "
    "norms over one sample), no `batch.images.max()`",
    concerns=_sees_pictures,
)
def batch_independence(subject: Subject) -> None:
    """Change a picture's neighbours and its place."""
    one = subject.output(subject.batch(seeds=(1, 2, 3)))[0]
    neighbours = subject.batch(seeds=(1, 5, 6))
    bright = neighbours.images.clone()
    bright[1] = 1.0
    other = subject.output(dataclasses.replace(neighbours, images=bright))[0]
    last = subject.output(subject.batch(seeds=(4, 5, 1)))[2]
    if float((one - other).abs().max()) > _ROUNDING:
        raise Failure(f"a picture changes by up to {_levels(one, other)} of 255 levels with those beside it")
    if float((one - last).abs().max()) > _ROUNDING:
        raise Failure(f"a picture changes by up to {_levels(one, last)} of 255 levels with its place in the batch")


@check(
    "input",
    why="the core uses its tensors after the call: for strength, masks and the next attempt in fp32",
    way_out="work on a copy: no in-place operation (`mul_`, `clamp_`, `x[...] = `) on what the batch holds",
    concerns=_sees_pictures,
)
def leaves_its_input(subject: Subject) -> None:
    """Compare the batch before and after."""
    batch = subject.batch()
    kept = {name: value.clone() for name in ("images", "masks", "seeds") if (value := getattr(batch, name)) is not None}
    subject.output(batch)
    for name, before in kept.items():
        if not torch.equal(getattr(batch, name), before):
            raise Failure(f"it writes into batch.{name}")


@check(
    "layout",
    why="the core gives networks channels-last tensors, and strided ones at tile borders",
    way_out="do not rely on contiguous memory: use reshape instead of view, and .contiguous() before NumPy or OpenCV",
    concerns=_sees_pictures,
)
def layout(subject: Subject) -> None:
    """Give it the same values in another memory layout."""
    batch = subject.batch()
    turned = batch.images.contiguous(memory_format=torch.channels_last)
    wide = torch.cat([batch.images, batch.images], dim=3)[..., : batch.images.shape[3]]
    expected = subject.output(batch)
    for images in (turned, wide):
        made = subject.output(dataclasses.replace(batch, images=images))
        if float((made - expected).abs().max()) > 10 * _ROUNDING:
            raise Failure(f"another memory layout changes the result by {_levels(made, expected)} of 255 levels")


@check(
    "threads",
    why="the spec says concurrent=True, so the core calls it from several threads at once",
    way_out="keep nothing on the generator during a call, or leave concurrent away",
    concerns=lambda subject: subject.sees_pictures and subject.spec.concurrent,
)
def threads(subject: Subject) -> None:
    """Call it from several threads at once."""
    batches = [subject.batch(seeds=(seed,)) for seed in range(6)]
    alone = [subject.output(batch) for batch in batches]
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(subject.output, batches))
    if not all(torch.equal(a, b) for a, b in zip(alone, together, strict=True)):
        raise Failure("called from several threads at once it gives other results")


CHECKS = (shape, value_range, geometry, determinism, batch_independence, leaves_its_input, layout, threads)


def _factor(made: Tensor, batch: Batch) -> int:
    """Return by how much a result is larger on both axes; 0 where that is no whole number."""
    (height, width), (tall, wide) = batch.images.shape[2:], made.shape[2:]
    return tall // height if tall % height == 0 and tall // height == wide / width else 0


def _levels(one: Tensor, other: Tensor) -> str:
    return f"{255 * float((one - other).abs().max()):.3g}"
