"""The settings of the network, of its use, and of its training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Network", "Recipe", "Settings"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Network:
    """A denoising network.

    Parameters
    ----------
    architecture : {"unet", "plain"}
        Residual blocks at several sizes with skips, as DRUNet; or a chain of convolutions at one size, as DnCNN.
    widths : tuple of int
        Channels at each size of the U-Net, the full one first; each further size is half as large. Of ``plain``, the
        first counts.
    blocks : int
        Residual blocks at each size, on the way down and up; or inner convolutions of ``plain``.
    noise_map : bool
        Takes the noise level as a fourth channel, instead of being blind.
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"widths": [16, 32], "blocks": 1}

    architecture: Literal["unet", "plain"] = "unet"
    widths: Annotated[tuple[Annotated[int, Field(ge=4, le=512)], ...], Field(min_length=1, max_length=5)] = (
        *(32, 64, 128),
    )
    blocks: Annotated[int, Field(ge=1, le=32)] = 2
    noise_map: bool = False


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Settings:
    """What may be chosen at each call.

    Parameters
    ----------
    sigma : float or "auto"
        Noise level in units of 1/255 for networks that are told it; ``auto`` measures each picture. Blind networks
        find out themselves.
    """

    sigma: Annotated[float, Field(ge=0, le=255)] | Literal["auto"] = "auto"


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Recipe:
    """How a denoiser is taught.

    Parameters
    ----------
    optimizer : {"adam", "muon"}
        Of the network; see `restorekit.plugin.Phase`.
    learning_rate : float
        At its highest.
    loss : {"l1", "charbonnier", "l2", "psnr"}
        Between the restored picture and the clean one.
    ema_decay : float
        Of the moving average that is kept, a step.
    degradation : tuple of str
        Steps that damage the clean picture; a network with ``noise_map`` wants noise alone.
    """

    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 4e-4
    loss: Literal["l1", "charbonnier", "l2", "psnr"] = "l1"
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    degradation: tuple[str, ...] = ("noise:0-50,chance=0.8", "jpeg:10-95,chance=0.5")
