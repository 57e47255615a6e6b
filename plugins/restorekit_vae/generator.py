"""The VAE: pictures to latents and back, and how probable it finds pictures."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.blending import poisson_blend
from restorekit.nn.chance import normals, uniforms
from restorekit.plugin import Batch, Geometry, UsageError
from restorekit_vae.config import Settings, VAEConfig
from restorekit_vae.flow import Flow
from restorekit_vae.mixture import Mixture
from restorekit_vae.networks import build_decoder, build_encoder

__all__ = ["VAE"]

#: Independent uses of a sample's seed; the ones from `_IMPORTANCE` on are IWAE's samples.
_PRIOR, _MIXTURE, _POSTERIOR, _DATA, _IMPORTANCE = 0, 1, 4, 5, 16
#: Natural logarithms of a posterior's variance stay within this of 0: beyond it float32 has no use for them.
_LARGEST_LOG_VARIANCE = 15.0
#: What ``VAEConfig.data`` makes of a picture, for the protocol of the bounds.
_VALUES = {
    "real": "as they are",
    "threshold": "binarised at 0.5",
    "sampled": "binarised at random with the grey value",
    "dequantised": "8 bits, dequantised with uniform noise",
}


class VAE(nn.Module):
    """A variational autoencoder (Kingma and Welling 2014).

    Parameters
    ----------
    config : VAEConfig
        What network, and what it takes pictures for.
    """

    spread: Tensor

    def __init__(self, config: VAEConfig):
        super().__init__()
        self.config = config
        self.geometry = Geometry(size=(config.size, config.size))
        self.encoder = build_encoder(config)
        self.decoder = build_decoder(config)
        self.flow = Flow(config.latent, config.flow_layers, config.flow_width) if config.prior == "flow" else None
        self.mixture = Mixture(config.components, config.latent) if config.components else None
        self.log_sigma = nn.Parameter(torch.tensor(math.log(config.sigma)), requires_grad=config.learned_sigma)
        #: Standard deviation of the posteriors' means in each dimension, of the data: 0 where a latent is not used.
        self.register_buffer("spread", torch.ones(config.latent))

    def observed(self, batch: Batch) -> Tensor:
        """Return the values that the likelihood is of: ``(N, channels, H, W)`` in [0, 1], see ``VAEConfig.data``."""
        values = self._channels(batch.images.float())
        if self.config.data == "threshold":
            return (values >= 0.5).float()
        if self.config.data == "real":
            return values
        draws = uniforms(_seeds(batch), values[0].numel(), _DATA).to(values.device).view(values.shape)
        return (draws < values).float() if self.config.data == "sampled" else ((255 * values + draws) / 256).float()

    def encode(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``(N, latent)`` means and log-variances of the posteriors of ``(N, channels, H, W)`` in [0, 1]."""
        mean, log_variance = self.encoder(values * 2 - 1).float().chunk(2, dim=1)
        return mean, _LARGEST_LOG_VARIANCE * torch.tanh(log_variance / _LARGEST_LOG_VARIANCE)

    def log_likelihood(self, values: Tensor, latents: Tensor) -> Tensor:
        """Return ``(N,)`` nats: the log-probability (of a Gaussian, log-density) of pictures, given their latents."""
        raw = self.decoder(latents).float()
        if self.config.likelihood == "bernoulli":
            return -F.binary_cross_entropy_with_logits(raw, values, reduction="none").flatten(1).sum(dim=1)
        deviation = (values - torch.sigmoid(raw)) * torch.exp(-self.log_sigma)
        return (-deviation.square() / 2 - self.log_sigma - math.log(2 * math.pi) / 2).flatten(1).sum(dim=1)

    def bound(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return the two parts of the evidence lower bound, in nats.

        Returns
        -------
        likelihood : Tensor
            ``(N,)`` at one posterior sample a picture, drawn from its seed.
        divergence : Tensor
            ``(N, latent)`` of the posterior from the prior, which the bound subtracts; of a flow at that sample alone.
        """
        values = self.observed(batch)
        mean, log_variance = self.encode(values)
        noise = normals(_seeds(batch), self.config.latent, _POSTERIOR).to(mean)
        latents = mean + torch.exp(log_variance / 2) * noise
        likelihood = self.log_likelihood(values, latents)
        if self.flow is not None:
            return likelihood, -self._log_ratio(latents, noise, log_variance)
        return likelihood, (mean.square() + log_variance.exp() - 1 - log_variance) / 2

    def log_weights(self, batch: Batch, samples: int) -> tuple[Tensor, Tensor]:
        """Return what importance weights are made of: their logarithm is the sum of both, in nats.

        Parameters
        ----------
        batch : Batch
            With seeds.
        samples : int
            Posterior samples a picture, computed at once.

        Returns
        -------
        likelihood : Tensor
            ``(samples, N)`` of pictures, given posterior samples.
        ratio : Tensor
            ``(samples, N)``: logarithm of the prior's density there over the posterior's.
        """
        values = self.observed(batch)
        mean, log_variance = (part.repeat(samples, 1) for part in self.encode(values))
        streams = range(_IMPORTANCE, _IMPORTANCE + samples)
        noise = torch.cat([normals(_seeds(batch), self.config.latent, stream) for stream in streams]).to(mean)
        latents = mean + torch.exp(log_variance / 2) * noise
        likelihood = self.log_likelihood(values.repeat(samples, 1, 1, 1), latents)
        ratio = self._log_ratio(latents, noise, log_variance).sum(dim=1)
        return likelihood.view(samples, -1), ratio.view(samples, -1)

    def _log_ratio(self, latents: Tensor, noise: Tensor, log_variance: Tensor) -> Tensor:
        """Return ``(N, latent)``: how much denser the prior is at posterior samples than the posterior, in nats."""
        normal, log_scales = (latents, 0.0) if self.flow is None else self.flow(latents)
        # Both densities lack the same constant.
        return (noise.square() + log_variance - normal.square()) / 2 + log_scales

    @torch.no_grad()
    def elbo(self, batch: Batch) -> Tensor:
        """Return ``(N,)`` evidence lower bounds in nats, at beta 1, of the values as ``VAEConfig.data`` makes them."""
        likelihood, divergence = self.bound(batch)
        return likelihood - divergence.sum(dim=1)

    @torch.no_grad()
    def iwae(self, batch: Batch, samples: int = 100) -> Tensor:
        """Return ``(N,)`` importance-weighted bounds in nats, tighter with more samples (Burda et al. 2016).

        Parameters
        ----------
        batch : Batch
            With seeds.
        samples : int
            Posterior samples a picture.
        """
        values = self.observed(batch)
        mean, log_variance = self.encode(values)
        weights = []
        for sample in range(samples):
            noise = normals(_seeds(batch), self.config.latent, _IMPORTANCE + sample).to(mean)
            latents = mean + torch.exp(log_variance / 2) * noise
            ratio = self._log_ratio(latents, noise, log_variance).sum(dim=1)
            weights.append(self.log_likelihood(values, latents) + ratio)
        return torch.logsumexp(torch.stack(weights), dim=0) - math.log(samples)

    def metrics(self, settings: Mapping[str, object]) -> Mapping[str, Callable[[Batch], Tensor]]:
        """Return the bounds by name, each ``(N,)``: nats a picture, and of dequantised values also bits a number."""
        samples = Settings(**settings).importance_samples  # pyright: ignore[reportArgumentType]
        bounds = {"elbo": self.elbo, f"iwae{samples}": partial(self.iwae, samples=samples)}
        return {**bounds, "bits_per_dim": self.bits_per_dim} if self.config.data == "dequantised" else bounds

    def bits_per_dim(self, batch: Batch) -> Tensor:
        """Return ``(N,)`` bits that each 8-bit number costs at most, by the evidence lower bound."""
        numbers = self.config.channels * self.config.size**2
        # A level is 1/256 wide: that much of the density's logarithm is the unit's.
        return 8 - self.elbo(batch) / (numbers * math.log(2))

    def metrics_protocol(self) -> Mapping[str, str | int | float | bool | None]:
        """Say what is taken for a picture, and how: without it bounds cannot be compared."""
        density = self.config.likelihood == "gaussian"
        numbers = "; bits_per_dim in bits a number" if self.config.data == "dequantised" else ""
        return {
            "unit": f"nats a picture{numbers}",
            "beta": 1.0,
            "likelihood": self.config.likelihood,
            "values": f"{_VALUES[self.config.data]}, {self.config.size}x{self.config.size}x{self.config.channels}",
            "quantity": "log-density of values in [0, 1]" if density else "log-probability",
        }

    def features(self, batch: Batch) -> Tensor:
        """Return ``(N, latent)``: the means of the pictures' posteriors."""
        return self.encode(self.observed(batch))[0]

    def latent_distributions(self) -> Mapping[str, Callable[[Tensor], Tensor]]:
        """Return what `latents` can draw from: the mixture where there is one, and the prior."""
        return {"prior": self.prior} if self.mixture is None else {"mixture": self.latents, "prior": self.prior}

    def latents(self, seeds: Tensor) -> Tensor:
        """Return ``(N, latent)``: from the mixture where there is one (the prior, until it is fitted)."""
        return self.prior(seeds) if self.mixture is None else self.mixture.sample(seeds, _MIXTURE)

    def prior(self, seeds: Tensor) -> Tensor:
        """Return ``(N, latent)`` standard normal numbers, each row a function of its own seed."""
        return normals(seeds, self.config.latent, _PRIOR)

    def directions(self) -> Sequence[int]:
        """Return the latent dimensions, those that tell pictures apart the most first."""
        return self.spread.argsort(descending=True, stable=True).tolist()

    def decode(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return ``(N, 3, size, size)`` in [0, 1]: the likelihood's mean; of one channel, three equal ones.

        Latents are as the prior draws them: standard normal, also where a flow leads from there to the decoder.
        """
        return self._decoded(latents if self.flow is None else self.flow.inverse(latents))

    def reconstructed(self, values: Tensor) -> Tensor:
        """Return ``(N, 3, size, size)`` in [0, 1]: `observed` values, told by the means of their posteriors."""
        return self._decoded(self.encode(values)[0])

    def restore(self, batch: Batch) -> Tensor:
        """Reconstruct pictures, or complete them where there are masks.

        What is known is put back after each round, so that the holes come to agree with it (after Rezende et al. 2014,
        with means in place of samples).

        Parameters
        ----------
        batch : Batch
            Of the network's size.

        Returns
        -------
        Tensor
            ``(N, 3, size, size)`` in [0, 1].
        """
        settings = Settings(**batch.settings)  # pyright: ignore[reportArgumentType]
        if batch.masks is None or not batch.masks.any():
            return self.reconstructed(self._channels(batch.images.float()))
        images, holes = batch.images.float(), batch.masks > 0.5
        filled = _mean_of_known(images, holes).expand_as(images)
        for _ in range(settings.rounds):
            filled = self.reconstructed(self._channels(torch.where(holes, filled, images)))
        return poisson_blend(filled, images, holes.float()) if settings.blend else torch.where(holes, filled, images)

    @torch.no_grad()
    def fit_mixture(self, batches: Iterable[Batch]) -> None:
        """Fit the mixture that `latents` draws from to the posteriors of pictures.

        Samples from it are nearer to the data than the prior's are (Ghosh et al. 2020, "From variational to
        deterministic autoencoders").

        Parameters
        ----------
        batches : iterable of Batch
            Of training pictures, with seeds; as many as fit into memory as latents.
        """
        pairs = [self._in_prior(batch) for batch in batches]
        means, variances = (torch.cat(parts) for parts in zip(*pairs, strict=True))
        self.spread.copy_(means.std(dim=0, correction=0))
        if self.mixture is not None:
            self.mixture.fit(means, variances)

    def _in_prior(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return ``(N, latent)`` means and variances of posteriors where the prior is standard normal."""
        mean, log_variance = self.encode(self.observed(batch))
        if self.flow is None:
            return mean, log_variance.exp()
        # Behind a flow one sample tells the variance, which is averaged over many pictures.
        noise = normals(_seeds(batch), self.config.latent, _POSTERIOR).to(mean)
        centre, drawn = self.flow(mean)[0], self.flow(mean + torch.exp(log_variance / 2) * noise)[0]
        return centre, (drawn - centre).square()

    def _decoded(self, latents: Tensor) -> Tensor:
        return torch.sigmoid(self.decoder(latents).float()).expand(-1, 3, -1, -1)

    def _channels(self, images: Tensor) -> Tensor:
        return images if self.config.channels == 3 else images.mean(dim=1, keepdim=True)


def _mean_of_known(images: Tensor, holes: Tensor) -> Tensor:
    known = (~holes).float()
    count = known.sum(dim=(2, 3), keepdim=True)
    mean = (images * known).sum(dim=(2, 3), keepdim=True) / count.clamp_min(1)
    return torch.where(count > 0, mean, 0.5)


def _seeds(batch: Batch) -> Tensor:
    if batch.seeds is None:
        raise UsageError("vae", "needs a seed for each picture, and there is none", "give Batch.seeds")
    return batch.seeds
