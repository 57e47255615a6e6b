"""Teaches a GAN: a discriminator tells made pictures from real ones, and the generator learns to deceive it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from restorekit.nn.adversarial import discriminator_loss, generator_loss
from restorekit.nn.chance import normals, uniforms
from restorekit.nn.features import SqueezeNet
from restorekit.nn.penalties import gradient_penalty, zero_centred_penalty
from restorekit.nn.progress import Progress
from restorekit.plugin import Batch, Phase, Update, UsageError
from restorekit_dcgan.augment import augmented
from restorekit_dcgan.config import Recipe
from restorekit_dcgan.generator import DCGAN
from restorekit_dcgan.networks import build_discriminator
from restorekit_dcgan.perceiving import Heads, Perceiver

__all__ = ["Training"]

#: Independent uses of a sample's seed; 0 is sampling's.
_DISCRIMINATOR, _GENERATOR, _BETWEEN, _AUGMENT = 1, 2, 3, 4
#: Batches whose labels are looked at: doing so waits for the device.
_LOOKED_AT = 50
#: What the penalties' weights fall to.
_LAST_PENALTY = 0.1


class Training:
    """Two phases, the discriminator's and the generator's.

    Parameters
    ----------
    generator : DCGAN
        Is taught.
    recipe : Recipe
        How.
    """

    capturable = True

    def __init__(self, generator: DCGAN, recipe: Recipe):
        self.generator = generator
        self.recipe = recipe
        self.discriminator = build_discriminator(generator.config, recipe)
        self.perceiver: Perceiver | None = None
        if recipe.features:
            heads = Heads(recipe.feature_width, generator.config.classes)
            self.perceiver = Perceiver(SqueezeNet.load(recipe.features), heads, recipe.feature_size)
        self.progress = Progress()
        self._looked_at = 0

    @property
    def batches_per_step(self) -> int:
        """One for both phases, or one for each update of the critic and of the generator."""
        steps = self.recipe.critic_steps
        return steps + 1 if steps > 1 else 1

    @property
    def uses_labels(self) -> bool:
        """Whether classes are learned."""
        return self.generator.config.classes > 0

    def networks(self) -> Mapping[str, nn.Module]:
        """Return both networks, a second discriminator where there is one, and the count of steps."""
        networks = {"generator": self.generator, "discriminator": self.discriminator, "progress": self.progress}
        return networks if self.perceiver is None else {**networks, "heads": self.perceiver.heads}

    def phases(self) -> Mapping[str, Phase]:
        """Return both phases."""
        recipe = self.recipe
        return {
            "discriminator": Phase(
                networks=("discriminator",) if self.perceiver is None else ("discriminator", "heads"),
                learning_rate=recipe.discriminator_learning_rate or recipe.learning_rate,
                betas=recipe.betas,
                optimizer=recipe.discriminator_optimizer,
            ),
            "generator": Phase(
                networks=("generator",),
                learning_rate=recipe.learning_rate,
                betas=recipe.betas,
                ema_decay=recipe.ema_decay or None,
                optimizer=recipe.optimizer,
            ),
        }

    def training_step(self, batches: Sequence[Batch], update: Update) -> Mapping[str, Tensor]:
        """Update the discriminator once or several times, then the generator once."""
        scalars: dict[str, Tensor] = {}
        for batch in batches[: self.recipe.critic_steps]:
            self._check(batch)
            scalars |= update("discriminator", self.discriminator_loss, batch)
        self._check(batches[-1])
        scalars |= update("generator", self.generator_loss, batches[-1])
        self.progress.advance()
        return scalars

    def discriminator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return what the discriminator minimises, penalties included, and the mean scores."""
        recipe = self.recipe
        real = self.generator.from_pictures(batch.images)
        with torch.no_grad():
            fake = self.generator(self._latents(batch, _DISCRIMINATOR), batch.labels).float()
        real.requires_grad_(recipe.r1 > 0)
        fake.requires_grad_(recipe.r2 > 0)
        real_scores = self._scores(real, batch, _DISCRIMINATOR)
        fake_scores = self._scores(fake, batch, _GENERATOR)
        loss = discriminator_loss(recipe.loss, real_scores, fake_scores)
        scalars = {"score_real": real_scores.mean(), "score_fake": fake_scores.mean()}
        weight = self.progress.fall(recipe.penalty_steps, _LAST_PENALTY)
        for name, gamma, scores, images in (("r1", recipe.r1, real_scores, real), ("r2", recipe.r2, fake_scores, fake)):
            if gamma:
                scalars[name] = zero_centred_penalty(scores, images)
                loss = loss + gamma * weight * scalars[name]
        if recipe.gradient_penalty:
            places = uniforms(_seeds(batch), 1, _BETWEEN)[:, 0].to(real.device)
            scalars["gradient_penalty"] = gradient_penalty(
                lambda images: self._scores(images, batch, _DISCRIMINATOR), real, fake, places
            )
            loss = loss + recipe.gradient_penalty * scalars["gradient_penalty"]
        if self.perceiver is not None:
            known, made = (self._seen(x.detach(), batch, s) for x, s in ((real, _DISCRIMINATOR), (fake, _GENERATOR)))
            scalars["perceived"] = self.perceiver.discriminator_loss(recipe.loss, known, made, self._labels(batch))
            loss = loss + scalars["perceived"]
        return loss, scalars

    def generator_loss(self, batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Return what the generator minimises."""
        recipe, relativistic = self.recipe, self.recipe.loss.startswith("relativistic")
        fake = self.generator(self._latents(batch, _GENERATOR), batch.labels)
        real = self.generator.from_pictures(batch.images)
        real_scores = None
        if relativistic:
            with torch.no_grad():
                real_scores = self._scores(real, batch, _DISCRIMINATOR)
        loss = generator_loss(recipe.loss, self._scores(fake, batch, _GENERATOR), real_scores)
        if self.perceiver is not None:
            known = self._seen(real, batch, _DISCRIMINATOR) if relativistic else None
            made = self._seen(fake, batch, _GENERATOR)
            loss = loss + self.perceiver.generator_loss(recipe.loss, made, known, self._labels(batch))
        return loss, {}

    def preview(self, batch: Batch) -> Tensor:
        """Return samples of the same latents every time, class by class where there are classes."""
        seeds = torch.arange(len(batch.images), device=batch.images.device)
        classes = self.generator.config.classes
        return self.generator.decode(self.generator.latents(seeds), seeds % classes if classes else None)

    def features(self, batch: Batch) -> Tensor:
        """Return ``(N, D)``: what the discriminator sees in pictures."""
        return self.discriminator.features(self.generator.from_pictures(batch.images.float()))

    def _latents(self, batch: Batch, stream: int) -> Tensor:
        return normals(_seeds(batch), self.generator.config.latent, stream).to(batch.images.device)

    def _scores(self, images: Tensor, batch: Batch, stream: int) -> Tensor:
        return self.discriminator(self._seen(images, batch, stream), self._labels(batch))

    def _seen(self, images: Tensor, batch: Batch, stream: int) -> Tensor:
        return augmented(images, _seeds(batch), self.recipe.augment, _AUGMENT + stream)

    def _labels(self, batch: Batch) -> Tensor | None:
        return batch.labels if self.generator.config.classes else None

    def _check(self, batch: Batch) -> None:
        config, (height, width) = self.generator.config, batch.images.shape[2:]
        if (height, width) != (config.size, config.size):
            problem = f"makes pictures of {config.size}x{config.size}, and those to learn from are {width}x{height}"
            raise UsageError("network.size", problem, f"set run.crop={config.size}, or another network.size")
        if config.classes and batch.labels is None:
            raise UsageError("network.classes", "needs labels, which the data does not have", "set network.classes=0")
        if config.classes and batch.labels is not None and self._looked_at < _LOOKED_AT and not _recording():
            self._looked_at += 1
            if (largest := int(batch.labels.max())) >= config.classes:
                problem = f"is {config.classes}, and the data has class {largest}"
                raise UsageError("network.classes", problem, "set as many as the data has")


def _recording() -> bool:
    """Return whether a CUDA graph is being captured, in which nothing can be looked at."""
    return torch.cuda.is_available() and torch.cuda.is_current_stream_capturing()


def _seeds(batch: Batch) -> Tensor:
    if batch.seeds is None:
        raise UsageError("dcgan", "is trained on batches with seeds, and this one has none", "give Batch.seeds")
    return batch.seeds
