"""The settings of the networks, and of their training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

__all__ = ["Network", "Recipe"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class Network:
    """An inpainting network.

    Parameters
    ----------
    architecture : {"modern", "pathak"}
        A small U-shaped network of gated, dilated convolutions that corrects a smooth filling, for pictures of any
        size; or the encoder and decoder of Pathak et al. 2016, for 128 x 128 pixels.
    width : int
        Channels of the first convolution; they double with each halving of the size.
    dilations : tuple of int
        Of the residual blocks at an eighth of the size, in their order (modern).
    bottleneck : int
        Channels at 1 x 1 pixel between encoder and decoder; 0 for a channel-wise fully connected layer (pathak).
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"width": 8, "dilations": [1, 2]}

    architecture: Literal["modern", "pathak"] = "modern"
    width: Annotated[int, Field(ge=4, le=512)] = 32
    dilations: Annotated[
        tuple[Annotated[int, Field(ge=1, le=64)], ...],
        Field(min_length=1, max_length=32),
    ] = (1, 2, 4, 8, 2, 1)
    bottleneck: Annotated[int, Field(ge=0, le=65536)] = 4000


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How an inpainting network is taught.

    Only what is filled counts: what is known is put back before any loss, as it is when restoring.

    Parameters
    ----------
    optimizer : {"adam", "muon"}
        Of the network, see `restorekit.plugin.Phase`; a discriminator's is Adam.
    learning_rate : float
        At its highest.
    discriminator_learning_rate : float
        Of the discriminator's Adam.
    beta1 : float
        Adam's decay rate of the first moment.
    ema_decay : float
        Of the moving average that is kept, a step; 0 keeps the last weights.
    l1, l2 : float
        Weights of the absolute and the squared difference inside the holes, in [0, 1] units of the pictures.
    overlap : int
        Width in pixels of a band along the inner edge of each hole, where these differences count more.
    overlap_weight : float
        How many times more.
    perceptual : float
        Weight of the distance between deep features; needs ``features``.
    features : str
        File with SqueezeNet 1.1: ``.npz`` or ``.safetensors``.
    adversarial : float
        Weight of the discriminator's judgement; 0 trains without one.
    adversarial_loss : {"hinge", "non-saturating", "relativistic-average"}
        See `restorekit.nn.adversarial.discriminator_loss`.
    degradation : tuple of str
        Steps that damage the clean pictures; among them one that makes holes.
    """

    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    discriminator_learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    beta1: Annotated[float, Field(ge=0, lt=1)] = 0.9
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    l1: Annotated[float, Field(ge=0)] = 1.0
    l2: Annotated[float, Field(ge=0)] = 0.0
    overlap: Annotated[int, Field(ge=0, le=64)] = 0
    overlap_weight: Annotated[float, Field(ge=1)] = 10.0
    perceptual: Annotated[float, Field(ge=0)] = 0.0
    features: str = ""
    adversarial: Annotated[float, Field(ge=0)] = 0.0
    adversarial_loss: Literal["hinge", "non-saturating", "relativistic-average"] = "hinge"
    degradation: Annotated[tuple[str, ...], Field(min_length=1)] = (
        "dust:10-120",
        "scratches:3-15,chance=0.5,tilt=0-90",
        "text:2-8,chance=0.5,size=0.03-0.12",
        "holes:irregular,coverage=0.02-0.4,chance=0.5",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Recipe:
        if not (self.l1 or self.l2 or self.perceptual or self.adversarial):
            raise ValueError("every loss has weight 0; give l1 a weight")
        if self.perceptual and not self.features:
            raise ValueError("a perceptual loss needs features=FILE, SqueezeNet 1.1 as .npz or .safetensors")
        return self
