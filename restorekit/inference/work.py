"""A picture on its way through a chain of steps: its canvas, alpha, mask and what happened so far."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray

from restorekit.images.resize import resize
from restorekit.inference.alpha import is_uniform, premultiply, unpremultiply
from restorekit.inference.arrays import convert, equal, to_tensor, unit_of
from restorekit.inference.executor import Frame
from restorekit.inference.job import Job, Outcome
from restorekit.specs import Step

__all__ = ["Work", "resized", "shrunk_mask"]


@dataclass(slots=True)
class Work:
    """A job and what has become of it.

    Parameters
    ----------
    job : Job
        As it came.
    canvas : ndarray
        ``(H, W, C)`` straight (not premultiplied) colours: of the picture's dtype, or of `between`.
    alpha : ndarray, optional
        ``(H, W)``.
    mask : ndarray, optional
        ``(H, W)`` bool: what was given and found so far.
    unit : float
        What the canvas was divided by, so that no float is above 1.
    begun : ndarray
        The canvas before any step.
    """

    job: Job
    canvas: NDArray[Any]
    alpha: NDArray[Any] | None
    mask: NDArray[np.bool_] | None
    unit: float
    begun: NDArray[Any]
    steps: list[Step] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def begin(cls, job: Job) -> Work:
        """Start with the picture as it came."""
        pixels = job.picture.pixels
        unit = unit_of(pixels)
        canvas = pixels if unit == 1.0 else pixels / np.float32(unit)
        return cls(job, canvas, job.picture.alpha, job.mask, unit, begun=canvas)

    @property
    def dtype(self) -> DTypeLike:
        """Of the picture."""
        return self.job.picture.pixels.dtype

    @property
    def between(self) -> DTypeLike:
        """What canvases are kept in between steps: half the memory of floats, and a 257th of 8 bits' rounding."""
        return np.float32 if np.dtype(self.dtype).kind == "f" else np.uint16

    @property
    def bits(self) -> int:
        """Depth, as far as precision goes."""
        return 8 if self.dtype == np.uint8 else 16

    def frame(self, canvas: NDArray[Any], mask: NDArray[np.bool_] | None) -> Frame:
        """Return what an executor needs to know besides the canvas."""
        return Frame(self.job.name, canvas, mask, self.job.seed, self.bits, self.warnings)

    def widen(self) -> None:
        """Give a grey picture three equal channels, for a step that gives them colours."""
        if self.canvas.shape[2] == 1:
            self.canvas = np.repeat(self.canvas, 3, axis=2)

    def reach(self, size: tuple[int, int]) -> None:
        """Resample to ``(height, width)`` what is not of this size yet."""
        if self.canvas.shape[:2] == size:
            return
        planes = [self.canvas[..., channel : channel + 1] for channel in range(self.canvas.shape[2])]
        canvas = np.empty((*size, len(planes)), self.dtype)
        if self.alpha is None or is_uniform(self.alpha):
            for channel, plane in enumerate(planes):  # one by one: floats of all of them would be the most memory
                canvas[..., channel : channel + 1] = convert(_clipped(resized(plane, size)), self.dtype)
            self.alpha = None if self.alpha is None else np.full(size, self.alpha.flat[0])
        else:
            # Overshoot is in both and cancels out, as long as alpha is neither clipped nor rounded yet.
            alpha = resized(self.alpha[..., None], size)[..., 0]
            for channel, plane in enumerate(planes):
                colours = resized(premultiply(plane, self.alpha), size)
                straight = unpremultiply(colours, alpha, resized(plane, size))
                canvas[..., channel : channel + 1] = convert(straight, self.dtype)
            self.alpha = convert(_clipped(alpha), self.alpha.dtype)
        self.canvas = canvas
        self.mask = None if self.mask is None else shrunk_mask(self.mask, size)
        self.steps.append(Step("resize", f"{size[1]}x{size[0]}").because("to reach the size asked for"))

    def finish(self) -> Outcome:
        """Return the result in the picture's own depth and range, or the picture itself where nothing was done."""
        picture = self.job.picture
        warnings = tuple(dict.fromkeys(self.warnings))
        if self.canvas is self.begun:
            return Outcome(picture, tuple(self.steps), self.mask, warnings)
        pixels = self.canvas if self.canvas.dtype == self.dtype else convert(self.canvas, self.dtype)
        if equal(pixels, self.begun) and self.alpha is picture.alpha:  # a detector found nothing, say
            return Outcome(picture, tuple(self.steps), self.mask, warnings)
        if self.unit != 1.0:
            pixels = pixels * np.float32(self.unit)
        height, width = pixels.shape[:2]
        info = dataclasses.replace(picture.info, width=width, height=height)
        restored = dataclasses.replace(picture, pixels=pixels, alpha=self.alpha, info=info)
        return Outcome(restored, tuple(self.steps), self.mask, warnings)


def resized(canvas: NDArray[Any], size: tuple[int, int]) -> NDArray[np.float32]:
    """Resample ``(H, W, C)`` to ``(height, width)``, as float32; overshoot is left in."""
    if canvas.shape[:2] == size:
        return convert(canvas, np.float32)
    return resize(to_tensor(canvas)[None], size)[0].permute(1, 2, 0).contiguous().numpy()


def shrunk_mask(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resample a mask so that whatever touches a hole is part of it."""
    tensor = torch.from_numpy(mask.astype(np.float32))[None, None]
    return torch.nn.functional.adaptive_max_pool2d(tensor, size)[0, 0].numpy() > 0


def _clipped(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.clip(values, 0, 1, out=values)
