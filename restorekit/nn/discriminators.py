"""Discriminators that several generators train against."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.adversarial import spectrally_normalised

__all__ = ["PatchGAN", "UNetDiscriminator", "VGGDiscriminator"]


class UNetDiscriminator(nn.Module):
    """Scores every pixel: three halvings and back with skips, spectrally normalised.

    Parameters
    ----------
    features : int
        Channels at the full size.

    References
    ----------
    Schönfeld et al. 2020, "A U-Net based discriminator"; Wang et al. 2021, "Real-ESRGAN".
    """

    def __init__(self, features: int = 64):
        super().__init__()
        widths = [features, 2 * features, 4 * features, 8 * features]
        self.head = nn.Conv2d(3, features, 3, padding=1)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, stride=2, padding=1, bias=False) for a, b in pairs)
        self.up = nn.ModuleList(nn.Conv2d(b, a, 3, padding=1, bias=False) for a, b in reversed(pairs))
        self.tail = nn.Sequential(
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
            nn.Conv2d(features, features, 3, padding=1, bias=False),
            nn.LeakyReLU(0.2),
        )
        spectrally_normalised(self)
        self.score = nn.Conv2d(features, 1, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Map ``(N, 3, H, W)``, sides multiples of 8, to raw scores ``(N, 1, H, W)``."""
        x = F.leaky_relu(self.head(images), 0.2)
        skips = []
        for down in self.down:
            skips.append(x)
            x = F.leaky_relu(down(x), 0.2)
        for up in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
            x = F.leaky_relu(up(x), 0.2) + skips.pop()
        return self.score(self.tail(x))


class PatchGAN(nn.Sequential):
    """Scores overlapping patches of 70 pixels a side: maps ``(N, inputs, H, W)`` to about ``(N, 1, H/8, W/8)``.

    Parameters
    ----------
    inputs : int
        Channels: 3 for pictures, 6 for pictures beside what they were made of.
    features : int
        Channels of the first layer.

    References
    ----------
    Isola et al. 2017, "Image-to-image translation with conditional adversarial networks", with spectral instead of
    batch normalisation, so that a picture's score does not depend on those beside it.
    """

    def __init__(self, inputs: int = 3, features: int = 64):
        widths = [inputs, features, 2 * features, 4 * features, 8 * features]
        layers: list[nn.Module] = []
        for number, (before, after) in enumerate(itertools.pairwise(widths)):
            layers += [nn.Conv2d(before, after, 4, stride=2 if number < 3 else 1, padding=1), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(widths[-1], 1, 4, padding=1))
        spectrally_normalised(self)


class VGGDiscriminator(nn.Sequential):
    """Scores a picture as a whole: strided convolutions to 4 x 4 cells, pooled, then two linear layers.

    Parameters
    ----------
    features : int
        Channels of the first layer.

    References
    ----------
    The shape of Ledig et al. 2017, "SRGAN", with spectral instead of batch normalisation.
    """

    def __init__(self, features: int = 64):
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.LeakyReLU(0.2)]
        width = features
        for stage in range(4):
            wider = features * min(8, 2**stage)
            layers += [nn.Conv2d(width, wider, 3, padding=1), nn.LeakyReLU(0.2)]
            layers += [nn.Conv2d(wider, wider, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
            width = wider
        layers += [nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * width, 100), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Linear(100, 1))
        spectrally_normalised(self)
