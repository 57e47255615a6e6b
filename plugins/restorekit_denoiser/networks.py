"""The networks: ``(N, 3 or 4, H, W)`` to the noise in it, ``(N, 3, H, W)``."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from restorekit.nn.blocks import ResidualBlock, scaled_init
from restorekit_denoiser.config import Network

__all__ = ["Plain", "UNet", "build"]


class UNet(nn.Module):
    """Residual blocks at several sizes; strided convolutions down, transposed ones up, skips added.

    Convolutions have no bias, so the network scales with its input and generalises to other noise levels.

    References
    ----------
    Zhang et al. 2021, "Plug-and-play image restoration with deep denoiser prior" (DRUNet).
    """

    def __init__(self, config: Network):
        super().__init__()
        widths, blocks = config.widths, config.blocks

        def stage(width: int) -> list[nn.Module]:
            return [ResidualBlock(width, bias=False) for _ in range(blocks)]

        self.head = nn.Conv2d(3 + config.noise_map, widths[0], 3, padding=1, bias=False)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(*stage(wide), nn.Conv2d(wide, deep, 2, stride=2, bias=False)) for wide, deep in pairs
        )
        self.middle = nn.Sequential(*stage(widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(deep, wide, 2, stride=2, bias=False), *stage(wide))
            for wide, deep in reversed(pairs)
        )
        self.tail = nn.Conv2d(widths[0], 3, 3, padding=1, bias=False)
        scaled_init(self.tail, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Predict the noise; sizes are multiples of ``2 ** (len(widths) - 1)``."""
        x = self.head(x)
        skips = [x]
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.middle(skips.pop())
        for up in self.up:
            x = up(x) + skips.pop()
        return self.tail(x)


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
    return UNet(config) if config.architecture == "unet" else Plain(config)
