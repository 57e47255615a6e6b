"""The super-resolver: a network with its geometry."""

from __future__ import annotations

from torch import Tensor, nn

from restorekit.plugin import Batch, Geometry
from restorekit_super_resolver.config import Network
from restorekit_super_resolver.networks import build

__all__ = ["SuperResolver"]


class SuperResolver(nn.Module):
    """Enlarges pictures.

    Parameters
    ----------
    config : Network
        What network.
    """

    def __init__(self, config: Network):
        super().__init__()
        self.config = config
        folded = config.architecture == "rrdb" and config.scale == 2
        self.geometry = Geometry(scale=config.scale, multiple_of=2 if folded else 1)
        self.network = build(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, scale*H, scale*W)``, not clipped."""
        return self.network(images)

    def restore(self, batch: Batch) -> Tensor:
        """Enlarge a batch."""
        return self(batch.images)
