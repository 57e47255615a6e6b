"""The hourglass that turns fixed noise into one picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.chance import normals
from restorekit_deep_image_prior.config import Network

__all__ = ["Hourglass", "hourglass"]


class _Conv(nn.Sequential):
    """A convolution with mirrored borders, normalised over the picture, and a leaky ReLU."""

    def __init__(self, inputs: int, outputs: int, size: int, stride: int = 1):
        convolution = nn.Conv2d(inputs, outputs, size, stride, padding=size // 2, padding_mode="reflect")
        # A batch is one picture, so its statistics are that picture's; none are kept.
        norm = nn.BatchNorm2d(outputs, track_running_stats=False)
        super().__init__(convolution, norm, nn.LeakyReLU(0.2, inplace=True))


class _Level(nn.Module):
    """Goes down to half the size and back, beside a narrow connection."""

    def __init__(self, inputs: int, width: int, skip: int, inner: nn.Module, inner_width: int):
        super().__init__()
        self.aside = _Conv(inputs, skip, 1) if skip else None
        self.down = nn.Sequential(_Conv(inputs, width, 3, stride=2), _Conv(width, width, 3))
        self.inner = inner
        self.norm = nn.BatchNorm2d(skip + inner_width, track_running_stats=False)
        self.up = nn.Sequential(_Conv(skip + inner_width, width, 3), _Conv(width, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        deep = F.interpolate(self.inner(self.down(x)), scale_factor=2, mode="bilinear", align_corners=False)
        return self.up(self.norm(deep if self.aside is None else torch.cat([self.aside(x), deep], dim=1)))


class Hourglass(nn.Module):
    """Makes a picture of noise: convolutions down through several sizes and up again.

    Parameters
    ----------
    config : Network
        What network.

    References
    ----------
    Ulyanov, Vedaldi, Lempitsky 2018, "Deep image prior", with widths as in their denoising example.
    """

    def __init__(self, config: Network):
        super().__init__()
        inner: nn.Module = nn.Identity()
        width = config.widths[-1]
        for number in reversed(range(len(config.widths))):
            inputs = config.widths[number - 1] if number else config.inputs
            inner = _Level(inputs, config.widths[number], config.skip, inner, width)
            width = config.widths[number]
        self.levels = inner
        self.colours = nn.Conv2d(width, 3, 1)

    def forward(self, noise: Tensor) -> Tensor:
        """Map ``(1, inputs, H, W)`` to ``(1, 3, H, W)`` in [0, 1]; sides are multiples of 2 to the levels."""
        return torch.sigmoid(self.colours(self.levels(noise)))


def hourglass(config: Network, seed: Tensor, stream: int) -> Hourglass:
    """Return a network whose weights are a function of a seed alone; no global randomness is touched.

    Parameters
    ----------
    config : Network
        What network.
    seed : Tensor
        ``(1,)`` int64, on the device that the network shall be on.
    stream : int
        Tells these draws from others of the same seed.
    """
    with torch.device("meta"):
        network = Hourglass(config)
    network.to_empty(device=seed.device)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.reset_parameters()
            elif isinstance(layer, nn.Conv2d):
                stream += 1
                drawn = normals(seed, layer.weight.numel(), stream).view_as(layer.weight)
                layer.weight.copy_(drawn / math.sqrt(3 * layer.weight[0].numel()))
                if layer.bias is not None:
                    layer.bias.zero_()
    return network
