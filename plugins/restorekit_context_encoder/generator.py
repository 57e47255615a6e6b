"""The context encoder: a network with its geometry, and how its output becomes a picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.plugin import Batch, Geometry, UsageError
from restorekit_context_encoder.config import Network
from restorekit_context_encoder.filling import smooth_fill
from restorekit_context_encoder.networks import SIDE, Corrector, Pathak

__all__ = ["ContextEncoder", "composite"]

#: The network halves its input three times.
MULTIPLE = 8
#: Pixels beyond which a cut is not noticed by holes of up to about 100 pixels. Declared, since the core would measure
#: it on thin holes, which look no farther than 10 pixels; a hole is filled from all of its rim, however far that is.
HALO = 96
#: Mean colour of ImageNet, RGB in [0, 1], which Pathak et al. put into holes.
MEAN = (123 / 255, 117 / 255, 104 / 255)


class ContextEncoder(nn.Module):
    """Fills holes.

    Parameters
    ----------
    config : Network
        What network.
    """

    def __init__(self, config: Network):
        super().__init__()
        self.config = config
        if config.architecture == "pathak":
            self.geometry = Geometry(size=(SIDE, SIDE), needs_mask=True)
            self.network: nn.Module = Pathak(config)
            self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        else:
            self.geometry = Geometry(halo=HALO, multiple_of=MULTIPLE, needs_mask=True)
            self.network = Corrector(config)

    def forward(self, images: Tensor, masks: Tensor) -> Tensor:
        """Paint the holes.

        Parameters
        ----------
        images : Tensor
            ``(N, 3, H, W)`` in [0, 1]; what the holes contain is never looked at.
        masks : Tensor
            ``(N, 1, H, W)`` in {0, 1}; 1 marks holes.

        Returns
        -------
        Tensor
            ``(N, 3, H, W)``, not clipped. Pathak's network paints what is known too, and less well: see `composite`.
        """
        hole = masks > 0.5
        if isinstance(self.network, Pathak):
            return self._repainted(images, hole)
        height, width = images.shape[-2:]
        margins = (0, -width % MULTIPLE, 0, -height % MULTIPLE)
        if any(margins):
            images = F.pad(images, margins, mode="replicate")
            hole = F.pad(hole.to(images.dtype), margins, mode="replicate") > 0.5
        filled = smooth_fill(images, hole)
        return (filled + hole * self.network(filled, hole.to(filled.dtype)))[..., :height, :width]

    def restore(self, batch: Batch) -> Tensor:
        """Fill the holes of a batch; where there are no masks there is nothing to repair."""
        if batch.masks is None:
            return batch.images
        return composite(self(batch.images, batch.masks), batch)

    def _repainted(self, images: Tensor, hole: Tensor) -> Tensor:
        if images.shape[-2:] != (SIDE, SIDE):
            given = " x ".join(str(side) for side in images.shape[-2:])
            raise UsageError("context-encoder", f"{given} pixels do not fit the pathak network", f"use run.crop={SIDE}")
        mean = self.get_buffer("mean").to(images.dtype)
        return (self.network(2 * torch.where(hole, mean, images) - 1) + 1) / 2


def composite(painted: Tensor, batch: Batch) -> Tensor:
    """Put the known pixels back; ``batch.images`` holds them, ``batch.masks`` says which they are."""
    assert batch.masks is not None
    return torch.where(batch.masks > 0.5, painted, batch.images.to(painted.dtype))
