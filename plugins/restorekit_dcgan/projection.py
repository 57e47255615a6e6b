"""Restores with a GAN as prior: searches the latents for the picture that agrees best with the known pixels.

References
----------
Yeh et al. 2017, "Semantic image inpainting with deep generative models". Their prior is the discriminator's score; the
discriminator is not kept after training here, so the prior is the latents' own: that they are normally distributed.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from restorekit.nn.blending import poisson_blend
from restorekit.nn.chance import normals
from restorekit.plugin import Batch
from restorekit_dcgan.config import Settings

if TYPE_CHECKING:
    from restorekit_dcgan.generator import DCGAN

__all__ = ["context_weights", "project"]

#: Side of the window, as a share of the picture's, in which a hole makes the known pixels important.
_WINDOW = 0.2
#: Importance of known pixels far from every hole, relative to those in the midst of one.
_FAR = 0.1
#: Latents computed at once while starting points are looked for.
_AT_ONCE = 256
#: Tells these draws from those of training and sampling.
_STREAM = 16


def context_weights(masks: Tensor) -> Tensor:
    """Return how much each known pixel counts: the more of its neighbourhood is missing, the more.

    Parameters
    ----------
    masks : Tensor
        ``(N, 1, H, W)``; 1 inside the holes.

    Returns
    -------
    Tensor
        ``(N, 1, H, W)``; 0 inside the holes, a mean of 1 over the known pixels of each picture (0 where there are
        none).
    """
    reach = max(1, round(min(masks.shape[2:]) * _WINDOW / 2))
    missing = F.avg_pool2d(masks, 2 * reach + 1, stride=1, padding=reach, count_include_pad=False)
    known = 1 - masks
    weights = known * (_FAR + missing)
    total = weights.sum(dim=(1, 2, 3), keepdim=True).clamp_min(1e-9)
    return weights * known.sum(dim=(1, 2, 3), keepdim=True) / total


@torch.no_grad()
def project(generator: DCGAN, batch: Batch, settings: Settings) -> Tensor:
    """Find the latents of a batch and return what the generator makes of them.

    Parameters
    ----------
    generator : DCGAN
        The prior.
    batch : Batch
        Of the generator's size. Each sample's result is a function of it, its mask, label and seed.
    settings : Settings
        Of the search.

    Returns
    -------
    Tensor
        ``(N, 3, H, W)`` in [0, 1].
    """
    with torch.autocast(batch.images.device.type, enabled=False):
        found = _Search(generator, batch, settings).run()
    if batch.masks is None or not batch.masks.any():
        return found
    return poisson_blend(found, batch.images.float(), batch.masks)


class _Search:
    """One search: per sample several latents, of which the best is kept."""

    def __init__(self, generator: DCGAN, batch: Batch, settings: Settings):
        self.generator, self.settings = generator, settings
        images = batch.images.float()
        self.target = generator.from_pictures(images)
        known = images.new_zeros(len(images), 1, *images.shape[2:]) if batch.masks is None else batch.masks.float()
        self.weights = context_weights(known)
        self.seeds = torch.zeros(len(images), dtype=torch.int64) if batch.seeds is None else batch.seeds
        self.seeds = self.seeds.to(images.device)
        self.labels = batch.labels
        self.progress = batch.progress
        self.radius = settings.truncation * math.sqrt(generator.config.latent)

    def run(self) -> Tensor:
        """Return the best pictures, ``(N, 3, H, W)`` in [0, 1]."""
        owners, latents, labels = self._starts()
        latents = self._descend(latents, owners, labels)
        mismatch = self._mismatch(latents, owners, labels)
        best = mismatch.view(len(self.target), -1).argmin(dim=1)
        chosen = torch.arange(len(best), device=best.device) * (len(owners) // len(best)) + best
        return self.generator.decode(latents[chosen], None if labels is None else labels[chosen])

    def _starts(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return for each sample its best candidates: their samples' numbers, latents and labels."""
        settings, samples = self.settings, len(self.target)
        count = max(settings.candidates, settings.restarts)
        latent = self.generator.config.latent
        drawn = self._bounded(normals(self.seeds, count * latent, _STREAM).view(samples, count, latent))
        labels = self._candidate_labels(samples, count)
        losses = torch.stack(
            [self._screened(i, drawn[i], None if labels is None else labels[i]) for i in range(samples)]
        )
        best = losses.argsort(dim=1, stable=True)[:, : settings.restarts]
        owners = torch.arange(samples, device=best.device)[:, None].expand_as(best)
        chosen = None if labels is None else labels[owners, best].flatten()
        return owners.flatten(), drawn[owners, best].flatten(0, 1), chosen

    def _candidate_labels(self, samples: int, count: int) -> Tensor | None:
        """Take the labels that are given; without them let the candidates try all classes in turn."""
        classes = self.generator.config.classes
        if not classes:
            return None
        if self.labels is not None:
            return self.labels[:, None].expand(samples, count)
        return (torch.arange(count, device=self.target.device) % classes).expand(samples, count)

    def _screened(self, sample: int, latents: Tensor, labels: Tensor | None) -> Tensor:
        owners = torch.full((len(latents),), sample, device=latents.device)
        parts = [slice(i, i + _AT_ONCE) for i in range(0, len(latents), _AT_ONCE)]
        return torch.cat([self._mismatch(latents[p], owners[p], None if labels is None else labels[p]) for p in parts])

    def _descend(self, latents: Tensor, owners: Tensor, labels: Tensor | None) -> Tensor:
        latents = latents.detach().clone().requires_grad_()
        optimizer = torch.optim.Adam([latents], lr=self.settings.learning_rate)
        for step in range(self.settings.steps):
            self.progress(step / self.settings.steps)
            rate = (1 + math.cos(math.pi * step / self.settings.steps)) / 2
            optimizer.param_groups[0]["lr"] = self.settings.learning_rate * rate
            with torch.enable_grad():
                prior = latents.square().mean(dim=1)
                loss = (self._mismatch(latents, owners, labels) + self.settings.prior * prior).sum()
                (latents.grad,) = torch.autograd.grad(loss, latents)
            optimizer.step()
            latents.copy_(self._bounded(latents))
        return latents.detach()

    def _mismatch(self, latents: Tensor, owners: Tensor, labels: Tensor | None) -> Tensor:
        """Return ``(M,)`` weighted mean absolute differences at the known pixels."""
        difference = (self.generator(latents, labels) - self.target[owners]).abs()
        return (difference * self.weights[owners]).mean(dim=(1, 2, 3))

    def _bounded(self, latents: Tensor) -> Tensor:
        lengths = torch.linalg.vector_norm(latents, dim=-1, keepdim=True)
        return latents * (self.radius / lengths.clamp_min(1e-12)).clamp(max=1.0)
