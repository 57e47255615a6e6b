"""The translator: a network with its geometry, and how its output becomes a picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restorekit.nn.unet import UNet
from restorekit.plugin import Batch, Geometry
from restorekit_translate.config import Network

__all__ = ["Translator", "luma"]

#: BT.601: how much of red, green and blue is lightness.
_LUMA = (0.299, 0.587, 0.114)


class Translator(nn.Module):
    """Translates pictures by what a U-Net adds to them.

    Parameters
    ----------
    config : Network
        What network.

    References
    ----------
    Isola et al. 2017, "Image-to-image translation with conditional adversarial networks". Their U-Net joins its skips
    and normalises over batches; this one adds them, and to the picture itself, and normalises nothing, so that tiles
    agree with the whole picture.
    """

    def __init__(self, config: Network):
        super().__init__()
        self.config = config
        self.network = UNet(3, 3, config.widths, config.blocks, bias=True)
        self.geometry = Geometry(multiple_of=self.network.multiple_of, colours=config.colours)

    def forward(self, images: Tensor) -> Tensor:
        """Translate ``(N, 3, H, W)`` in [0, 1], sides multiples of ``geometry.multiple_of``; not clipped."""
        if not self.config.colours:
            return images + self.network(2 * images - 1)
        grey = luma(images)
        made = self.network(2 * grey.expand_as(images) - 1)
        return grey + (made - luma(made))

    def restore(self, batch: Batch) -> Tensor:
        """Translate a batch."""
        return self(batch.images)


def luma(images: Tensor) -> Tensor:
    """Return the BT.601 luma of ``(N, 3, H, W)`` as ``(N, 1, H, W)``."""
    weights = torch.tensor(_LUMA, dtype=images.dtype, device=images.device).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
