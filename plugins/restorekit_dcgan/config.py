"""The settings of the networks, of restoring with them, and of their training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

__all__ = ["Augmentation", "DCGANConfig", "Recipe", "Settings"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)

#: The differentiable augmentations.
Augmentation = Literal["colour", "translation", "cutout"]
_Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, config=_STRICT)
class DCGANConfig:
    """A generator of pictures of one size.

    Parameters
    ----------
    architecture : {"modern", "dcgan", "mlp"}
        Bilinear upsampling and residual blocks without normalisation; transposed convolutions with batch
        normalisation (Radford et al. 2015); or perceptrons (Goodfellow et al. 2014).
    size : {28, 32, 64, 128}
        Side of the pictures in pixels.
    channels : {1, 3}
        Of the network's own pictures; 1 makes grey ones.
    latent : int
        Numbers that a picture is made from.
    width : int
        Channels: of every stage (modern), of the last hidden stage (dcgan, doubling towards the start up to 8
        times), or a quarter of the hidden units (mlp).
    classes : int
        Classes it is conditioned on; 0 for none.
    class_names : tuple of str
        What they are called, in order, for those who ask for pictures of one; none by default.
    attention : bool
        Self-attention between the stages at 16 (of 28: 14) pixels, in the discriminator too (Zhang et al. 2019).
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"width": 32, "latent": 32}

    architecture: Literal["modern", "dcgan", "mlp"] = "modern"
    size: Literal[28, 32, 64, 128] = 32
    channels: Literal[1, 3] = 3
    latent: Annotated[int, Field(ge=1, le=4096)] = 128
    width: Annotated[int, Field(ge=4, le=2048)] = 256
    classes: Annotated[int, Field(ge=0, le=100_000)] = 0
    class_names: tuple[str, ...] = ()
    attention: bool = False

    @model_validator(mode="after")
    def _perceptrons_see_no_places(self) -> DCGANConfig:
        if self.attention and self.architecture == "mlp":
            raise ValueError("attention is between places of a picture, which perceptrons (mlp) do not have")
        return self

    @model_validator(mode="after")
    def _every_class_has_its_name(self) -> DCGANConfig:
        if self.class_names and len(set(self.class_names)) != self.classes:
            raise ValueError(f"class_names has {len(set(self.class_names))} different names for {self.classes} classes")
        return self


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """How latents are searched for.

    Parameters
    ----------
    steps : int
        Of gradient descent (Adam).
    restarts : int
        Starting points that are followed; the best result is taken.
    candidates : int
        Random latents that the starting points are chosen from.
    truncation : float
        Largest length of a latent, in units of the typical one.
    learning_rate : float
        Of Adam; it falls to 0 by a cosine.
    prior : float
        Weight of the latents' mean square beside the mean absolute difference of the known pixels.
    """

    #: For ``restorekit plugins check``.
    smoke: ClassVar[dict[str, object]] = {"steps": 2, "restarts": 1, "candidates": 2}

    steps: Annotated[int, Field(ge=1, le=100_000)] = 200
    restarts: Annotated[int, Field(ge=1, le=64)] = 4
    candidates: Annotated[int, Field(ge=1, le=65_536)] = 128
    truncation: Annotated[float, Field(gt=0, le=10)] = 1.0
    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.1
    prior: _Weight = 0.002


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a GAN is taught. Losses and penalties are in terms of pictures in [-1, 1].

    Parameters
    ----------
    loss : {"relativistic", "non-saturating", "minimax", "lsgan", "hinge", "wasserstein", "relativistic-average"}
        See `restorekit.nn.adversarial`.
    r1, r2 : float
        Weights (gamma) of the squared gradients at real and at generated pictures; 0 for none.
    penalty_steps : int
        Steps over which both weights fall to a tenth, by a cosine; 0 keeps them.
    gradient_penalty : float
        Weight of WGAN-GP's penalty; 10 in the paper, 0 for none.
    critic_steps : int
        Updates of the discriminator for each of the generator.
    learning_rate, discriminator_learning_rate : float
        Of Adam, at their highest; the discriminator's is the generator's where none is given.
    betas : tuple of float
        Adam's.
    ema_decay : float
        Of the generator's moving average, a step; 0 for none.
    discriminator_width : int
        As the network's ``width``.
    discriminator_norm : {"none", "batch", "layer"}
        Normalisation in the discriminator (dcgan alone).
    spectral_norm : bool
        Of the discriminator's weights.
    augment : tuple of {"colour", "translation", "cutout"}
        What the discriminator sees is changed by, real and generated alike (Zhao et al. 2020, DiffAugment).
    features : str or None
        File with SqueezeNet 1.1, on whose features a second discriminator learns (Sauer et al. 2021): the generator
        learns to draw things with far fewer pictures. The penalties concern the first discriminator alone.
    feature_size : int
        Side in pixels that pictures are enlarged to for it.
    feature_width : int
        Channels of the second discriminator.
    optimizer, discriminator_optimizer : {"adam", "muon"}
        See `restorekit.plugin.Phase`.
    """

    #: For ``restorekit plugins check``.
    smoke: ClassVar[dict[str, object]] = {"discriminator_width": 16}

    loss: Literal[
        "relativistic", "non-saturating", "minimax", "lsgan", "hinge", "wasserstein", "relativistic-average"
    ] = "relativistic"
    r1: _Weight = 0.05
    r2: _Weight = 0.05
    penalty_steps: Annotated[int, Field(ge=0)] = 0
    gradient_penalty: _Weight = 0.0
    critic_steps: Annotated[int, Field(ge=1, le=100)] = 1
    learning_rate: Annotated[float, Field(gt=0)] = 2e-4
    discriminator_learning_rate: Annotated[float, Field(gt=0)] | None = None
    betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.0, 0.99)
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    discriminator_width: Annotated[int, Field(ge=4, le=2048)] = 128
    discriminator_norm: Literal["none", "batch", "layer"] = "none"
    spectral_norm: bool = False
    augment: tuple[Augmentation, ...] = ()
    features: str | None = None
    feature_size: Annotated[int, Field(ge=32, le=512)] = 64
    feature_width: Annotated[int, Field(ge=4, le=2048)] = 64
    optimizer: Literal["adam", "muon"] = "adam"
    discriminator_optimizer: Literal["adam", "muon"] = "adam"

    @model_validator(mode="after")
    def _penalties_are_of_single_samples(self) -> Recipe:
        if self.discriminator_norm == "batch" and (self.r1 or self.r2 or self.gradient_penalty):
            raise ValueError(
                "batch normalisation makes every score depend on the whole batch, so r1, r2 and gradient_penalty mean "
                "nothing; set them to 0, or discriminator_norm=layer"
            )
        return self
