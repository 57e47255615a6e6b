"""The settings of the network, and of its training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

__all__ = ["Network", "Recipe"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
_Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class Network:
    """A U-Net that translates pictures of any size.

    Parameters
    ----------
    widths : tuple of int
        Channels at each size, the full one first; each further size is half as large.
    blocks : int
        Residual blocks at each size, on the way down and up.
    colours : bool
        Looks at the lightness alone, keeps it, and chooses the colours: for colourising.
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"widths": [16, 32], "blocks": 1}

    widths: Annotated[tuple[Annotated[int, Field(ge=4, le=1024)], ...], Field(min_length=1, max_length=7)] = (
        *(32, 64, 128, 256, 256),
    )
    blocks: Annotated[int, Field(ge=1, le=32)] = 1
    colours: bool = False


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a translator is taught.

    Parameters
    ----------
    degradation : tuple of str
        Steps that make the picture to translate from the one to arrive at; left out where the data are pairs.
    l1 : float
        Weight of the mean absolute difference of pictures in [0, 1].
    adversarial : float
        Weight of the adversarial loss, a 200th of that of L1 in the paper (a 100th, with pictures in [-1, 1]); 0 trains
        without a discriminator.
    adversarial_loss : {"non-saturating", "lsgan", "hinge", "relativistic", "relativistic-average"}
        See `restorekit.nn.adversarial`.
    discriminator_features : int
        Channels of the discriminator's first layer.
    learning_rate, discriminator_learning_rate : float
        Of Adam, at their highest; the discriminator's is the generator's where none is given.
    beta1 : float
        Adam's first.
    ema_decay : float
        Of the generator's moving average, a step; 0 for none.
    """

    #: For ``restorekit plugins check``.
    smoke: ClassVar[dict[str, object]] = {"discriminator_features": 8}

    degradation: tuple[str, ...] = ("haze",)
    l1: _Weight = 1.0
    adversarial: _Weight = 0.005
    adversarial_loss: Literal["non-saturating", "lsgan", "hinge", "relativistic", "relativistic-average"] = (
        "non-saturating"
    )
    discriminator_features: Annotated[int, Field(ge=4, le=256)] = 64
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    discriminator_learning_rate: Annotated[float, Field(gt=0)] | None = None
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.5
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999

    @model_validator(mode="after")
    def _minimises_something(self) -> Recipe:
        if not self.l1 and not self.adversarial:
            raise ValueError("every loss has weight 0; give l1 a weight")
        return self
