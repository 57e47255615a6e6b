"""What may be chosen: the pipeline's folder, the prompt, and how it is followed."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Pipeline"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Pipeline:
    """A diffusion pipeline and what it is asked for.

    Parameters
    ----------
    pipeline : path
        Folder of a Stable Diffusion 1, 2 or XL pipeline in diffusers' format, with ``.safetensors`` files.
    prompt : str
        What is to be seen.
    negative : str
        What is not to be seen.
    steps : int
        Denoising steps; of inpainting with a ``redraw`` below 1 that share of them.
    guidance : float
        How closely the prompt is followed; up to 1 the negative prompt does not count.
    redraw : float
        Of inpainting: 1 draws holes from noise; less keeps something of what was there.
    side : int
        Height and width in pixels that the pipeline works at, a multiple of 8; 0 for its own.
    """

    pipeline: str = ""
    prompt: str = ""
    negative: str = ""
    steps: Annotated[int, Field(ge=1, le=1000)] = 30
    guidance: Annotated[float, Field(ge=0, le=100)] = 7.5
    redraw: Annotated[float, Field(gt=0, le=1)] = 1.0
    side: Annotated[int, Field(ge=0, le=4096, multiple_of=8)] = 0
