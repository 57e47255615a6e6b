"""What marks damage from outside: mask files, and a colour painted over it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from restorekit import images
from restorekit.errors import PictureError, UsageError
from restorekit.images import Picture

__all__ = ["MaskColor", "read_mask"]


@dataclass(frozen=True, slots=True)
class MaskColor:
    """A colour that marks what to repair; ``tolerance`` (0 to 255, each channel) forgives JPEG's inaccuracy."""

    red: int
    green: int
    blue: int
    tolerance: int = 12

    @classmethod
    def parse(cls, text: str) -> MaskColor:
        """Read ``"ff00ff"`` or ``"#ff00ff"``.

        Raises
        ------
        UsageError
            Not six hexadecimal digits.
        """
        digits = text.removeprefix("#")
        try:
            values = bytes.fromhex(digits)
        except ValueError:
            values = b""
        if len(values) != 3:
            raise UsageError("--mask-color", f"{text!r} is no colour", "write six hexadecimal digits, such as ff00ff")
        return cls(*values)

    def mask(self, picture: Picture) -> NDArray[np.bool_] | None:
        """Return ``(H, W)`` true where the picture has this colour, ``None`` where it has it nowhere."""
        if picture.pixels.dtype.kind != "u":
            raise PictureError("--mask-color", "works on integer pictures only", "use a mask file for float pictures")
        levels = _white(picture) / 255
        colour = np.array([self.red, self.green, self.blue], np.float32) * levels
        close = np.abs(picture.pixels - colour) <= self.tolerance * levels
        mask: NDArray[np.bool_] = np.all(close, axis=2)
        return mask if mask.any() else None


def read_mask(path: Path, max_pixels: int) -> NDArray[np.bool_]:
    """Read a mask picture: true where it is opaque and brighter than mid-grey."""
    mask = images.read(path, max_pixels=max_pixels)
    grey = _white(mask) / 2
    marked = mask.pixels.mean(axis=2) >= grey
    return marked if mask.alpha is None else marked & (mask.alpha >= grey)


def _white(picture: Picture) -> float:
    dtype: Any = picture.pixels.dtype
    return float(np.iinfo(dtype).max) if dtype.kind == "u" else 1.0
