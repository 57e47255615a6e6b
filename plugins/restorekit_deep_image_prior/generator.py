"""The deep image prior as a restorer: every picture is fitted by a network of its own."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from restorekit.plugin import Batch, Geometry
from restorekit_deep_image_prior.config import Network, Settings
from restorekit_deep_image_prior.fitting import Fit

__all__ = ["DeepImagePrior"]


class DeepImagePrior:
    """Restores pictures by fitting a network to what is known of each.

    Parameters
    ----------
    config : Network
        What network.
    """

    def __init__(self, config: Network):
        self.config = config
        # The network sees the whole picture, and another part of it would be another fit.
        self.geometry = Geometry(scale=config.scale, whole_image=True)

    def restore(self, batch: Batch) -> Tensor:
        """Fit and return ``(N, 3, scale*H, scale*W)``; each sample is a function of its pixels, mask and seed.

        Raises
        ------
        PictureError
            A mask covers its whole picture.
        """
        settings = Settings(**batch.settings)  # pyright: ignore[reportArgumentType]
        count = len(batch.images)
        seeds = torch.zeros(count, dtype=torch.int64) if batch.seeds is None else batch.seeds
        fitted = []
        for number in range(count):
            own = slice(number, number + 1)
            single = replace(
                batch,
                images=batch.images[own].float().contiguous(),
                masks=None if batch.masks is None else batch.masks[own].float().contiguous(),
                seeds=seeds[own].to(batch.images.device),
                progress=lambda done, number=number: batch.progress((number + done) / count),
            )
            fitted.append(Fit(single, self.config, settings).run())
        return torch.cat(fitted)
