"""A second discriminator: scores what a network that knows photographs sees in pictures, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.adversarial import AdversarialLoss, discriminator_loss, generator_loss, spectrally_normalised
from restorekit.nn.features import SqueezeNet

__all__ = ["LAYERS", "Heads", "Perceiver"]

#: SqueezeNet's layers that are judged, one of each size of its feature maps, with their channels and the heads' stride.
LAYERS = {"fire3": (128, 2), "fire5": (256, 1), "fire9": (512, 1)}
_SLOPE = 0.2
#: What the moments of real pictures' features take over at each step.
_SHARE = 0.05
#: Usual length of a place's features. With longer ones the hinge loss's margin of 1 is small: heads are satisfied by
#: tiny differences, and the generator learns patterns that no picture has.
_SCALE = 4.0


class Heads(nn.Module):
    """Scores every place of each layer's features; where there are classes, by projection on the class.

    Parameters
    ----------
    width : int
        Channels of each head.
    classes : int
        0 for none.
    """

    def __init__(self, width: int, classes: int):
        super().__init__()
        self.heads = nn.ModuleDict({name: _Head(*shape, width, classes) for name, shape in LAYERS.items()})

    def forward(self, features: Mapping[str, Tensor], labels: Tensor | None) -> list[Tensor]:
        """Return for each layer ``(N, h, w)`` scores of ``(N, C, h, w)`` features."""
        return [head(features[name], labels) for name, head in self.heads.items()]

    def follow(self, features: Mapping[str, Tensor]) -> None:
        """Learn from real pictures how large each feature usually is."""
        for name, head in self.heads.items():
            assert isinstance(head, _Head)
            head.follow(features[name])


class _Head(nn.Module):
    mean: Tensor
    variance: Tensor

    def __init__(self, channels: int, stride: int, width: int, classes: int):
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("variance", torch.ones(channels))
        self.body = nn.Sequential(
            nn.Conv2d(channels, width, 1),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, width, 3, stride, 1),
            nn.LeakyReLU(_SLOPE),
        )
        self.score = nn.Conv2d(width, 1, 1)
        self.embedding = nn.Embedding(classes, width) if classes else None
        spectrally_normalised(self)

    def forward(self, x: Tensor, labels: Tensor | None) -> Tensor:
        x = self.body(F.batch_norm(x, self.mean, self.variance) * (_SCALE * x.shape[1] ** -0.5))
        scores = self.score(x)[:, 0]
        if self.embedding is None or labels is None:
            return scores
        return scores + torch.einsum("nc,nchw->nhw", self.embedding(labels), x)

    @torch.no_grad()
    def follow(self, x: Tensor) -> None:
        """Move the moments towards a batch's."""
        torch.batch_norm_update_stats(x, self.mean, self.variance, _SHARE)


class Perceiver:
    """A frozen network that sees, and heads on it that learn to tell real pictures from made ones.

    Parameters
    ----------
    network : SqueezeNet
        Sees.
    heads : Heads
        Are taught.
    size : int
        Side in pixels that pictures are enlarged to before they are looked at.

    References
    ----------
    Sauer et al. 2021, "Projected GANs converge faster"; Kumari et al. 2022, "Ensembling off-the-shelf models for GAN
    training".
    """

    def __init__(self, network: SqueezeNet, heads: Heads, size: int):
        self.network, self.heads, self.size = network, heads, size

    def discriminator_loss(self, kind: AdversarialLoss, real: Tensor, fake: Tensor, labels: Tensor | None) -> Tensor:
        """Return what the heads minimise, the mean over the layers; pictures are in [-1, 1], without gradients."""
        with torch.no_grad():
            known, made = self._features(real), self._features(fake)
        self.heads.follow(known)
        pairs = zip(self.heads(known, labels), self.heads(made, labels), strict=True)
        return torch.stack([discriminator_loss(kind, r, f) for r, f in pairs]).mean()

    def generator_loss(self, kind: AdversarialLoss, fake: Tensor, real: Tensor | None, labels: Tensor | None) -> Tensor:
        """Return what the generator minimises: the mean over the layers."""
        made = self.heads(self._features(fake), labels)
        known: Sequence[Tensor | None] = [None] * len(made)
        if real is not None:
            with torch.no_grad():
                known = self.heads(self._features(real), labels)
        return torch.stack([generator_loss(kind, f, r) for f, r in zip(made, known, strict=True)]).mean()

    def _features(self, images: Tensor) -> dict[str, Tensor]:
        images = F.interpolate(images.expand(-1, 3, -1, -1), (self.size, self.size), mode="bilinear")
        network = self.network.to(images.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return network((images.float() + 1) / 2, tuple(LAYERS))
