"""The scratch detector: a network that gives each pixel a probability of being damage."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.unet import UNet
from restorekit.plugin import Batch, Geometry
from restorekit_scratch_detector.config import Network, Settings

__all__ = ["ScratchDetector"]

_SETTINGS = TypeAdapter(Settings)


class ScratchDetector(nn.Module):
    """Marks scratches, hairs and dust.

    Parameters
    ----------
    config : Network
        What network.
    """

    def __init__(self, config: Network):
        super().__init__()
        self.config = config
        self.network = UNet(3, 1, config.widths, config.blocks, bias=True)
        self.geometry = Geometry(multiple_of=self.network.multiple_of)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(N, 3, H, W)`` in [0, 1] to the log-odds of damage, ``(N, 1, H, W)``."""
        return self.network(2 * images - 1)

    def detect(self, batch: Batch) -> Tensor:
        """Mark damage: ``(N, 1, H, W)`` in [0, 1], from 0.5 on where the chosen sensitivity says so."""
        chosen = _chosen(batch.settings)
        sensitivity, grow = chosen.sensitivity, chosen.grow
        # Moves the probability 1 - sensitivity to a half.
        found = torch.sigmoid(self(batch.images).float() + math.log(sensitivity / (1 - sensitivity)))
        return F.max_pool2d(found, 2 * grow + 1, 1, grow) if grow else found

    def working_side(self, settings: Mapping[str, object]) -> int:
        """Return the shorter side to which larger pictures are shrunk to be looked at, in pixels; 0 for never."""
        return _chosen(settings).side


def _chosen(settings: Mapping[str, object]) -> Settings:
    return _SETTINGS.validate_python(dict(settings))
