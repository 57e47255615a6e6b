"""Makes a restorer of a function of one picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from restorekit.nn import each_picture
from restorekit.plugin import Batch, Geometry

__all__ = ["Image", "Mask", "Picturewise", "Plane"]

# OpenCV's and scikit-image's stubs do not tell which float they return, so neither do these.
#: ``(H, W, 3)`` RGB, float in [0, 1]; what a function is given is float32.
Image: TypeAlias = NDArray[Any]
#: ``(H, W)``, float.
Plane: TypeAlias = NDArray[Any]
#: ``(H, W)``, True where to repair.
Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Picturewise:
    """A `Restorer` that treats the pictures of a batch one by one.

    Parameters
    ----------
    geometry : Geometry
        How output pixels relate to input pixels.
    repair : callable
        Takes an image and its mask or ``None``; returns the restored image.
    """

    geometry: Geometry
    repair: Callable[[Image, Mask | None], Image]

    def restore(self, batch: Batch) -> Tensor:
        """Return ``(N, 3, sH, sW)`` in [0, 1]."""
        return each_picture(self.repair, batch).clamp_(0, 1)
