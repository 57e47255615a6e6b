"""The denoiser: a network with its geometry, and the noise level it is told."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from restorekit.nn.estimate import noise_sigma
from restorekit.plugin import Batch, Geometry
from restorekit_denoiser.config import Network
from restorekit_denoiser.networks import build

__all__ = ["Denoiser"]


class Denoiser(nn.Module):
    """Removes noise and JPEG artefacts.

    Parameters
    ----------
    config : Network
        What network.
    """

    def __init__(self, config: Network):
        super().__init__()
        self.config = config
        multiple = 2 ** (len(config.widths) - 1) if config.architecture == "unet" else 1
        self.geometry = Geometry(multiple_of=multiple)
        self.network = build(config)

    def forward(self, images: Tensor, sigma: Tensor | None = None) -> Tensor:
        """Map noisy ``(N, 3, H, W)`` to clean ones, not clipped; ``sigma`` is ``(N,)`` in units of 1."""
        x = images
        if self.config.noise_map:
            assert sigma is not None
            level = sigma.to(images.dtype)[:, None, None, None].expand(-1, 1, *images.shape[2:])
            x = torch.cat([images, level], dim=1)
        return images - self.network(x)

    def restore(self, batch: Batch) -> Tensor:
        """Denoise a batch."""
        if not self.config.noise_map:
            return self(batch.images)
        chosen = batch.settings.get("sigma", "auto")
        levels = [
            noise_sigma(image.float().permute(1, 2, 0).cpu().numpy()) if chosen == "auto" else float(str(chosen))
            for image in batch.images
        ]
        return self(batch.images, torch.tensor(levels, device=batch.images.device) / 255)
