"""Fits a network to what is known of one picture, and stops before it has learned the damage too."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from restorekit.nn.chance import uniforms
from restorekit.nn.estimate import noise_sigma
from restorekit.plugin import Batch, PictureError
from restorekit_deep_image_prior.config import Network, Settings
from restorekit_deep_image_prior.networks import hourglass

__all__ = ["Fit"]

#: Tells these draws from other uses of the same seed: the input, then one stream for each layer.
_STREAM = 32
#: Largest value of the input noise.
_AMPLITUDE = 0.1
#: Share of the noise at which the fit ends: the averaged output was best a little nearer to the picture than the noise,
#: which is weaker besides where it is clipped to black or white.
_MARGIN = 0.95
#: Steps between looks at how far the fit is; each makes a GPU wait for its work.
_EVERY = 10


class Fit:
    """One picture's fit.

    The smooth parts of a picture are learned long before its noise, which a convolutional network is slow to make. So
    the fit ends as soon as it is about as near to the picture as the picture's noise is said to be (Morozov's
    discrepancy principle), or after the last step.

    Parameters
    ----------
    batch : Batch
        One sample, with its seed.
    config : Network
        What network.
    settings : Settings
        How it is fitted.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky 2018, "Deep image prior": the loss, the perturbed input, the averaged output.
    """

    def __init__(self, batch: Batch, config: Network, settings: Settings):
        self.batch, self.settings = batch, settings
        self.picture = batch.images
        self.known = torch.ones_like(batch.images[:, :1]) if batch.masks is None else (batch.masks < 0.5).float()
        if not self.known.any():
            raise PictureError("mask", "covers the whole picture; nothing to repair from", "mark only what is damaged")
        self.size = (batch.images.shape[2] * config.scale, batch.images.shape[3] * config.scale)
        self.bound = self._bound()
        assert batch.seeds is not None
        self.network = hourglass(config, batch.seeds, _STREAM)
        # At the smallest size there have to be at least two pixels to normalise over.
        cell = 2 ** len(config.widths)
        canvas = [max(2, -(-side // cell)) * cell for side in self.size]
        drawn = uniforms(batch.seeds, config.inputs * canvas[0] * canvas[1], _STREAM).float() * _AMPLITUDE
        self.noise = drawn.view(1, config.inputs, *canvas).to(memory_format=torch.channels_last)

    def run(self) -> Tensor:
        """Fit; return ``(1, 3, scale*H, scale*W)`` in [0, 1]."""
        settings = self.settings
        network = self.network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        optimizer = torch.optim.Adam(network.parameters(), lr=settings.learning_rate)
        perturbations = torch.Generator(self.noise.device).manual_seed(int(self.batch.seeds))  # pyright: ignore
        average: Tensor | None = None
        for step in range(settings.steps):
            with torch.enable_grad():
                shaken = self.noise
                if settings.perturbation:
                    drawn = torch.empty_like(shaken).normal_(generator=perturbations)
                    shaken = shaken + settings.perturbation * drawn
                made = network(shaken)[..., : self.size[0], : self.size[1]]
                loss = self._misfit(made)
                optimizer.zero_grad()
                loss.backward()
            optimizer.step()
            average = made.detach() if average is None else torch.lerp(made.detach(), average, settings.average)
            if step % _EVERY == 0:
                self.batch.progress(step / settings.steps)
                if self.bound and float(self._misfit(average)) <= self.bound:
                    break
        assert average is not None
        return average

    def _misfit(self, made: Tensor) -> Tensor:
        """Return the mean squared difference at the known pixels, at the size of the picture that is known."""
        if made.shape != self.picture.shape:
            size = (self.picture.shape[2], self.picture.shape[3])
            made = F.interpolate(made, size=size, mode="bicubic", antialias=True, align_corners=False)
        return ((made - self.picture).square() * self.known).sum() / (3 * self.known.sum())

    def _bound(self) -> float:
        """Return the mean squared difference at which the fit ends; 0 for none."""
        sigma = self.settings.sigma
        if sigma == "auto":
            # Black counts as clipped: the estimate passes it over.
            seen = (self.picture * self.known)[0].permute(1, 2, 0)
            sigma = noise_sigma(seen.cpu().contiguous().numpy())
        return (_MARGIN * sigma / 255) ** 2
