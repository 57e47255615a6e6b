"""The GAN's generator: makes pictures of latents, and finds the latents of pictures."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.chance import normals
from restorekit.plugin import Batch, Geometry, UsageError
from restorekit_dcgan.config import DCGANConfig, Settings
from restorekit_dcgan.networks import build_generator
from restorekit_dcgan.projection import project

__all__ = ["DCGAN"]


class DCGAN(nn.Module):
    """Makes pictures; restores by latent projection.

    Parameters
    ----------
    config : DCGANConfig
        What network.
    """

    def __init__(self, config: DCGANConfig):
        super().__init__()
        self.config = config
        self.geometry = Geometry(size=(config.size, config.size))
        self.network = build_generator(config)

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Map ``(N, latent)`` and ``(N,)`` class indices to ``(N, channels, size, size)`` in about [-1, 1]."""
        if self.config.classes:
            if labels is None:
                raise UsageError("dcgan", "is conditioned on classes, and no label was given", "name one")
            latents = torch.cat([latents, F.one_hot(labels, self.config.classes).to(latents)], dim=1)
        return self.network(latents)

    def latents(self, seeds: Tensor) -> Tensor:
        """Return ``(N, latent)`` standard normal latents, each a function of its own seed."""
        return normals(seeds, self.config.latent)

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return ``(N, 3, size, size)`` in [0, 1]; of one channel, three equal ones."""
        return self.to_pictures(self(latents, labels)).clamp(0, 1)

    def to_pictures(self, made: Tensor) -> Tensor:
        """Turn the network's ``(N, channels, H, W)`` in [-1, 1] into RGB in [0, 1], not clipped."""
        return ((made.float() + 1) / 2).expand(-1, 3, -1, -1)

    def from_pictures(self, images: Tensor) -> Tensor:
        """Undo `to_pictures`."""
        images = images if self.config.channels == 3 else images.mean(dim=1, keepdim=True)
        return images * 2 - 1

    def restore(self, batch: Batch) -> Tensor:
        """Return the nearest picture that this generator makes, in the holes where there are masks.

        Parameters
        ----------
        batch : Batch
            Of the network's size.

        Returns
        -------
        Tensor
            ``(N, 3, size, size)`` in [0, 1]: without masks the reconstruction, else the pictures with their holes
            filled and blended in.
        """
        return project(self, batch, Settings(**batch.settings))  # pyright: ignore[reportArgumentType]
