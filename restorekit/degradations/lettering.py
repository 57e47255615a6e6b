"""Text over a picture: captions, date stamps and watermarks."""

from __future__ import annotations

import functools
import string
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from restorekit.degradations.damage import Chance, Degraded
from restorekit.degradations.overlay import Canvas, Colour, blend
from restorekit.degradations.ranges import Between, Range

__all__ = ["Text"]

_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
_WORDS = ("SAMPLE", "PROOF", "Copyright", "All rights reserved", "DRAFT", "Summer holiday", "Do not copy", "Archive")
_COLOURS: dict[str, Colour] = {
    "white": (1.0, 1.0, 1.0),
    "black": (0.0, 0.0, 0.0),
    "yellow": (1.0, 0.85, 0.1),
    "red": (0.9, 0.1, 0.1),
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Text:
    """Lines of text in random places.

    Parameters
    ----------
    lines : Range
        How many.
    words : str
        What they say; made up by default: captions, dates and numbers.
    size : Range
        Height of a capital letter as a share of the picture's height.
    color : {"random", "white", "black", "yellow", "red"}
        The ink.
    opacity : Range
        1 covers the picture; less lets it shine through, as a watermark does.
    marked : bool
        Whether it is damage. Unmarked text belongs to the picture, as a print's caption does: a detector that learns
        from it leaves writing alone.
    """

    name: ClassVar[str] = "text"
    choice: ClassVar[str] = "lines"
    lines: Annotated[Range, Between(1, 200, whole=True)] = Range(2, 5)
    words: Annotated[str, Field(max_length=200)] = ""
    size: Annotated[Range, Between(0.01, 0.5)] = Range(0.03, 0.08)
    color: Literal["random", "white", "black", "yellow", "red"] = "random"
    opacity: Annotated[Range, Between(0.1, 1)] = Range(1, 1)
    marked: bool = True

    def mark(self, size: tuple[int, int], chance: Chance) -> NDArray[np.uint8]:
        """Draw where one picture's text is: ``(H, W)``, 0 where there is none, or none that counts as damage."""
        return self._draw(size, chance).opacity if self.marked else np.zeros(size, np.uint8)

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Write on each picture."""
        written = blend(self._draw, pictures, chances)
        return written if self.marked else Degraded(written.images, pictures.masks)

    def _draw(self, size: tuple[int, int], chance: Chance) -> Canvas:
        canvas = Canvas(size)
        for _ in range(self.lines.draw_whole(chance)):
            words = self.words or _made_up(chance)
            color = str(chance.choice(sorted(_COLOURS))) if self.color == "random" else self.color
            opacity = self.opacity.draw(chance)
            layer = _written(size, words, self.size.draw(chance) * size[0], opacity, chance)
            canvas.lay(layer, 0, 0, _COLOURS[color])
        return canvas


def _written(size: tuple[int, int], words: str, capital: float, opacity: float, chance: Chance) -> NDArray[np.uint8]:
    """Write a line that begins inside the picture."""
    height, width = size
    font = _FONTS[chance.integers(len(_FONTS))]
    thickness = max(1, round(capital / 12))
    scale = max(capital, 4.0) / _capital_height(font)
    (text_width, text_height), _ = cv2.getTextSize(words, font, scale, thickness)
    left = int(chance.integers(max(1, width - text_width + 1)))
    bottom = min(height - 1, int(chance.integers(text_height, max(text_height + 1, height))))
    layer = np.zeros(size, np.uint8)
    cv2.putText(layer, words, (left, bottom), font, scale, round(255 * opacity), thickness, cv2.LINE_AA)
    return layer


@functools.cache
def _capital_height(font: int) -> float:
    """Return the height in pixels of a capital at scale 1: measured, since OpenCV's releases differ in their fonts."""
    layer = np.zeros((400, 400), np.uint8)
    cv2.putText(layer, "H", (50, 350), font, 8.0, 255, 1)
    return max(1, int(layer.any(axis=1).sum())) / 8.0


def _made_up(chance: Chance) -> str:
    kind = chance.integers(3)
    if kind == 0:
        return _WORDS[chance.integers(len(_WORDS))]
    if kind == 1:
        return f"{chance.integers(1, 29):02d}.{chance.integers(1, 13):02d}.{chance.integers(1960, 2010)}"
    letters = string.ascii_uppercase + string.digits
    return "".join(letters[i] for i in chance.integers(len(letters), size=chance.integers(5, 13)))
