"""Cracked prints: jagged, branching lines where the emulsion broke, and flakes that came off beside them."""

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

__all__ = ["Cracks"]

#: Length in pixels, in a picture of 512, between two bends of a crack.
_STRIDE = 7.0


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Cracks:
    """Jagged white lines that branch, and flakes of bare paper: a print that was folded, dried out or torn.

    Parameters
    ----------
    count : Range
        How many cracks; most begin at the picture's edge.
    width : Range
        Pixels where a crack is widest, in a picture of 512 pixels; wider in larger ones.
    length : Range
        Of a crack, as a share of the picture's shorter side.
    flakes : Range
        How many flakes came off along each crack.
    flake : Range
        A flake's size in pixels, in a picture of 512 pixels. Small ones are more frequent.
    tone : {"paper", "light", "dark"}
        Yellowish or neutral paper, or what lay behind it.
    """

    name: ClassVar[str] = "cracks"
    choice: ClassVar[str] = "count"
    count: Annotated[Range, Between(1, 200, whole=True)] = Range(1, 5)
    width: Annotated[Range, Between(0.5, 40)] = Range(0.8, 4)
    length: Annotated[Range, Between(0.02, 3)] = Range(0.15, 0.9)
    flakes: Annotated[Range, Between(0, 50, whole=True)] = Range(0, 3)
    flake: Annotated[Range, Between(1, 200)] = Range(3, 30)
    tone: Literal["paper", "light", "dark"] = "paper"

    def mark(self, size: tuple[int, int], chance: Chance) -> NDArray[np.uint8]:
        """Draw where one picture is cracked: ``(H, W)``, 0 where it is not."""
        return self._draw(size, chance).opacity

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Crack each picture."""
        return blend(self._draw, pictures, chances)

    def _draw(self, size: tuple[int, int], chance: Chance) -> Canvas:
        canvas = Canvas(size)
        colour = _bare(self.tone, chance)
        for _ in range(self.count.draw_whole(chance)):
            start, heading = _origin(size, chance)
            self._crack(canvas, start, heading, self.length.draw(chance) * min(size), colour, chance, depth=2)
        return canvas

    def _crack(
        self,
        canvas: Canvas,
        start: NDArray[np.float64],
        heading: float,
        length: float,
        colour: Colour,
        chance: Chance,
        depth: int,
    ) -> None:
        points = _jagged(start, heading, length, _STRIDE * canvas.unit, chance)
        parts = len(points) - 1
        swelling = np.interp(np.linspace(0, 3, parts), np.arange(4), chance.uniform(0.3, 1.0, 4))
        taper = np.linspace(1.0, 0.35, parts)
        widths = self.width.draw(chance) * canvas.unit * swelling * taper
        canvas.curve(points, widths, np.full(parts, chance.uniform(0.85, 1.0)), colour)
        for _ in range(self.flakes.draw_whole(chance) if depth == 2 else 0):
            centre = points[chance.integers(len(points))]
            radius = self.flake.low * (self.flake.high / self.flake.low) ** chance.random() / 2 * canvas.unit
            for outline in _flake(centre, radius, chance):
                canvas.blob(outline, 1.0, colour)
        for _ in range(int(chance.integers(0, 3)) if depth else 0):
            place = int(chance.integers(parts))
            step = points[place + 1] - points[place]
            turned = math.atan2(step[1], step[0]) + chance.uniform(0.4, 1.3) * chance.choice([-1.0, 1.0])
            self._crack(canvas, points[place], turned, length * chance.uniform(0.1, 0.4), colour, chance, depth - 1)


def _bare(tone: str, chance: Chance) -> Colour:
    """Return the colour of what shows through."""
    if tone == "dark":
        grey = chance.uniform(0.02, 0.2)
        return grey, grey, grey
    grey = chance.uniform(0.85, 1.0)
    yellow = chance.uniform(0.0, 0.18) if tone == "paper" else 0.0
    return grey, grey * (1 - yellow / 3), grey * (1 - yellow)


def _origin(size: tuple[int, int], chance: Chance) -> tuple[NDArray[np.float64], float]:
    """Return where a crack begins, and its heading: three in four come in from an edge."""
    height, width = size
    if chance.random() < 0.25:
        return np.array([chance.uniform(0, width), chance.uniform(0, height)]), chance.uniform(0, 2 * math.pi)
    along, side = chance.random(), int(chance.integers(4))
    start = [(along * width, 0), (width, along * height), (along * width, height), (0, along * height)][side]
    inward = [math.pi / 2, math.pi, -math.pi / 2, 0.0][side]
    return np.array(start, np.float64), inward + chance.uniform(-1.0, 1.0)


def _jagged(
    start: NDArray[np.float64], heading: float, length: float, stride: float, chance: Chance
) -> NDArray[np.float64]:
    """Return the points of a walk whose heading drifts slowly and jitters at each bend."""
    steps = max(3, round(length / stride))
    drift = heading + np.cumsum(chance.normal(0, 0.12, steps))
    turned = drift + chance.normal(0, 0.45, steps)
    strides = stride * chance.uniform(0.4, 1.6, steps)
    moves = np.stack([np.cos(turned), np.sin(turned)], axis=1) * strides[:, None]
    return np.concatenate([start[None], start + np.cumsum(moves, axis=0)])


def _flake(centre: NDArray[np.float64], radius: float, chance: Chance) -> list[NDArray[np.float64]]:
    """Return the outlines of a few overlapping angular pieces, together one uneven flake."""
    pieces = []
    for _ in range(int(chance.integers(1, 4))):
        corners = int(chance.integers(3, 7))
        angles = np.sort(chance.uniform(0, 2 * math.pi, corners))
        reach = radius * chance.uniform(0.5, 1.0, corners)
        middle = centre + chance.uniform(-0.5, 0.5, 2) * radius
        pieces.append(middle + np.stack([np.cos(angles), np.sin(angles)], axis=1) * reach[:, None])
    return pieces
