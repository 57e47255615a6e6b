"""Teaches a detector to tell marks from what a photo shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.plugin import Batch, Phase, Update
from restorekit_scratch_detector.config import Recipe
from restorekit_scratch_detector.generator import ScratchDetector

__all__ = ["Training", "soft_dice"]


class Training:
    """One phase: cross-entropy at every pixel, and the overlap of what is marked with what should be.

    Parameters
    ----------
    generator : ScratchDetector
        Is taught.
    recipe : Recipe
        How.
    """

    batches_per_step = 1
    capturable = True
    uses_labels = False

    def __init__(self, generator: ScratchDetector, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator alone."""
        return {"generator": self.generator}

    def phases(self) -> Mapping[str, Phase]:
        """Return the one phase."""
        recipe = self.recipe
        return {
            "marks": Phase(
                networks=("generator",),
                learning_rate=recipe.learning_rate,
                optimizer=recipe.optimizer,
                clip_norm=1.0,
                ema_decay=recipe.ema_decay,
            )
        }

    def degradation(self) -> Sequence[str]:
        """Return the steps that make old, scratched photos."""
        return self.recipe.degradation

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Descend once."""

        def loss(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            marks = _marks(batch)
            logits = self.generator(batch.images).float()
            entropy = F.binary_cross_entropy_with_logits(logits, marks)
            overlap = soft_dice(logits, marks)
            return entropy + self.recipe.dice * (1 - overlap), {"entropy": entropy, "overlap": overlap}

        return update("marks", loss, batches[0])

    def preview(self, batch: Batch) -> Tensor:
        """Show each sample, what is found on it, and what is there, side by side."""
        found = self.generator.detect(batch)
        return torch.cat([batch.images, *(m.expand_as(batch.images) for m in (found, _marks(batch)))], dim=3)[:8]


def soft_dice(logits: Tensor, marks: Tensor) -> Tensor:
    """Return twice the common mass over the sum of both, over the whole batch: 1 where they agree.

    Parameters
    ----------
    logits : Tensor
        ``(N, 1, H, W)`` log-odds.
    marks : Tensor
        ``(N, 1, H, W)`` in {0, 1}.

    References
    ----------
    Milletari et al. 2016, "V-Net", equation 3, with sums instead of sums of squares.
    """
    found = torch.sigmoid(logits)
    return (2 * (found * marks).sum() + 1) / (found.sum() + marks.sum() + 1)


def _marks(batch: Batch) -> Tensor:
    return torch.zeros_like(batch.images[:, :1]) if batch.masks is None else batch.masks
