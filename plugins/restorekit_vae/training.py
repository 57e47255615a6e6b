"""Teaches a VAE by its evidence lower bound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from restorekit.nn.progress import Progress
from restorekit.plugin import Batch, Phase, Update, UsageError
from restorekit_vae.config import Recipe
from restorekit_vae.generator import VAE

__all__ = ["Training"]


class Training:
    """One phase: the bound, its divergence weighted.

    Parameters
    ----------
    generator : VAE
        Is taught.
    recipe : Recipe
        How.
    """

    batches_per_step = 1
    capturable = True
    uses_labels = False

    def __init__(self, generator: VAE, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe
        self.progress = Progress()

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator, and the count of steps."""
        return {"generator": self.generator, "progress": self.progress}

    def phases(self) -> Mapping[str, Phase]:
        """Return the one phase."""
        recipe = self.recipe
        return {
            "loss": Phase(
                networks=("generator",),
                learning_rate=recipe.learning_rate,
                clip_norm=recipe.clip_norm,
                ema_decay=recipe.ema_decay or None,
                optimizer=recipe.optimizer,
            )
        }

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Descend once."""
        height, width = batches[0].images.shape[2:]
        size = self.generator.config.size
        if (height, width) != (size, size):
            problem = f"takes pictures of {size}x{size}, and those to learn from are {width}x{height}"
            raise UsageError("network.size", problem, f"set run.crop={size}, or another network.size")
        scalars = update("loss", self.loss, batches[0])
        self.progress.advance()
        return scalars

    def loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return what is minimised, in nats a picture; and the bound at beta 1 with its parts."""
        recipe = self.recipe
        if recipe.importance_samples > 1:
            return self._importance_weighted(batch)
        likelihood, divergence = self.generator.bound(batch)
        mean = divergence.mean(dim=0)
        loss = self._weight() * mean.clamp_min(recipe.free_bits).sum() - likelihood.mean()
        scalars = {
            "elbo": likelihood.mean() - mean.sum(),
            "likelihood": likelihood.mean(),
            "divergence": mean.sum(),
            "active": (mean > 0.01).sum(),
        }
        return loss, scalars | self._sigma()

    def _importance_weighted(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        samples = self.recipe.importance_samples
        likelihood, ratio = self.generator.log_weights(batch, samples)
        bounds = torch.logsumexp(likelihood + self._weight() * ratio, dim=0) - math.log(samples)
        scalars = {
            "elbo": (likelihood + ratio).mean(),
            "likelihood": likelihood.mean(),
            "divergence": -ratio.mean(),
            f"iwae{samples}": torch.logsumexp((likelihood + ratio).detach(), dim=0).mean() - math.log(samples),
        }
        return -bounds.mean(), scalars | self._sigma()

    def _weight(self) -> Tensor:
        """Return the divergence's weight now."""
        return self.recipe.beta * self.progress.rise(self.recipe.warmup)

    def _sigma(self) -> dict[str, Tensor]:
        config = self.generator.config
        learned = config.learned_sigma and config.likelihood == "gaussian"
        return {"sigma": self.generator.log_sigma.exp()} if learned else {}

    def finish(self, batches: Iterable[Batch]) -> None:
        """Fit the mixture that samples are drawn from to the latents of training pictures."""
        self.generator.fit_mixture(_first(batches, self.recipe.mixture_pictures))

    def preview(self, batch: Batch) -> Tensor:
        """Show what it is given, the reconstructions, and as many samples from the prior."""
        generator = self.generator
        seeds = torch.arange(len(batch.images), device=batch.images.device)
        samples = generator.decode(generator.prior(seeds))
        values = generator.observed(batch)
        return torch.cat([values.expand(-1, 3, -1, -1), generator.reconstructed(values), samples])


def _first(batches: Iterable[Batch], pictures: int) -> Iterator[Batch]:
    seen = 0
    for batch in batches:
        yield batch
        seen += len(batch.images)
        if seen >= pictures:
            return
