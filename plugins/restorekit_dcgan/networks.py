"""The networks of the GANs: latents to pictures in [-1, 1], and pictures to scores."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.adversarial import spectrally_normalised
from restorekit_dcgan.config import DCGANConfig, Recipe

__all__ = ["Discriminator", "SelfAttention", "build_discriminator", "build_generator"]

_SLOPE = 0.2
#: Side of the grid that features are pooled to.
_GRID = 4


def build_generator(config: DCGANConfig) -> nn.Module:
    """Return a network from ``(N, latent + classes)`` to ``(N, channels, size, size)``."""
    inputs = config.latent + config.classes
    if config.architecture == "mlp":
        return _perceptron_generator(config, inputs)
    return _transposed(config, inputs) if config.architecture == "dcgan" else _residual_generator(config, inputs)


def build_discriminator(config: DCGANConfig, recipe: Recipe) -> Discriminator:
    """Return the discriminator for a generator's configuration."""
    width = recipe.discriminator_width
    if config.architecture == "mlp":
        body, features, side = _perceptron_body(config, width), 4 * width, 1
    elif config.architecture == "dcgan":
        body, features, side = _strided_body(config, width, recipe.discriminator_norm), *_strided_end(config, width)
    else:
        body, features, side = _residual_body(config, width), 2 * width, _start(config.size)
    discriminator = Discriminator(body, features, side, config.classes)
    if config.architecture == "dcgan":
        _initialise_as_radford(discriminator)
    if recipe.spectral_norm:
        for block in discriminator.modules():
            if isinstance(block, _Residual):
                _initialise_as_he(block.conv2)  # a layer of zeros cannot be divided by its largest singular value
        spectrally_normalised(discriminator)
    return discriminator


class Discriminator(nn.Module):
    """Scores pictures; where there are classes, by projection on the class (Miyato and Koyama 2018).

    Parameters
    ----------
    body : Module
        ``(N, C, H, W)`` to ``(N, features, side, side)``.
    features, side : int
        Of the body's output.
    classes : int
        0 for none.
    """

    def __init__(self, body: nn.Module, features: int, side: int, classes: int):
        super().__init__()
        self.body = body
        self.score = nn.Conv2d(features, 1, side)
        self.embedding = nn.Embedding(classes, features) if classes else None
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """Return ``(N,)`` scores of pictures in [-1, 1]."""
        features = self.body(images)
        scores = self.score(features).flatten()
        if self.embedding is None or labels is None:
            return scores
        return scores + (self.embedding(labels) * features.mean(dim=(2, 3))).sum(dim=1)

    def features(self, images: Tensor) -> Tensor:
        """Return ``(N, D)`` of pictures in [-1, 1]: what every stage sees, the largest in each cell of a 4 x 4 grid.

        References
        ----------
        Radford et al. 2015, section 5.1.
        """
        seen: list[Tensor] = []
        assert isinstance(self.body, nn.Sequential)
        for layer in self.body:
            images = layer(images)
            if isinstance(layer, (nn.LeakyReLU, _Residual)):
                seen.append(F.adaptive_max_pool2d(images, _GRID) if images.ndim == 4 else images)
        return torch.cat([stage.flatten(1).float() for stage in seen], dim=1)


class SelfAttention(nn.Module):
    """Lets every place of a feature map look at every other one, through a gate that starts closed.

    Parameters
    ----------
    features : int
        Channels.

    References
    ----------
    Zhang et al. 2019, "Self-attention generative adversarial networks".
    """

    def __init__(self, features: int):
        super().__init__()
        inner = max(1, features // 8)
        self.query = nn.Conv2d(features, inner, 1, bias=False)
        self.key = nn.Conv2d(features, inner, 1, bias=False)
        self.value = nn.Conv2d(features, max(1, features // 2), 1, bias=False)
        self.out = nn.Conv2d(max(1, features // 2), features, 1, bias=False)
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, features, H, W)`` to the same shape."""
        queries, keys, values = (layer(x).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        # Written out, since the fused kernels cannot be differentiated twice, as gradient penalties need.
        weights = torch.softmax(queries @ keys.transpose(1, 2), dim=2)
        seen = (weights @ values).transpose(1, 2).unflatten(2, x.shape[2:])
        return x + self.gate * self.out(seen)


class _Residual(nn.Module):
    """Convolution, LeakyReLU, convolution, added to the input; the last convolution starts at zero."""

    def __init__(self, features: int):
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        _initialise_as_he(self.conv1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.leaky_relu(self.conv1(F.leaky_relu(x, _SLOPE)), _SLOPE))


class _Resampled(nn.Module):
    """Bilinear resampling by a factor, antialiased by construction at 2 and at one half."""

    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        if self.factor < 1:
            return F.avg_pool2d(x, 2)
        return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=False)


class _Seed(nn.Module):
    """Makes the first small feature map of a latent."""

    def __init__(self, inputs: int, features: int, side: int):
        super().__init__()
        self.linear = nn.Linear(inputs, features * side * side)
        self.shape = (features, side, side)

    def forward(self, latents: Tensor) -> Tensor:
        return self.linear(latents).unflatten(1, self.shape)


def _start(size: int) -> int:
    """Return the side of the smallest feature map."""
    return 7 if size == 28 else 4


def _stages(size: int) -> int:
    return (size // _start(size)).bit_length() - 1


def _attends(config: DCGANConfig, side: int) -> bool:
    return config.attention and side == (14 if config.size == 28 else 16)


def _residual_generator(config: DCGANConfig, inputs: int) -> nn.Module:
    side, width = _start(config.size), config.width
    layers: list[nn.Module] = [_Seed(inputs, 2 * width, side), _Residual(2 * width)]
    layers.append(_initialise_as_he(nn.Conv2d(2 * width, width, 1), gain=1.0))
    for _ in range(_stages(config.size)):
        side *= 2
        layers += [_Resampled(2), _Residual(width)]
        if _attends(config, side):
            layers.append(SelfAttention(width))
    layers += [nn.LeakyReLU(_SLOPE), nn.Conv2d(width, config.channels, 3, padding=1)]
    return nn.Sequential(*layers)


def _residual_body(config: DCGANConfig, width: int) -> nn.Module:
    side = config.size
    layers: list[nn.Module] = [_initialise_as_he(nn.Conv2d(config.channels, width, 3, padding=1), gain=1.0)]
    for _ in range(_stages(config.size)):
        if _attends(config, side):
            layers.append(SelfAttention(width))
        layers += [_Residual(width), _Resampled(0.5)]
        side //= 2
    layers += [_initialise_as_he(nn.Conv2d(width, 2 * width, 1), gain=1.0), _Residual(2 * width)]
    return nn.Sequential(*layers, nn.LeakyReLU(_SLOPE))


def _transposed(config: DCGANConfig, inputs: int) -> nn.Module:
    side, count = _start(config.size), _stages(config.size)
    widths = [config.width * min(8, 2 ** (count - 1 - i)) for i in range(count)]
    layers: list[nn.Module] = [
        nn.Unflatten(1, (inputs, 1, 1)),
        nn.ConvTranspose2d(inputs, widths[0], side, bias=False),
        nn.BatchNorm2d(widths[0]),
        nn.ReLU(),
    ]
    for before, after in itertools.pairwise(widths):
        side *= 2
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        if _attends(config, side):
            layers.append(SelfAttention(after))
    network = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], config.channels, 4, 2, 1), nn.Tanh())
    _initialise_as_radford(network)
    return network


def _strided_body(config: DCGANConfig, width: int, norm: str) -> nn.Module:
    side, before = config.size, config.channels
    layers: list[nn.Module] = []
    for number in range(_stages(config.size)):
        after, side = width * min(8, 2**number), side // 2
        layers.append(nn.Conv2d(before, after, 4, 2, 1, bias=norm == "none" or number == 0))
        if number and norm != "none":  # Radford et al. leave the layer that sees the picture as it is
            layers.append(nn.BatchNorm2d(after) if norm == "batch" else nn.GroupNorm(1, after))
        layers.append(nn.LeakyReLU(_SLOPE))
        if _attends(config, side):
            layers.append(SelfAttention(after))
        before = after
    return nn.Sequential(*layers)


def _strided_end(config: DCGANConfig, width: int) -> tuple[int, int]:
    return width * min(8, 2 ** (_stages(config.size) - 1)), _start(config.size)


def _perceptron_generator(config: DCGANConfig, inputs: int) -> nn.Module:
    hidden, shape = 4 * config.width, (config.channels, config.size, config.size)
    return nn.Sequential(
        nn.Linear(inputs, hidden),
        nn.LeakyReLU(_SLOPE),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(_SLOPE),
        nn.Linear(hidden, config.channels * config.size**2),
        nn.Tanh(),
        nn.Unflatten(1, shape),
    )


def _perceptron_body(config: DCGANConfig, width: int) -> nn.Module:
    hidden = 4 * width
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(config.channels * config.size**2, hidden),
        nn.LeakyReLU(_SLOPE),
        nn.Dropout(0.3),
        nn.Linear(hidden, hidden),
        nn.LeakyReLU(_SLOPE),
        nn.Dropout(0.3),
        nn.Unflatten(1, (hidden, 1, 1)),
    )


def _initialise_as_he(layer: nn.Conv2d, gain: float | None = None) -> nn.Conv2d:
    """Initialise for LeakyReLU before it (He et al. 2015), or for none with ``gain`` 1; biases 0."""
    fan_in = layer.weight[0].numel()
    factor = gain if gain is not None else (2 / (1 + _SLOPE**2)) ** 0.5
    nn.init.normal_(layer.weight, std=factor * fan_in**-0.5)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def _initialise_as_radford(network: nn.Module) -> None:
    """Initialise weights from N(0, 0.02), normalisations' from N(1, 0.02) (Radford et al. 2015)."""
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
