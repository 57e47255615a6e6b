"""The settings of the network, and of fitting it to a picture."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, PlainValidator
from pydantic.dataclasses import dataclass

__all__ = ["Network", "Settings"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


def _widths(value: object) -> tuple[int, ...]:
    """Read ``16/32/64``, since a comma ends a setting in a step, or a sequence."""
    try:
        parts = value.split("/") if isinstance(value, str) else list(value)  # pyright: ignore[reportArgumentType]
        widths = tuple(int(part) for part in parts)
    except (TypeError, ValueError):
        widths = ()
    if not 1 <= len(widths) <= 6 or not all(4 <= width <= 512 for width in widths):
        raise ValueError("give one to six numbers from 4 to 512, such as 16/32/64")
    return widths


def _sigma(value: object) -> float | Literal["auto"]:
    if value == "auto":
        return "auto"
    try:
        sigma = float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        sigma = -1.0
    if not 0 <= sigma <= 255:
        raise ValueError("give a number from 0 to 255, or auto to estimate it from each picture")
    return sigma


@dataclass(frozen=True, config=_STRICT)
class Network:
    """The network, whose shape is the prior.

    Parameters
    ----------
    scale : int
        Output pixels for each input pixel and axis, 1 to 8.
    widths : tuple of int
        Channels at each size, the full one first and each further one half as large; in a step ``16/32/64``.
    skip : int
        Channels of the connections that pass by the smaller sizes; 0 for none.
    inputs : int
        Channels of the noise that the network turns into the picture.
    """

    #: For ``restorekit plugins check``.
    smoke: ClassVar[dict[str, object]] = {"widths": "8/16", "inputs": 8}

    scale: Annotated[int, Field(ge=1, le=8)] = 1
    widths: Annotated[tuple[int, ...], PlainValidator(_widths)] = (16, 32, 64, 128, 128)
    skip: Annotated[int, Field(ge=0, le=128)] = 4
    inputs: Annotated[int, Field(ge=1, le=128)] = 32


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """How the network is fitted.

    Parameters
    ----------
    steps : int
        Of gradient descent (Adam), at most.
    learning_rate : float
        Of Adam.
    perturbation : float
        Standard deviation of the noise that is added to the network's input in each step, anew.
    average : float
        Decay, a step, of the moving average of the outputs, which is the result; 0 takes the last output.
    sigma : float or "auto"
        The picture's noise in units of 1/255: the fit ends as soon as it is that near. 0 goes through all steps.
    """

    #: For ``restorekit plugins check``.
    smoke: ClassVar[dict[str, object]] = {"steps": 2}

    steps: Annotated[int, Field(ge=1, le=100_000)] = 1500
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.01
    perturbation: Annotated[float, Field(ge=0, le=1)] = 1 / 30
    average: Annotated[float, Field(ge=0, lt=1)] = 0.98
    sigma: Annotated[float | Literal["auto"], PlainValidator(_sigma)] = "auto"
