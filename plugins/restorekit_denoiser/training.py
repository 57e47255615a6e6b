"""Teaches a denoiser to give back what noise and compression took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from restorekit.nn.losses import pixel_loss
from restorekit.plugin import Batch, Phase, Update
from restorekit_denoiser.config import Recipe
from restorekit_denoiser.generator import Denoiser

__all__ = ["Training"]


class Training:
    """One phase: a pixel loss between the restored picture and the clean one.

    Parameters
    ----------
    generator : Denoiser
        Is taught.
    recipe : Recipe
        How.
    """

    batches_per_step = 1
    capturable = True
    uses_labels = False

    def __init__(self, generator: Denoiser, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator alone."""
        return {"generator": self.generator}

    def phases(self) -> Mapping[str, Phase]:
        """Return the one phase."""
        return {
            "pixel": Phase(
                networks=("generator",),
                learning_rate=self.recipe.learning_rate,
                betas=(0.9, 0.99),
                clip_norm=1.0,
                optimizer=self.recipe.optimizer,
                ema_decay=self.recipe.ema_decay,
            )
        }

    def degradation(self) -> Sequence[str]:
        """Return the steps that damage the clean picture."""
        return self.recipe.degradation

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Descend once."""

        def loss(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            assert batch.targets is not None
            # The level that was drawn is what the difference says, whatever drew it.
            sigma = (batch.images - batch.targets).flatten(1).std(dim=1) if self.generator.config.noise_map else None
            return pixel_loss(self.recipe.loss, self.generator(batch.images, sigma), batch.targets), {}

        return update("pixel", loss, batches[0])

    def preview(self, batch: Batch) -> Tensor:
        """Show each sample damaged, restored and clean, side by side."""
        assert batch.targets is not None
        restored = self.generator.restore(batch)
        return torch.cat([batch.images, restored, batch.targets], dim=3)[:8]
