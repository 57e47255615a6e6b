"""Teaches a context encoder to paint what was cut out of pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.adversarial import discriminator_loss, generator_loss
from restorekit.nn.features import SqueezeNet, perceptual_distance
from restorekit.plugin import Batch, Phase, Update, UsageError
from restorekit_context_encoder.config import Recipe
from restorekit_context_encoder.generator import ContextEncoder, composite
from restorekit_context_encoder.networks import PatchDiscriminator, PathakDiscriminator

__all__ = ["Training", "hole_weights"]


class Training:
    """Differences inside the holes, and, where the recipe asks for them, deep features and a discriminator.

    Parameters
    ----------
    generator : ContextEncoder
        Is taught.
    recipe : Recipe
        How.
    """

    batches_per_step = 1
    capturable = True
    uses_labels = False

    def __init__(self, generator: ContextEncoder, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe
        self.features = SqueezeNet.load(recipe.features) if recipe.perceptual else None
        self.discriminator: nn.Module | None = None
        self.judges_masks = generator.config.architecture != "pathak"
        if recipe.adversarial:
            kind = PatchDiscriminator if self.judges_masks else PathakDiscriminator
            self.discriminator = kind(generator.config.width)

    def networks(self) -> Mapping[str, nn.Module]:
        """Return the generator, and the discriminator where there is one."""
        generator: dict[str, nn.Module] = {"generator": self.generator}
        return generator if self.discriminator is None else {**generator, "discriminator": self.discriminator}

    def phases(self) -> Mapping[str, Phase]:
        """Return the discriminator's phase, where there is one, and the generator's."""
        recipe = self.recipe
        phases: dict[str, Phase] = {}
        if self.discriminator is not None:
            phases["discriminator"] = Phase(
                networks=("discriminator",),
                learning_rate=recipe.discriminator_learning_rate,
                betas=(recipe.beta1, 0.999),
            )
        phases["generator"] = Phase(
            networks=("generator",),
            learning_rate=recipe.learning_rate,
            betas=(recipe.beta1, 0.999),
            clip_norm=1.0,
            optimizer=recipe.optimizer,
            ema_decay=recipe.ema_decay or None,
        )
        return phases

    def degradation(self) -> Sequence[str]:
        """Return the steps that cut the holes."""
        return self.recipe.degradation

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Step the discriminator, where there is one, and the generator."""
        batch = batches[0]
        logged: dict[str, Tensor] = {}
        if self.discriminator is not None:
            logged |= update("discriminator", self._discriminator_loss, batch)
        return {**logged, **update("generator", self._generator_loss, batch)}

    def preview(self, batch: Batch) -> Tensor:
        """Return damaged, restored and clean pictures side by side."""
        masks, targets = _given(batch)
        damaged = torch.where(masks > 0.5, 0.5, batch.images)
        return torch.cat([damaged, self.generator.restore(batch).float(), targets], dim=3).clamp(0, 1)

    def _generator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        recipe = self.recipe
        masks, targets = _given(batch)
        restored = composite(self.generator(batch.images, masks).float(), batch)
        weights = hole_weights(masks, recipe.overlap, recipe.overlap_weight)
        difference = restored - targets
        terms = {
            "l1": (recipe.l1, (weights * difference.abs()).mean(dim=1).sum(dim=(1, 2)).mean()),
            "l2": (recipe.l2, (weights * difference**2).mean(dim=1).sum(dim=(1, 2)).mean()),
        }
        if self.features is not None:
            features = self.features.to(restored.device)
            terms["perceptual"] = (recipe.perceptual, perceptual_distance(features, restored, targets).mean())
        if self.discriminator is not None:
            judged = self._judged(restored, masks)
            terms["adversarial"] = (recipe.adversarial, generator_loss(recipe.adversarial_loss, judged))
        total = torch.stack([weight * term for weight, term in terms.values()]).sum()
        return total, {name: term for name, (weight, term) in terms.items() if weight}

    def _discriminator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        masks, targets = _given(batch)
        with torch.no_grad():
            restored = composite(self.generator(batch.images, masks).float(), batch)
        real, fake = self._judged(targets, masks), self._judged(restored, masks)
        loss = discriminator_loss(self.recipe.adversarial_loss, real, fake)
        return loss, {"real": real.mean(), "fake": fake.mean()}

    def _judged(self, images: Tensor, masks: Tensor) -> Tensor:
        assert self.discriminator is not None
        scaled = 2 * images - 1
        return self.discriminator(torch.cat([scaled, masks], dim=1) if self.judges_masks else scaled)


def _given(batch: Batch) -> tuple[Tensor, Tensor]:
    """Return where the holes are and what was there."""
    if batch.masks is None or batch.targets is None:
        way_out = "name holes, scratches, dust or text without chance= at least once"
        raise UsageError("recipe.degradation", "left a batch without holes", way_out)
    return batch.masks, batch.targets


def hole_weights(masks: Tensor, overlap: int = 0, overlap_weight: float = 1.0) -> Tensor:
    """Return what each pixel's difference counts: every picture as much as any other, however small its holes.

    Parameters
    ----------
    masks : Tensor
        ``(N, 1, H, W)`` in {0, 1}; 1 marks holes.
    overlap : int
        Width in pixels of the band inside each hole along its edge.
    overlap_weight : float
        How many times a pixel of the band counts.

    Returns
    -------
    Tensor
        ``(N, 1, H, W)``: 1 / (pixels of the picture's holes), times ``overlap_weight`` in the band; 0 outside holes.
    """
    inner = masks if overlap == 0 else -F.max_pool2d(-masks, 2 * overlap + 1, 1, overlap)
    weights = masks * overlap_weight - inner * (overlap_weight - 1)
    return weights / masks.sum(dim=(2, 3), keepdim=True).clamp_min(1)
