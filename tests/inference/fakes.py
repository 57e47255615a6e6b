"""Small generators whose effect is known exactly, and pictures of every kind, to test what happens around them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from hypothesis import strategies as st
from numpy.typing import DTypeLike, NDArray
from torch import Tensor
from torch.nn import functional as F

from restorekit.contract import Batch, Geometry, PictureInfo, Request
from restorekit.images import Picture
from restorekit.inference import Job, Outcome, Restoration
from restorekit.inference.device import Runtime
from restorekit.registry import Loaded, Plugin, Registry, registry
from restorekit.specs import GeneratorSpec, Step

CPU = Runtime(torch.device("cpu"), "fp32", "tests")

KINDS = [
    (dtype, channels, alpha)
    for dtype in (np.uint8, np.uint16, np.float32)
    for channels in (1, 3)
    for alpha in (False, True)
]


@dataclasses.dataclass(frozen=True)
class Restores:
    """A restorer made of one function of a batch."""

    function: Callable[[Batch], Tensor]
    geometry: Geometry = dataclasses.field(default_factory=lambda: Geometry(halo=0))

    def restore(self, batch: Batch) -> Tensor:
        return self.function(batch)


@dataclasses.dataclass(frozen=True)
class Finds:
    """A detector made of one function of a batch."""

    function: Callable[[Batch], Tensor]

    def detect(self, batch: Batch) -> Tensor:
        return self.function(batch)


@dataclasses.dataclass(frozen=True)
class FindsAt(Finds):
    """A detector that looks at pictures of so many pixels at most."""

    largest: int = 0

    def working_side(self, settings: Mapping[str, object]) -> int:
        return self.largest


@dataclasses.dataclass(frozen=True)
class Plans:
    """A planner made of one function of a request."""

    function: Callable[[Request], Sequence[Step]]

    def plan(self, request: Request) -> Sequence[Step]:
        return self.function(request)


def invert(batch: Batch) -> Tensor:
    return 1 - batch.images


def identity(batch: Batch) -> Tensor:
    return batch.images


def blur(batch: Batch, radius: int = 2) -> Tensor:
    side = 2 * radius + 1
    kernel = torch.ones(3, 1, side, side) / side**2
    return F.conv2d(F.pad(batch.images, (radius,) * 4, mode="replicate"), kernel, groups=3)


def double(batch: Batch) -> Tensor:
    return F.interpolate(batch.images, scale_factor=2, mode="bilinear", align_corners=False)


BLUR = Restores(blur, Geometry(halo=2))
DOUBLE = Restores(double, Geometry(scale=2, halo=2))


@dataclasses.dataclass(frozen=True)
class Borrowed(Registry):
    """The installed generators, and some that exist for one test."""

    fakes: dict[str, Loaded] = dataclasses.field(default_factory=dict)

    def load(self, step: Step | str) -> Loaded:
        step = Step.parse(step) if isinstance(step, str) else step
        return self.fakes.get(step.name) or super().load(step)


def borrowed(**generators: object) -> Borrowed:
    """Register generators; those whose name begins with ``inpaint`` inpaint."""
    fakes: dict[str, Loaded] = {}
    for name, generator in generators.items():
        task = "inpaint" if name.startswith("inpaint") else "denoise"
        spec = GeneratorSpec(name=name, summary="", tasks=frozenset({task}), factory="tests:f", config="tests:c")
        fakes[name] = Loaded(generator, spec, Plugin("fakes", "tests", "0", "ok", "", (spec,)), None, {})
    return Borrowed(registry().plugins, fakes)


def restoration(steps: str | Sequence[str], *, runtime: Runtime = CPU, **choices: Any) -> Restoration:
    """Make steps ready; keywords that are no options of `Restoration` are generators."""
    options = {"target", "strength", "tile", "batch_size", "stopped"}
    own = {name: choices.pop(name) for name in list(choices) if name not in options}
    several = [steps] if isinstance(steps, str) else steps
    return Restoration([Step.parse(step) for step in several], registry=borrowed(**own), runtime=runtime, **choices)


def job(picture: Picture, mask: NDArray[np.bool_] | None = None, seed: int = 0, name: str = "a.png") -> Job:
    return Job(name, picture, mask, seed)


def restored(
    picture: Picture, steps: str | Sequence[str], mask: NDArray[np.bool_] | None = None, **choices: Any
) -> Picture:
    """Restore one picture, and raise what went wrong."""
    return outcome(picture, steps, mask, **choices).picture  # pyright: ignore[reportReturnType]


def outcome(
    picture: Picture, steps: str | Sequence[str], mask: NDArray[np.bool_] | None = None, **choices: Any
) -> Outcome:
    (result,) = restoration(steps, **choices).restore([job(picture, mask)])
    if result.error is not None:
        raise result.error
    return result


def picture(pixels: NDArray[Any], alpha: NDArray[Any] | None = None) -> Picture:
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    height, width, channels = pixels.shape
    info = PictureInfo(
        format="tiff" if pixels.dtype.kind == "f" else "png",
        width=width,
        height=height,
        channels=channels,
        alpha=alpha is not None,
        bits=pixels.dtype.itemsize * 8,
        floating=pixels.dtype.kind == "f",
    )
    return Picture(pixels=pixels, alpha=alpha, info=info)


def noise(seed: int, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Draw values that fill the dtype's range; floats go beyond 1."""
    rng = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return (rng.random(shape) * 3.7).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def any_picture(seed: int, height: int, width: int, kind: tuple[Any, int, bool]) -> Picture:
    dtype, channels, alpha = kind
    pixels = noise(seed, (height, width, channels), dtype)
    shape = None
    if alpha:
        shape = noise(seed + 1, (height, width), dtype)
        shape = shape / shape.max() if np.dtype(dtype).kind == "f" else shape
        shape[noise(seed + 2, (height, width), np.uint8) < 80] = 0
    return picture(pixels, shape)


def some_mask(seed: int, height: int, width: int) -> NDArray[np.bool_]:
    mask = noise(seed, (height, width), np.uint8) < 30
    mask[height // 3 : height // 2, : width // 2] = True
    return mask


kinds = st.sampled_from(KINDS)
sides = st.integers(1, 70)
seeds = st.integers(0, 1000)
