"""What a user may choose of each classical method: validated values, with units."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass

__all__ = [
    "CLAHE",
    "Biharmonic",
    "Bilateral",
    "Deblock",
    "Dehaze",
    "Diffusion",
    "Interpolation",
    "Marching",
    "Median",
    "NLMeans",
    "SlidingDCT",
    "TopHat",
    "TotalVariation",
    "Unsharp",
    "Upscale",
    "Wavelet",
    "WhiteBalance",
]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def _number_or_auto(number: type[int] | type[float], least: float, most: float) -> PlainValidator:
    """Return a validator whose one message covers both alternatives; a pydantic union has a message for each."""

    def validate(value: object) -> object:
        if value == "auto":
            return value
        try:
            given = number(value)  # pyright: ignore[reportArgumentType]
        except (TypeError, ValueError):
            given = None
        if given is None or not least <= given <= most:
            raise ValueError(f"give a number from {least:g} to {most:g}, or auto to estimate it from each picture")
        return given

    return PlainValidator(validate)


#: Standard deviation of the noise in units of 1/255, or "auto" to estimate it from each picture.
Sigma = Annotated[float | Literal["auto"], _number_or_auto(float, 0.1, 255)]


@dataclass(frozen=True, config=_STRICT)
class Upscale:
    """An enlargement.

    Parameters
    ----------
    scale : int
        Output pixels for each input pixel and axis, 2 to 8.
    """

    scale: Annotated[int, Field(ge=2, le=8)] = 2


@dataclass(frozen=True, config=_STRICT)
class Interpolation:
    """Interpolation into holes.

    Parameters
    ----------
    method : {"linear", "nearest"}
        Piecewise linear between the rim pixels, or a copy of the nearest one.
    """

    method: Literal["linear", "nearest"] = "linear"


@dataclass(frozen=True, config=_STRICT)
class Marching:
    """Telea's and the Navier-Stokes method.

    Parameters
    ----------
    radius : float
        Pixels around a point that its colour is made from, 1 to 50.
    """

    radius: Annotated[float, Field(ge=1, le=50)] = 3.0


@dataclass(frozen=True, config=_STRICT)
class Biharmonic:
    """Thin-plate filling.

    Parameters
    ----------
    largest : int
        Unknown pixels of one hole that are solved at full resolution; a larger hole is filled on a coarser grid.
    """

    largest: Annotated[int, Field(ge=100, le=1_000_000)] = 40_000


@dataclass(frozen=True, config=_STRICT)
class Diffusion:
    """Laplace's equation with the rim as its boundary values: nothing to choose."""


@dataclass(frozen=True, config=_STRICT)
class NLMeans:
    """Non-local means.

    Parameters
    ----------
    sigma : float or "auto"
        Standard deviation of the noise, in units of 1/255.
    patch : int
        Side of the patches that are compared, pixels, odd.
    search : int
        Side of the window in which similar patches are looked for, pixels, odd.
    """

    sigma: Sigma = "auto"
    patch: Literal[3, 5, 7, 9] = 5
    search: Literal[9, 13, 17, 21, 31] = 17


@dataclass(frozen=True, config=_STRICT)
class Bilateral:
    """The bilateral filter.

    Parameters
    ----------
    sigma : float or "auto"
        Standard deviation of the noise, in units of 1/255; colours are averaged up to a few times as far apart.
    space : float
        Standard deviation of the spatial weight, pixels.
    """

    sigma: Sigma = "auto"
    space: Annotated[float, Field(ge=0.5, le=10)] = 2.0


@dataclass(frozen=True, config=_STRICT)
class Median:
    """The median filter.

    Parameters
    ----------
    size : int
        Side of the window, pixels, odd, 3 to 31.
    """

    size: Annotated[int, Field(ge=3, le=31, multiple_of=1)] = 3

    def __post_init__(self) -> None:
        if self.size % 2 == 0:
            raise ValueError("the window's side is an odd number of pixels: 3, 5, 7, ...")


@dataclass(frozen=True, config=_STRICT)
class Wavelet:
    """BayesShrink wavelet denoising, averaged over shifts.

    Parameters
    ----------
    sigma : float or "auto"
        Standard deviation of the noise, in units of 1/255.
    shifts : int
        The picture is denoised at ``(shifts + 1)**2`` offsets; more give fewer artefacts and take longer.
    """

    sigma: Sigma = "auto"
    shifts: Annotated[int, Field(ge=0, le=7)] = 2


@dataclass(frozen=True, config=_STRICT)
class TotalVariation:
    """Total-variation denoising (Chambolle).

    Parameters
    ----------
    weight : float or "auto"
        Weight of smoothness against fidelity, for values in [0, 1]: about 0.7 times the noise's standard deviation.
    iterations : int
        Steps of the solver.
    """

    weight: Annotated[float | Literal["auto"], _number_or_auto(float, 0.001, 5)] = "auto"
    iterations: Annotated[int, Field(ge=5, le=500)] = 60


@dataclass(frozen=True, config=_STRICT)
class SlidingDCT:
    """Hard thresholding of overlapping 8x8 DCT blocks.

    Parameters
    ----------
    sigma : float or "auto"
        Standard deviation of the noise, in units of 1/255.
    """

    sigma: Sigma = "auto"


@dataclass(frozen=True, config=_STRICT)
class Deblock:
    """JPEG artefact removal.

    Parameters
    ----------
    quality : int or "auto"
        Quality the picture was compressed at, 1 to 95 on the scale of the Independent JPEG Group; "auto" estimates
        it from each picture, and leaves pictures alone that show no compression.
    strength : float
        1 removes as much as measures best; more smooths further.
    """

    quality: Annotated[int | Literal["auto"], _number_or_auto(int, 1, 95)] = "auto"
    strength: Annotated[float, Field(gt=0, le=4)] = 1.0


@dataclass(frozen=True, config=_STRICT)
class Unsharp:
    """Unsharp masking of lightness.

    Parameters
    ----------
    amount : float
        How much of the removed detail is added again.
    radius : float
        Standard deviation of the blur, pixels.
    threshold : float
        Detail weaker than this, in units of 1/255, is left alone.
    """

    amount: Annotated[float, Field(ge=0, le=10)] = 0.7
    radius: Annotated[float, Field(ge=0.3, le=50)] = 1.5
    threshold: Annotated[float, Field(ge=0, le=255)] = 0.0


@dataclass(frozen=True, config=_STRICT)
class CLAHE:
    """Contrast-limited adaptive histogram equalisation of lightness.

    Parameters
    ----------
    clip : float
        Largest slope of the tone curve; 1 changes nothing.
    tiles : int
        Tiles along each axis.
    """

    clip: Annotated[float, Field(ge=1, le=40)] = 2.0
    tiles: Annotated[int, Field(ge=1, le=64)] = 8


@dataclass(frozen=True, config=_STRICT)
class WhiteBalance:
    """A gain for each colour channel.

    Parameters
    ----------
    method : {"shades-of-grey", "grey-world", "white-patch"}
        What is taken to be neutral: a norm that favours bright pixels, the mean, or the brightest pixels.
    strength : float
        Share of the correction that is applied, 0 to 1.
    """

    method: Literal["shades-of-grey", "grey-world", "white-patch"] = "shades-of-grey"
    strength: Annotated[float, Field(ge=0, le=1)] = 1.0


@dataclass(frozen=True, config=_STRICT)
class Dehaze:
    """Dark-channel-prior dehazing.

    Parameters
    ----------
    strength : float
        Share of the haze that is removed, 0 to 1.
    patch : int
        Side of the dark channel's window, pixels.
    """

    strength: Annotated[float, Field(ge=0, le=1)] = 0.9
    patch: Annotated[int, Field(ge=3, le=63)] = 15


@dataclass(frozen=True, config=_STRICT)
class TopHat:
    """Scratch detection.

    Parameters
    ----------
    width : int
        Widest scratch that is looked for, pixels.
    contrast : float
        How far a scratch stands out from its surroundings at least, in units of 1/255.
    length : int
        Shortest scratch that is reported, pixels.
    tone : {"bright", "dark", "both"}
        Torn emulsion is bright on a print, and a scratched negative's print too; dark lines are looked for on request
        alone, for lips, eyelids and brows are such lines.
    """

    width: Annotated[int, Field(ge=1, le=31)] = 5
    contrast: Annotated[float, Field(gt=0, le=255)] = 24.0
    length: Annotated[int, Field(ge=2, le=1000)] = 24
    tone: Literal["bright", "dark", "both"] = "bright"
