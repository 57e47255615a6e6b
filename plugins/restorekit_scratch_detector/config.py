"""The settings of the network, of its use, and of its training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Network", "Recipe", "Settings"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Network:
    """A segmenting network.

    Parameters
    ----------
    widths : tuple of int
        Channels at each size of the U-Net, the full one first; each further size is half as large.
    blocks : int
        Residual blocks at each size, on the way down and up.
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"widths": [8, 16], "blocks": 1}

    widths: Annotated[tuple[Annotated[int, Field(ge=4, le=512)], ...], Field(min_length=1, max_length=6)] = (
        *(16, 32, 64, 64),
    )
    blocks: Annotated[int, Field(ge=1, le=32)] = 1


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """What may be chosen at each call.

    Parameters
    ----------
    sensitivity : float
        0 to 1: damage is marked from a probability of 1 - sensitivity on.
    grow : int
        Pixels by which marks are widened: a scratch's soft edge belongs to it.
    side : int
        Pixels of the shorter side that larger pictures are shrunk to while they are looked at: the scratches of a
        large scan are wide, and those that were learned from are narrow. 0 looks at every picture in its own size: for
        dust and hairs so fine that shrinking loses them.
    """

    sensitivity: Annotated[float, Field(gt=0, lt=1)] = 0.5
    grow: Annotated[int, Field(ge=0, le=32)] = 1
    side: Annotated[int, Field(ge=0, le=65_535)] = 768


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a detector is taught.

    Parameters
    ----------
    optimizer : {"adam", "muon"}
        Of the network; see `restorekit.plugin.Phase`.
    learning_rate : float
        At its highest.
    ema_decay : float
        Of the moving average that is kept, a step.
    dice : float
        Weight of the soft Dice loss beside the cross-entropy: it counts overlap, however little of a picture is
        damaged.
    degradation : tuple of str
        Steps that make an old print of a clean photo, scratch it, and scan it; among them one that marks.
    """

    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    dice: Annotated[float, Field(ge=0)] = 1.0
    degradation: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "gray,chance=0.5",
        "fade,chance=0.5",
        "blur:0.4-1.5,chance=0.4",
        "scratches:1-8,chance=0.6,width=0.8-4,tilt=0-90",
        "cracks:1-3,chance=0.5",
        "dust:3-60,chance=0.6",
        "blur:0.3-0.8,chance=0.4",
        "noise:0-12,chance=0.6",
        "jpeg:40-95,chance=0.6",
    )
