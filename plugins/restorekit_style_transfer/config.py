"""The files that style transfer works with, and how it paints."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Files", "Settings"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Files:
    """What the user brings.

    Parameters
    ----------
    features : str
        File of SqueezeNet 1.1 as ``.npz`` or ``.safetensors``, whose features tell style and content apart.
    style : str
        File of the picture whose manner is taken on.
    """

    features: str = ""
    style: str = ""


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """How pictures are painted.

    Parameters
    ----------
    weight : float
        Of the style beside the content: 0 paints nothing, from about 100 on little of the picture is left.
    smoothness : float
        Weight of the total variation, which removes grain.
    steps : int
        Of gradient descent (Adam) on the pixels.
    learning_rate : float
        Of Adam, in units of 1; it falls to 0 by a cosine.
    size : float
        Longer side of the style picture as a multiple of the picture's: larger values give larger strokes.
    """

    #: For ``restorekit plugins check``.
    smoke: ClassVar[dict[str, object]] = {"steps": 1}

    weight: Annotated[float, Field(ge=0, le=1e6)] = 10.0
    smoothness: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    steps: Annotated[int, Field(ge=1, le=100_000)] = 200
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.03
    size: Annotated[float, Field(ge=0.1, le=4)] = 1.0
