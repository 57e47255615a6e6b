"""The networks: encoders and decoders that fill holes, and the discriminators that judge what they fill."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.adversarial import spectrally_normalised
from restorekit.nn.blocks import scaled_init
from restorekit_context_encoder.config import Network

__all__ = ["Corrector", "GatedConv", "PatchDiscriminator", "Pathak", "PathakDiscriminator"]

#: Side of the pictures that Pathak's networks see.
SIDE = 128


class GatedConv(nn.Module):
    """A convolution whose output a second one switches on and off at each pixel: it learns what is to be trusted.

    The gate is a 1 x 1 convolution, an eighth of the usual cost (Yi et al. 2020, "Contextual residual aggregation",
    after Yu et al. 2019, "Free-form image inpainting with gated convolution").

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    stride, dilation : int
        Of the 3 x 3 convolution.
    activate : bool
        ELU before the gate.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1, activate: bool = True):
        super().__init__()
        self.feature = nn.Conv2d(inputs, outputs, 3, stride, padding=dilation, dilation=dilation)
        self.gate = nn.Conv2d(inputs, outputs, 1, stride)
        self.activate = activate
        # Twice as much, since the gates begin half open: without it ten layers would leave a millionth of the signal.
        scaled_init(self.feature, 2.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        feature = self.feature(x)
        return (F.elu(feature) if self.activate else feature) * torch.sigmoid(self.gate(x))


class GatedBlock(nn.Module):
    """Two gated convolutions, the first dilated, added to the input."""

    def __init__(self, features: int, dilation: int):
        super().__init__()
        self.first = GatedConv(features, features, dilation=dilation)
        self.second = GatedConv(features, features, activate=False)
        scaled_init(self.second.feature, 0.2)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, features, H, W)`` to the same shape."""
        return x + self.second(self.first(x))


class Corrector(nn.Module):
    """Predicts what a smooth filling lacks.

    U-shaped at a half, a quarter and an eighth of the size; nothing is computed at full size, since what a hole hides
    at that scale cannot be known. No normalisation, so that tiles agree with the whole picture.

    Parameters
    ----------
    config : Network
        ``width`` and ``dilations``.
    """

    def __init__(self, config: Network):
        super().__init__()
        half, quarter, eighth = config.width, 2 * config.width, 4 * config.width
        self.enter = GatedConv(4 * 4, half)
        self.at_half = GatedConv(half, half)
        self.down1 = GatedConv(half, quarter, stride=2)
        self.at_quarter = GatedConv(quarter, quarter)
        self.down2 = GatedConv(quarter, eighth, stride=2)
        self.middle = nn.Sequential(*(GatedBlock(eighth, dilation) for dilation in config.dilations))
        self.up2 = nn.Conv2d(eighth, 4 * quarter, 1)
        self.join2 = GatedConv(2 * quarter, quarter)
        self.up1 = nn.Conv2d(quarter, 4 * half, 1)
        self.join1 = GatedConv(2 * half, half)
        self.leave = nn.Conv2d(half, 4 * 3, 3, padding=1)
        for shuffled in (self.up1, self.up2):
            scaled_init(shuffled, 0.5**0.5)
        # It begins as the smooth filling itself.
        nn.init.zeros_(self.leave.weight)
        nn.init.zeros_(self.leave.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, filled: Tensor, masks: Tensor) -> Tensor:
        """Return the correction.

        Parameters
        ----------
        filled : Tensor
            ``(N, 3, H, W)`` in [0, 1], filled smoothly; both sides are multiples of 8.
        masks : Tensor
            ``(N, 1, H, W)``; 1 marks what was filled.

        Returns
        -------
        Tensor
            ``(N, 3, H, W)``.
        """
        half = self.at_half(self.enter(F.pixel_unshuffle(torch.cat([2 * filled - 1, masks], dim=1), 2)))
        quarter = self.at_quarter(self.down1(half))
        x = self.middle(self.down2(quarter))
        x = self.join2(torch.cat([F.pixel_shuffle(self.up2(x), 2), quarter], dim=1))
        x = self.join1(torch.cat([F.pixel_shuffle(self.up1(x), 2), half], dim=1))
        return F.pixel_shuffle(self.leave(x), 2)


class ChannelwiseLinear(nn.Module):
    """Connects every pixel of a channel with every other one of the same channel (Pathak et al. 2016, section 3.1).

    Parameters
    ----------
    channels, pixels : int
        Channels, and pixels of each.
    """

    def __init__(self, channels: int, pixels: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(channels, pixels, pixels) / pixels**0.5)
        self.bias = nn.Parameter(torch.zeros(channels, pixels))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, channels, H, W)`` with H * W = pixels to the same shape."""
        return (torch.einsum("ncp,cpq->ncq", x.flatten(2), self.weight) + self.bias).view_as(x)


class Pathak(nn.Sequential):
    """The context encoder of Pathak et al. 2016, "Context encoders: feature learning by inpainting".

    A DCGAN-like encoder from 128 x 128 to 4 x 4 pixels, a bottleneck, and its mirror; as in the authors' code for
    holes anywhere, it paints the whole picture. Values are in [-1, 1].

    Parameters
    ----------
    config : Network
        ``width`` (64 in the paper) and ``bottleneck`` (4000).
    """

    def __init__(self, config: Network):
        width, top = config.width, 8 * config.width
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in ((width, width), (width, 2 * width), (2 * width, 4 * width), (4 * width, top)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2)]
        if config.bottleneck:
            layers += [nn.Conv2d(top, config.bottleneck, 4, bias=False), nn.BatchNorm2d(config.bottleneck)]
            layers += [nn.LeakyReLU(0.2), nn.ConvTranspose2d(config.bottleneck, top, 4, bias=False)]
        else:
            layers += [ChannelwiseLinear(top, 16), nn.Conv2d(top, top, 1, bias=False)]
        layers += [nn.BatchNorm2d(top), nn.ReLU()]
        for inputs, outputs in ((top, 4 * width), (4 * width, 2 * width), (2 * width, width), (width, width)):
            layers += [nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
        super().__init__(*layers, nn.ConvTranspose2d(width, 3, 4, 2, 1), nn.Tanh())
        self.apply(_dcgan_init)


class PathakDiscriminator(nn.Sequential):
    """Judges whole pictures of 128 x 128 pixels in [-1, 1]: ``(N, 1, 1, 1)`` logits, positive for real ones."""

    def __init__(self, width: int):
        layers: list[nn.Module] = [nn.Conv2d(3, width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for inputs, outputs in ((1, 1), (1, 2), (2, 4), (4, 8)):
            layers += [nn.Conv2d(inputs * width, outputs * width, 4, 2, 1, bias=False)]
            layers += [nn.BatchNorm2d(outputs * width), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4))
        self.apply(_dcgan_init)


class PatchDiscriminator(nn.Sequential):
    """Judges each patch of a picture, given its mask (Yu et al. 2019, SN-PatchGAN).

    Maps ``(N, 4, H, W)``, the picture in [-1, 1] and its mask, to logits of ``(N, 1, H / 8, W / 8)``. Spectral
    normalisation keeps it Lipschitz (Miyato et al. 2018).
    """

    def __init__(self, width: int):
        layers: list[nn.Module] = []
        for inputs, outputs in ((4, width), (width, 2 * width), (2 * width, 4 * width)):
            layers += [nn.Conv2d(inputs, outputs, 4, 2, 1), nn.LeakyReLU(0.2)]
        layers += [nn.Conv2d(4 * width, 4 * width, 3, 1, 1), nn.LeakyReLU(0.2)]
        super().__init__(*layers, nn.Conv2d(4 * width, 1, 3, 1, 1))
        spectrally_normalised(self)


def _dcgan_init(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
