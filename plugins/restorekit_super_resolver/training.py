"""Teaches a super-resolver to give back what downscaling took."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.adversarial import discriminator_loss, generator_loss
from restorekit.nn.discriminators import UNetDiscriminator, VGGDiscriminator
from restorekit.nn.features import SqueezeNet, perceptual_distance
from restorekit.nn.losses import pixel_loss
from restorekit.plugin import Batch, Phase, Trainable, Update
from restorekit_super_resolver.config import Recipe
from restorekit_super_resolver.generator import SuperResolver

__all__ = ["Adversarial", "Pixelwise", "training"]


class Pixelwise:
    """One phase: a pixel loss between the enlarged picture and the sharp one.

    Parameters
    ----------
    generator : SuperResolver
        Is taught.
    recipe : Recipe
        How.
    """

    batches_per_step = 1
    capturable = True
    uses_labels = False

    def __init__(self, generator: SuperResolver, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator alone."""
        return {"generator": self.generator}

    def phases(self) -> Mapping[str, Phase]:
        """Return the one phase."""
        recipe = self.recipe
        return {
            "pixel": Phase(
                networks=("generator",),
                learning_rate=recipe.learning_rate,
                betas=(0.9, 0.99),
                clip_norm=1.0,
                optimizer=recipe.optimizer,
                ema_decay=recipe.ema_decay,
            )
        }

    def degradation(self) -> Sequence[str]:
        """Return the steps that make the small picture."""
        return self.recipe.degradation or (f"downscale:{self.generator.config.scale}",)

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Descend once."""

        def loss(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            return pixel_loss(self.recipe.loss, self.generator(batch.images), _sharp(batch)), {}

        return update("pixel", loss, batches[0])

    def preview(self, batch: Batch) -> Tensor:
        """Show each sample small, restored and sharp, side by side."""
        images = batch.images[:6]
        small = F.interpolate(images, scale_factor=self.generator.config.scale, mode="nearest")
        return torch.cat([small, self.generator(images), _sharp(batch)[:6]], dim=3)


class Adversarial(Pixelwise):
    """Two phases: the generator minimises pixel, perceptual and adversarial losses, the discriminator its own.

    References
    ----------
    Ledig et al. 2017, "SRGAN"; Wang et al. 2018, "ESRGAN".
    """

    def __init__(self, generator: SuperResolver, recipe: Recipe):
        super().__init__(generator, recipe)
        kind = UNetDiscriminator if recipe.discriminator == "unet" else VGGDiscriminator
        self.discriminator = kind(recipe.discriminator_features)
        self.features = SqueezeNet.load(recipe.features) if recipe.features else None

    def networks(self) -> Mapping[str, nn.Module]:
        """Return both."""
        return {"generator": self.generator, "discriminator": self.discriminator}

    def phases(self) -> Mapping[str, Phase]:
        """Return the generator's phase, then the discriminator's."""
        rate, betas = self.recipe.learning_rate, (0.9, 0.99)
        ema = self.recipe.ema_decay
        return {
            "generator": Phase(
                networks=("generator",),
                learning_rate=rate,
                betas=betas,
                clip_norm=1.0,
                ema_decay=ema,
                optimizer=self.recipe.optimizer,
            ),
            "discriminator": Phase(networks=("discriminator",), learning_rate=rate, betas=betas, clip_norm=1.0),
        }

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Let the generator descend, then the discriminator."""
        kind = self.recipe.adversarial

        def generator(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            recipe, sharp = self.recipe, _sharp(batch)
            made = self.generator(batch.images)
            pixel = pixel_loss(recipe.loss, made, sharp)
            perceptual = self._perceptual(made, sharp)
            with torch.no_grad():
                real = self.discriminator(sharp)
            adversarial = generator_loss(kind, self.discriminator(made), real)
            total = recipe.pixel_weight * pixel + recipe.perceptual_weight * perceptual
            total = total + recipe.adversarial_weight * adversarial
            return total, {"pixel": pixel, "perceptual": perceptual, "adversarial": adversarial}

        def discriminator(batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
            with torch.no_grad():
                made = self.generator(batch.images)
            real, fake = self.discriminator(_sharp(batch)), self.discriminator(made)
            return discriminator_loss(kind, real, fake), {"real": real.mean(), "fake": fake.mean()}

        return {**update("generator", generator, batches[0]), **update("discriminator", discriminator, batches[0])}

    def _perceptual(self, made: Tensor, sharp: Tensor) -> Tensor:
        """Compare deep features; without a feature network, those of the discriminator's first halvings."""
        if self.recipe.perceptual_weight == 0:
            return made.new_zeros(())
        if self.features is not None:
            self.features.to(made.device)
            return perceptual_distance(self.features, made.clamp(0, 1), sharp).mean()
        layers = [m for m in self.discriminator.modules() if isinstance(m, nn.Conv2d)][:3]
        differences = []
        for layer in layers:
            made, sharp = F.leaky_relu(layer(made), 0.2), F.leaky_relu(layer(sharp), 0.2).detach()
            differences.append(F.l1_loss(made.float(), sharp.float()))
        return torch.stack(differences).mean()


def training(generator: SuperResolver, recipe: Recipe) -> Trainable:
    """Return the trainer of the recipe's stage."""
    return Pixelwise(generator, recipe) if recipe.stage == "psnr" else Adversarial(generator, recipe)


def _sharp(batch: Batch) -> Tensor:
    assert batch.targets is not None, "super-resolution learns from pairs"
    return batch.targets
