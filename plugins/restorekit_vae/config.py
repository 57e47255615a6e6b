"""The settings of the networks, of restoring with them, and of their training."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, model_validator
from pydantic.dataclasses import dataclass

__all__ = ["Recipe", "Settings", "VAEConfig"]

_STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, config=_STRICT)
class VAEConfig:
    """An autoencoder of pictures of one size, and what it takes pictures for.

    Parameters
    ----------
    architecture : {"conv", "mlp", "resnet"}
        Strided convolutions and their mirror; two hidden layers; or residual blocks between few strided convolutions.
    size : {28, 32, 64}
        Side of the pictures in pixels.
    channels : {1, 3}
        1 sees and makes grey pictures.
    latent : int
        Numbers that a picture is told by.
    width : int
        Channels at half the side, doubling up to 4 times; of ``mlp`` an eighth of the hidden units.
    blocks : int
        Residual blocks of ``resnet`` at each size of feature maps, in the encoder and in the decoder.
    likelihood : {"bernoulli", "gaussian"}
        What the decoder's output means: the probability that a value is 1, or the mean of a normal distribution over
        values in [0, 1].
    data : {"real", "threshold", "sampled", "dequantised"}
        Values as they are; 1 from 0.5 on; 1 with the value as probability, drawn anew for each seed; or 8-bit values
        spread evenly over the levels that they stand for, anew for each seed: densities of these bound probabilities
        (Theis et al. 2016).
    sigma : float
        Standard deviation of the normal distribution, in [0, 1] units; where it is learned, at the start.
    learned_sigma : bool
        Learn one standard deviation for all values.
    prior : {"normal", "flow"}
        Latents are standard normal; or become so through an invertible network that is learned with the others, which
        lets them be distributed as the data wants (Chen et al. 2017, "Variational lossy autoencoder").
    flow_layers, flow_width : int
        Coupling layers of ``flow``, and hidden units of the two layers of networks within each.
    components : int
        Normal distributions of the mixture that is fitted to the latents after training, for sampling; 0 samples from
        the prior.
    """

    #: For ``train --smoke``.
    smoke: ClassVar[dict[str, object]] = {"width": 16, "latent": 16}

    architecture: Literal["conv", "mlp", "resnet"] = "conv"
    size: Literal[28, 32, 64] = 32
    channels: Literal[1, 3] = 3
    latent: Annotated[int, Field(ge=1, le=1024)] = 128
    width: Annotated[int, Field(ge=4, le=1024)] = 64
    blocks: Annotated[int, Field(ge=1, le=16)] = 2
    likelihood: Literal["bernoulli", "gaussian"] = "gaussian"
    data: Literal["real", "threshold", "sampled", "dequantised"] = "real"
    sigma: Annotated[float, Field(ge=1e-3, le=10)] = 0.1
    learned_sigma: bool = True
    prior: Literal["normal", "flow"] = "normal"
    flow_layers: Annotated[int, Field(ge=1, le=32)] = 6
    flow_width: Annotated[int, Field(ge=1, le=4096)] = 128
    components: Annotated[int, Field(ge=0, le=256)] = 10

    @model_validator(mode="after")
    def _densities_are_of_real_values(self) -> VAEConfig:
        if self.likelihood == "gaussian" and self.data not in ("real", "dequantised"):
            raise ValueError("a gaussian likelihood is of real values; set data=real, or likelihood=bernoulli")
        if self.likelihood == "bernoulli" and self.data == "dequantised":
            raise ValueError("dequantised values have densities; set likelihood=gaussian, or data=sampled")
        return self

    @model_validator(mode="after")
    def _couplings_have_two_sides(self) -> VAEConfig:
        if self.prior == "flow" and self.latent < 2:
            raise ValueError("a flow couples latent numbers to each other; set latent=2 or more, or prior=normal")
        return self


@dataclass(frozen=True, config=_STRICT)
class Settings:
    """How masked pictures are completed, and how the likelihood of pictures is bounded.

    Parameters
    ----------
    rounds : int
        Times that a picture goes through the autoencoder, its known pixels put back each time.
    blend : bool
        Join what was made to the rim of the hole without a seam.
    importance_samples : int
        Posterior samples a picture of the importance-weighted bound that ``restorekit benchmark`` shows.
    """

    rounds: Annotated[int, Field(ge=1, le=10_000)] = 30
    blend: bool = True
    importance_samples: Annotated[int, Field(ge=1, le=100_000)] = 100


@dataclass(frozen=True, config=_STRICT)
class Recipe:
    """How a VAE is taught.

    Parameters
    ----------
    beta : float
        Weight of the divergence from the prior; 1 bounds the likelihood (Higgins et al. 2017).
    warmup : int
        Steps over which the divergence's weight rises from 0 (Bowman et al. 2016).
    free_bits : float
        Nats of divergence a latent dimension has for nothing, in the mean of a batch (Kingma et al. 2016).
    importance_samples : int
        Posterior samples a picture whose importance-weighted bound is raised; 1 raises the evidence lower bound (Burda
        et al. 2016).
    optimizer : {"adam", "muon"}
        Muon for the layers between hidden features: it needs fewer steps.
    learning_rate : float
        On Adam's scale, at its highest.
    ema_decay : float
        Of the moving average that is kept, a step; 0 for none.
    clip_norm : float
        Largest gradient norm, in nats a picture; it only tames outliers.
    mixture_pictures : int
        Training pictures that the mixture is fitted to.
    """

    beta: Annotated[float, Field(ge=0)] = 1.0
    warmup: Annotated[int, Field(ge=0)] = 0
    free_bits: Annotated[float, Field(ge=0)] = 0.0
    importance_samples: Annotated[int, Field(ge=1, le=1000)] = 1
    optimizer: Literal["adam", "muon"] = "adam"
    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    clip_norm: Annotated[float, Field(gt=0)] = 1000.0
    mixture_pictures: Annotated[int, Field(ge=2)] = 10_000

    @model_validator(mode="after")
    def _free_bits_are_of_one_sample(self) -> Recipe:
        if self.free_bits and self.importance_samples > 1:
            raise ValueError("free bits need a divergence of its own; set importance_samples=1, or free_bits=0")
        return self
