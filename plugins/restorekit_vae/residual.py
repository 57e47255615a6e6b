"""Residual encoders and decoders: most layers keep the size of their feature maps and add to them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Block", "residual_decoder", "residual_encoder"]


class Block(nn.Module):
    """Two convolutions, each after its activation, added to the input (He et al. 2016, "Identity mappings").

    It starts as the identity: without normalisation, deep stacks of others would not (Zhang et al. 2019, "Fixup").

    Parameters
    ----------
    features : int
        Channels.
    """

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        for parameter in self.conv2.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, features, H, W)`` to the same shape."""
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


def residual_encoder(channels: int, widths: Sequence[int], blocks: int) -> nn.Sequential:
    """Return a network that halves the sides of pictures once for each of ``widths``, its channels there."""
    # Whole 2x2 cells as channels: convolutions over one or three of them at the full size are slow.
    layers: list[nn.Module] = [nn.PixelUnshuffle(2), nn.Conv2d(4 * channels, widths[0], 3, padding=1)]
    layers += [Block(widths[0]) for _ in range(blocks)]
    for before, after in itertools.pairwise(widths):
        layers += [nn.SiLU(), nn.Conv2d(before, after, 4, 2, 1)]
        layers += [Block(after) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.SiLU())


def residual_decoder(widths: Sequence[int], channels: int, blocks: int) -> nn.Sequential:
    """Return the mirror of `residual_encoder`, from ``widths[0]`` channels at the smallest size to pictures."""
    layers: list[nn.Module] = [Block(widths[0]) for _ in range(blocks)]
    for before, after in itertools.pairwise(widths):
        layers += [nn.SiLU(), nn.Conv2d(before, 4 * after, 1), nn.PixelShuffle(2)]
        layers += [Block(after) for _ in range(blocks)]
    return nn.Sequential(*layers, nn.SiLU(), nn.Conv2d(widths[-1], 4 * channels, 3, padding=1), nn.PixelShuffle(2))
