"""What a user may choose of `auto`: from where on it acts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Auto"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))
class Auto:
    """Thresholds; between them and a clean picture there is room for the estimates to err.

    Parameters
    ----------
    noise : float
        Weakest noise that is removed: standard deviation in units of 1/255.
    quality : int
        Highest JPEG quality whose artefacts are removed, on libjpeg's scale; 0 removes none.
    scratches : {"never", "prints", "always"}
        Where scratches, cracks and dust are looked for and repaired, if there is no mask: in no picture; in those
        of one tone, as old prints are; in all. A sound picture loses some of its own thin lines to it.
    """

    noise: Annotated[float, Field(ge=1, le=255)] = 5.5
    quality: Annotated[int, Field(ge=0, le=95)] = 55
    scratches: Literal["never", "prints", "always"] = "never"
