"""What a restoration is asked for and what it answers: target size, job and outcome."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from restorekit.errors import PictureError, UsageError
from restorekit.images import Picture
from restorekit.specs import Step

__all__ = ["Job", "Outcome", "Target"]

#: The largest enlargement, and the longest side in pixels (JPEG's), that may be asked for.
_LARGEST_SCALE, _LONGEST_SIDE = 64, 65_535


@dataclass(frozen=True, slots=True)
class Target:
    """The size a restored picture has to have: a factor, or pixels.

    Parameters
    ----------
    scale : float
        Output pixels for each input pixel and axis.
    size : tuple of int, optional
        ``(width, height)``; overrides ``scale``.

    Raises
    ------
    UsageError
        The factor or the size is out of range.
    """

    scale: float = 1.0
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.scale <= _LARGEST_SCALE:
            raise UsageError(
                "--scale", f"{self.scale:g} is out of range", f"give a number above 0, at most {_LARGEST_SCALE}"
            )
        if self.size is not None and (len(self.size) != 2 or not all(1 <= n <= _LONGEST_SIDE for n in self.size)):
            shown = "x".join(map(str, self.size))
            raise UsageError("--size", f"{shown} is out of range", f"give two sides from 1 to {_LONGEST_SIDE} pixels")

    def pixels(self, height: int, width: int) -> tuple[int, int]:
        """Return ``(height, width)`` of the output for an input of this size."""
        if self.size is not None:
            return self.size[1], self.size[0]
        return max(1, round(height * self.scale)), max(1, round(width * self.scale))

    def factor(self, height: int, width: int) -> float:
        """Return the enlargement that reaches the target on both axes."""
        wanted = self.pixels(height, width)
        return max(wanted[0] / height, wanted[1] / width) if self.size is not None else self.scale


@dataclass(frozen=True, slots=True)
class Job:
    """One picture to restore.

    Parameters
    ----------
    name : str
        For messages.
    picture : Picture
        Decoded.
    mask : ndarray, optional
        ``(H, W)`` bool in displayed orientation; true marks what to repair.
    seed : int
        The only source of randomness.

    Raises
    ------
    PictureError
        The mask is not of the picture's size.
    """

    name: str
    picture: Picture
    mask: NDArray[np.bool_] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        height, width = self.picture.pixels.shape[:2]
        if self.mask is not None and self.mask.shape != (height, width):
            raise PictureError(
                self.name,
                f"its mask has {self.mask.shape[1]} x {self.mask.shape[0]} pixels, the picture {width} x {height}",
                "make the mask for the picture as it is displayed, pixel for pixel",
            )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a `Job`.

    Parameters
    ----------
    picture : Picture or None
        The result; the very object that went in where nothing was done; ``None`` where it failed.
    steps : tuple of Step
        What was done, with a planner's reasons.
    mask : ndarray, optional
        ``(H, W)`` bool, of the output's size: the given mask and what detectors found.
    warnings : tuple of str
        What the user should know.
    error : RestorekitError, optional
        Why it failed.
    weights : mapping of str to str
        From a step, as it is written, to the checksum of the weights file that it ran with.
    """

    picture: Picture | None
    steps: tuple[Step, ...] = ()
    mask: NDArray[np.bool_] | None = None
    warnings: tuple[str, ...] = ()
    error: Exception | None = None
    weights: Mapping[str, str] = field(default_factory=dict)
