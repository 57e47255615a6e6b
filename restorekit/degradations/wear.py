"""The marks of age on film and prints: scratches, dust and hairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from restorekit.degradations.damage import Chance, Degraded
from restorekit.degradations.overlay import Canvas, Colour, blend
from restorekit.degradations.ranges import Between, Range

__all__ = ["Dust", "Scratches"]

Tone = Literal["mixed", "light", "dark"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Scratches:
    """Long thin lines, slightly wavy and broken, as a projector or a scanner's glass leaves them.

    Parameters
    ----------
    count : Range
        How many.
    width : Range
        Pixels where it is deepest, in a picture of 512 pixels; wider in larger ones.
    tilt : Range
        Degrees from the vertical, to either side.
    tone : {"mixed", "light", "dark"}
        Scratches through the emulsion print light on a negative and dark on a positive.
    """

    name: ClassVar[str] = "scratches"
    choice: ClassVar[str] = "count"
    count: Annotated[Range, Between(1, 500, whole=True)] = Range(3, 10)
    width: Annotated[Range, Between(0.5, 20)] = Range(0.8, 2.5)
    tilt: Annotated[Range, Between(0, 90)] = Range(0, 12)
    tone: Tone = "mixed"

    def mark(self, size: tuple[int, int], chance: Chance) -> NDArray[np.uint8]:
        """Draw where one picture's scratches are: ``(H, W)``, 0 where there is none."""
        return self._draw(size, chance).opacity

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Scratch each picture."""
        return blend(self._draw, pictures, chances)

    def _draw(self, size: tuple[int, int], chance: Chance) -> Canvas:
        canvas = Canvas(size)
        for _ in range(self.count.draw_whole(chance)):
            tilt = math.radians(self.tilt.draw(chance) * chance.choice([-1.0, 1.0]))
            points = _wavy_line(size, tilt, chance)
            pressure = _pressure(len(points) - 1, chance)
            widths = self.width.draw(chance) * canvas.unit * (0.4 + 0.6 * pressure)
            canvas.curve(points, widths, 0.3 + 0.7 * pressure, _ink(self.tone, chance))
        return canvas


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Dust:
    """Small specks and a few hairs.

    Parameters
    ----------
    count : Range
        How many specks.
    hairs : Range
        How many hairs.
    size : Range
        Radius of a speck in pixels, in a picture of 512 pixels; larger in larger ones. Small ones are more frequent.
    tone : {"mixed", "light", "dark"}
        Dust on a negative prints light, dust on a print is dark.
    """

    name: ClassVar[str] = "dust"
    choice: ClassVar[str] = "count"
    count: Annotated[Range, Between(1, 5000, whole=True)] = Range(20, 80)
    hairs: Annotated[Range, Between(0, 200, whole=True)] = Range(0, 4)
    size: Annotated[Range, Between(0.5, 20)] = Range(0.6, 3)
    tone: Tone = "mixed"

    def mark(self, size: tuple[int, int], chance: Chance) -> NDArray[np.uint8]:
        """Draw where one picture's dust is: ``(H, W)``, 0 where there is none."""
        return self._draw(size, chance).opacity

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Let dust settle on each picture."""
        return blend(self._draw, pictures, chances)

    def _draw(self, size: tuple[int, int], chance: Chance) -> Canvas:
        canvas = Canvas(size)
        for _ in range(self.count.draw_whole(chance)):
            radius = self.size.low * (self.size.high / self.size.low) ** chance.random() * canvas.unit
            canvas.blob(_speck(size, radius, chance), chance.uniform(0.7, 1.0), _ink(self.tone, chance))
        for _ in range(self.hairs.draw_whole(chance)):
            points = _hair(size, chance)
            widths = np.full(len(points) - 1, chance.uniform(0.8, 1.5) * canvas.unit)
            opacities = np.full(len(points) - 1, chance.uniform(0.7, 1.0))
            canvas.curve(points, widths, opacities, _ink(self.tone, chance))
        return canvas


def _ink(tone: Tone, chance: Chance) -> Colour:
    """Return a nearly neutral colour; of mixed marks two in three are light."""
    light = chance.random() < 2 / 3 if tone == "mixed" else tone == "light"
    grey = chance.uniform(0.82, 1.0) if light else chance.uniform(0.0, 0.15)
    red, green, blue = np.clip(grey + chance.uniform(-0.03, 0.03, 3), 0, 1).tolist()
    return red, green, blue


def _wavy_line(size: tuple[int, int], tilt: float, chance: Chance) -> NDArray[np.float64]:
    """Return the points of a line through a pixel of the picture."""
    height, width = size
    length = math.hypot(height, width) * chance.uniform(0.25, 1.1)
    through = chance.uniform(0.2, 0.8) * length
    t = np.linspace(0, length, max(8, round(length / 6)))
    waves = sum(
        amplitude * length * np.sin(2 * math.pi * (t / length * cycles + chance.random()))
        for amplitude, cycles in ((chance.uniform(0, 0.006), chance.uniform(0.5, 2)), (0.0012, chance.uniform(4, 12)))
    )
    along = t - through
    sideways = waves - np.interp(through, t, waves)
    x = chance.uniform(0, width) + along * math.sin(tilt) + sideways * math.cos(tilt)
    y = chance.uniform(0, height) + along * math.cos(tilt) - sideways * math.sin(tilt)
    return np.stack([x, y], axis=1)


def _pressure(parts: int, chance: Chance) -> NDArray[np.float64]:
    """Return how deep a scratch is along its way, in [0, 1]: it swells and fades, and is faint at both ends."""
    knots = chance.uniform(0.0, 1.6, max(4, parts // 10))
    knots[[0, -1]] = 0.0
    return np.clip(np.interp(np.linspace(0, len(knots) - 1, parts), np.arange(len(knots)), knots), 0.0, 1.0)


def _speck(size: tuple[int, int], radius: float, chance: Chance) -> NDArray[np.float64]:
    """Return the outline of an uneven spot in the picture."""
    height, width = size
    centre = chance.uniform(0, width - 1), chance.uniform(0, height - 1)
    angles = np.sort(chance.uniform(0, 2 * math.pi, 9))
    squeeze, turn = chance.uniform(0.5, 1.0), chance.uniform(0, math.pi)
    x, y = np.cos(angles) * radius, np.sin(angles) * radius * squeeze
    rotated = np.stack([x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)], axis=1)
    return rotated + centre


def _hair(size: tuple[int, int], chance: Chance) -> NDArray[np.float64]:
    """Return the points of a curled hair: a path whose curvature drifts."""
    height, width = size
    steps = 40
    length = min(size) * chance.uniform(0.06, 0.2)
    curvature = chance.uniform(-0.1, 0.1) + np.cumsum(chance.normal(0, 0.012, steps))
    direction = chance.uniform(0, 2 * math.pi) + np.cumsum(curvature)
    path = np.cumsum(np.stack([np.cos(direction), np.sin(direction)], axis=1), axis=0) * (length / steps)
    return path - path[steps // 2] + (chance.uniform(0, width), chance.uniform(0, height))
