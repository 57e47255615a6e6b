"""A residual U-Net: what restores or labels each pixel of a picture of any size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import Tensor, nn

from restorekit.nn.blocks import ResidualBlock, scaled_init

__all__ = ["UNet"]


class UNet(nn.Module):
    """Residual blocks at several sizes; strided convolutions down, transposed ones up, skips added.

    A fresh network answers with nearly 0.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    widths : sequence of int
        Channels at each size, the full one first; each further size is half as large.
    blocks : int
        Residual blocks at each size, on the way down and up.
    bias : bool
        Whether convolutions have a bias. Without one the network scales with its input, and a denoiser generalises to
        other noise levels.

    References
    ----------
    Zhang et al. 2021, "Plug-and-play image restoration with deep denoiser prior" (DRUNet).
    """

    def __init__(self, inputs: int, outputs: int, widths: Sequence[int], blocks: int, *, bias: bool = False):
        super().__init__()

        def stage(width: int) -> list[nn.Module]:
            return [ResidualBlock(width, bias=bias) for _ in range(blocks)]

        pairs = list(itertools.pairwise(widths))
        self.head = nn.Conv2d(inputs, widths[0], 3, padding=1, bias=bias)
        self.down = nn.ModuleList(
            nn.Sequential(*stage(wide), nn.Conv2d(wide, deep, 2, stride=2, bias=bias)) for wide, deep in pairs
        )
        self.middle = nn.Sequential(*stage(widths[-1]))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(deep, wide, 2, stride=2, bias=bias), *stage(wide))
            for wide, deep in reversed(pairs)
        )
        self.tail = nn.Conv2d(widths[0], outputs, 3, padding=1, bias=bias)
        scaled_init(self.tail, 0.01)

    @property
    def multiple_of(self) -> int:
        """What both sides of a picture must be a multiple of."""
        return 2 ** len(self.down)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H, W)``."""
        x = self.head(x)
        skips = [x]
        for down in self.down:
            x = down(x)
            skips.append(x)
        x = self.middle(skips.pop())
        for up in self.up:
            x = up(x) + skips.pop()
        return self.tail(x)
