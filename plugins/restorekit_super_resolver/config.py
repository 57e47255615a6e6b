"""The settings of the networks, and of their training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Network", "Recipe"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Network:
    """A super-resolution network.

    Parameters
    ----------
    architecture : {"residual", "rrdb", "compact"}
        EDSR's residual blocks without normalisation; ESRGAN's residual-in-residual dense blocks; or a plain chain of
        convolutions with PReLU at the input's size, as Real-ESRGAN's small networks.
    scale : {2, 3, 4}
        Output pixels for each input pixel and axis; rrdb has 2 and 4.
    features : int
        Channels.
    blocks : int
        Residual blocks, RRDBs, or inner convolutions.
    growth : int
        Channels each dense convolution adds (rrdb).
    upsampling : {"stages", "direct"}
        Enlarges features by 2 (or 3) at a time, as EDSR; or all at once at the very end, as IMDN and SwinIR-light,
        which leaves all work at the input's size (residual).
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"features": 16, "blocks": 2}

    architecture: Literal["residual", "rrdb", "compact"] = "residual"
    scale: Literal[2, 3, 4] = 4
    features: Annotated[int, Field(ge=4, le=512)] = 64
    blocks: Annotated[int, Field(ge=1, le=64)] = 16
    growth: Annotated[int, Field(ge=4, le=256)] = 32
    upsampling: Literal["stages", "direct"] = "stages"

    def __post_init__(self) -> None:
        if self.architecture == "rrdb" and self.scale == 3:
            raise ValueError("an rrdb network enlarges by 2 or 4")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """How a super-resolution network is taught.

    Parameters
    ----------
    stage : {"psnr", "gan"}
        Towards the highest PSNR; or, usually from weights of the first stage (``--start``), towards pictures that
        look sharp, against a discriminator.
    optimizer : {"adam", "muon"}
        Of the network, see `restorekit.plugin.Phase`; a discriminator's is Adam.
    learning_rate : float
        At its highest; also the discriminator's.
    loss : {"l1", "charbonnier", "l2", "psnr"}
        Between the enlarged picture and the sharp one.
    ema_decay : float
        Of the moving average that is kept, a step.
    degradation : tuple of str
        Steps that make the small picture from the sharp one; by default bicubic downscaling by the network's scale.
        ``("real:4",)`` makes the two-stage damage of pictures from the real world.
    pixel_weight, perceptual_weight, adversarial_weight : float
        Of the three losses of the gan stage. Their gradients differ by orders of magnitude: with SqueezeNet's features
        and a U-Net, 100, 0.1 and 0.2 let all three have a say; where the perceptual one rules, a grid appears.
    features : str
        SqueezeNet 1.1 as ``.npz`` or ``.safetensors``, for the perceptual loss; without it the discriminator's own
        features are compared.
    adversarial : str
        The adversarial loss, see `restorekit.nn.adversarial`.
    discriminator : {"unet", "vgg"}
        Judges every pixel, or the picture as a whole.
    discriminator_features : int
        Channels of its first layer.
    """

    stage: Literal["psnr", "gan"] = "psnr"
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 4e-4
    loss: Literal["l1", "charbonnier", "l2", "psnr"] = "l1"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    degradation: tuple[str, ...] = ()
    pixel_weight: Annotated[float, Field(ge=0)] = 100.0
    perceptual_weight: Annotated[float, Field(ge=0)] = 0.1
    adversarial_weight: Annotated[float, Field(ge=0)] = 0.2
    features: str = ""
    adversarial: Literal["non-saturating", "lsgan", "hinge", "relativistic", "relativistic-average"] = (
        "relativistic-average"
    )
    discriminator: Literal["unet", "vgg"] = "unet"
    discriminator_features: Annotated[int, Field(ge=4, le=256)] = 64
