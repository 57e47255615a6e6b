"""Compression artefacts, by real encoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

import cv2
import numpy as np
import torch
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from torch import Tensor

from restorekit.degradations.damage import Chance, Degraded, each_picture
from restorekit.degradations.ranges import Between, Range

__all__ = ["Jpeg"]

_SAMPLING = {
    "444": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    "422": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
    "420": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Jpeg:
    """A round trip through a JPEG file: rounded to 8 bits, encoded, decoded.

    Parameters
    ----------
    quality : Range
        libjpeg's quality, 1 to 100.
    chroma : {"420", "422", "444"}
        Sampling of the colours; "420" halves their resolution along both axes, as most files have it.
    """

    name: ClassVar[str] = "jpeg"
    choice: ClassVar[str] = "quality"
    quality: Annotated[Range, Between(1, 100, whole=True)] = Range(30, 30)
    chroma: Literal["420", "422", "444"] = "420"

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Compress each picture."""
        images = pictures.images
        # One transfer for the batch; the codec works on the CPU.
        levels = images.clamp(0, 1).mul(255).round().to("cpu", torch.uint8)
        return Degraded(each_picture(self._round_trip, levels, chances).to(images) / 255, pictures.masks)

    def _round_trip(self, levels: Tensor, chance: Chance) -> Tensor:
        settings = [
            cv2.IMWRITE_JPEG_QUALITY,
            self.quality.draw_whole(chance),
            cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
            _SAMPLING[self.chroma],
        ]
        bgr = np.ascontiguousarray(levels.numpy()[::-1].transpose(1, 2, 0))
        data = cv2.imencode(".jpg", bgr, settings)[1]
        decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
        assert decoded is not None
        return torch.from_numpy(np.ascontiguousarray(decoded[..., ::-1].transpose(2, 0, 1)))
