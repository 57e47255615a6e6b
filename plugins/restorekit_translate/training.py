"""Teaches a translator what pictures should have become, and a discriminator to tell when they have not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from restorekit.nn.adversarial import discriminator_loss, generator_loss
from restorekit.nn.discriminators import PatchGAN
from restorekit.nn.losses import pixel_loss
from restorekit.plugin import Batch, Phase, Update, UsageError
from restorekit_translate.config import Recipe
from restorekit_translate.generator import Translator

__all__ = ["Training"]

#: Least side of a crop that the discriminator has a score for.
SMALLEST = 24


class Training:
    """The discriminator sees what was given beside what was made of it; the generator minimises L1 besides.

    Parameters
    ----------
    generator : Translator
        Is taught.
    recipe : Recipe
        How.

    References
    ----------
    Isola et al. 2017, equation 4.
    """

    batches_per_step = 1
    capturable = True
    uses_labels = False

    def __init__(self, generator: Translator, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe
        self.discriminator = PatchGAN(6, recipe.discriminator_features) if recipe.adversarial else None

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator, and the discriminator where there is one."""
        generator: dict[str, nn.Module] = {"generator": self.generator}
        return generator if self.discriminator is None else {**generator, "discriminator": self.discriminator}

    def phases(self) -> Mapping[str, Phase]:
        """Return the discriminator's phase, where there is one, and the generator's."""
        recipe, betas = self.recipe, (self.recipe.beta1, 0.999)
        phases: dict[str, Phase] = {}
        if self.discriminator is not None:
            rate = recipe.discriminator_learning_rate or recipe.learning_rate
            phases["discriminator"] = Phase(networks=("discriminator",), learning_rate=rate, betas=betas, clip_norm=1.0)
        phases["generator"] = Phase(
            networks=("generator",),
            learning_rate=recipe.learning_rate,
            betas=betas,
            clip_norm=1.0,
            ema_decay=recipe.ema_decay or None,
        )
        return phases

    def degradation(self) -> Sequence[str]:
        """Return the steps that make the picture to translate."""
        return self.recipe.degradation

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Step the discriminator, where there is one, and the generator."""
        logged: dict[str, Tensor] = {}
        if self.discriminator is not None:
            logged |= update("discriminator", self._discriminator_loss, batches[0])
        return {**logged, **update("generator", self._generator_loss, batches[0])}

    def preview(self, batch: Batch) -> Tensor:
        """Show each sample as given, translated and as it should be, side by side."""
        assert batch.targets is not None
        return torch.cat([batch.images, self.generator.restore(batch).float(), batch.targets], dim=3)[:8].clamp(0, 1)

    def _generator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        assert batch.targets is not None
        recipe, made = self.recipe, self.generator(batch.images)
        difference = pixel_loss("l1", made, batch.targets)
        if self.discriminator is None:
            return recipe.l1 * difference, {"l1": difference}
        with torch.no_grad():
            real = self._scores(batch, batch.targets)
        adversarial = generator_loss(recipe.adversarial_loss, self._scores(batch, made), real)
        total = recipe.l1 * difference + recipe.adversarial * adversarial
        return total, {"l1": difference, "adversarial": adversarial}

    def _discriminator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        assert batch.targets is not None
        with torch.no_grad():
            made = self.generator(batch.images)
        real, fake = self._scores(batch, batch.targets), self._scores(batch, made)
        loss = discriminator_loss(self.recipe.adversarial_loss, real, fake)
        return loss, {"real": real.mean(), "fake": fake.mean()}

    def _scores(self, batch: Batch, pictures: Tensor) -> Tensor:
        assert self.discriminator is not None
        height, width = pictures.shape[2:]
        if min(height, width) < SMALLEST:
            problem = f"{height} x {width} pixels are too few for the discriminator"
            raise UsageError("run.crop", problem, f"use at least {SMALLEST}, or recipe.adversarial=0")
        return self.discriminator(2 * torch.cat([batch.images.to(pictures.dtype), pictures], dim=1) - 1)
