"""The networks: ``(N, 3 or 4, H, W)`` to the noise in it, ``(N, 3, H, W)``."""

from __future__ import annotations

from torch import nn

from restorekit.nn.blocks import scaled_init
from restorekit.nn.unet import UNet
from restorekit_denoiser.config import Network

__all__ = ["Plain", "build"]


class Plain(nn.Sequential):
    """Convolutions and ReLU at one size.

    References
    ----------
    Zhang et al. 2017, "Beyond a Gaussian denoiser" (DnCNN), without its batch normalisation.
    """

    def __init__(self, config: Network):
        width = config.widths[0]
        layers: list[nn.Module] = [nn.Conv2d(3 + config.noise_map, width, 3, padding=1), nn.ReLU()]
        for _ in range(config.blocks):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        layers.append(nn.Conv2d(width, 3, 3, padding=1))
        scaled_init(nn.ModuleList(layers))
        scaled_init(layers[-1], 0.01)
        super().__init__(*layers)


def build(config: Network) -> nn.Module:
    """Return the network that a configuration describes."""
    if config.architecture == "plain":
        return Plain(config)
    return UNet(3 + config.noise_map, 3, config.widths, config.blocks)
