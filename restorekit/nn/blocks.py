"""Convolutional blocks of restoration networks."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["RRDB", "DenseBlock", "ResidualBlock", "Upsampler", "scaled_init"]


def scaled_init(module: nn.Module, gain: float = 1.0) -> None:
    """Initialise convolutions as He et al. (2015) do for ReLU, times ``gain``; biases 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            with torch.no_grad():
                layer.weight.mul_(gain)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


class ResidualBlock(nn.Module):
    """Convolution, ReLU, convolution, added to the input; no normalisation (Lim et al. 2017, EDSR).

    Parameters
    ----------
    features : int
        Channels.
    bias : bool
        Whether convolutions have a bias; without one the block commutes with scaling.
    """

    def __init__(self, features: int, bias: bool = True):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1, bias=bias)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=bias)
        scaled_init(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, features, H, W)`` to the same shape."""
        return x + self.conv2(F.relu(self.conv1(x)))


class DenseBlock(nn.Module):
    """Five convolutions, each seeing all before it (Wang et al. 2018, ESRGAN).

    Parameters
    ----------
    features, growth : int
        Channels in and out, and of each inner convolution.
    """

    def __init__(self, features: int, growth: int):
        super().__init__()
        for number in range(1, 6):
            outputs = growth if number < 5 else features
            self.add_module(f"conv{number}", nn.Conv2d(features + (number - 1) * growth, outputs, 3, padding=1))
        scaled_init(self, 0.1)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, features, H, W)`` to the same shape."""
        seen = x
        for number in range(1, 5):
            new = F.leaky_relu(self.get_submodule(f"conv{number}")(seen), 0.2)
            seen = torch.cat([seen, new], dim=1)
        return x + 0.2 * self.get_submodule("conv5")(seen)


class RRDB(nn.Module):
    """Three dense blocks within a residual (Wang et al. 2018, ESRGAN)."""

    def __init__(self, features: int, growth: int):
        super().__init__()
        self.rdb1 = DenseBlock(features, growth)
        self.rdb2 = DenseBlock(features, growth)
        self.rdb3 = DenseBlock(features, growth)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, features, H, W)`` to the same shape."""
        return x + 0.2 * self.rdb3(self.rdb2(self.rdb1(x)))


class Upsampler(nn.Sequential):
    """Sub-pixel convolutions that enlarge by 2, 3 or 4 (Shi et al. 2016)."""

    def __init__(self, features: int, scale: int):
        layers: list[nn.Module] = []
        for factor in {2: [2], 3: [3], 4: [2, 2]}[scale]:
            layers += [nn.Conv2d(features, features * factor**2, 3, padding=1), nn.PixelShuffle(factor)]
        super().__init__(*layers)
