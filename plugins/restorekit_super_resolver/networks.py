"""The networks: ``(N, 3, H, W)`` in [0, 1] to ``(N, 3, scale*H, scale*W)``, not clipped."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from restorekit.nn.blocks import RRDB, ResidualBlock, Upsampler, scaled_init
from restorekit_super_resolver.config import Network

__all__ = ["Compact", "RRDBNet", "Residual", "build"]


class Residual(nn.Module):
    """Residual blocks at the input's size and sub-pixel upsampling; predicts what bicubic enlargement lacks.

    References
    ----------
    Lim et al. 2017, "Enhanced deep residual networks for single image super-resolution" (EDSR); the bicubic skip is
    ours: it makes a fresh network as good as bicubic.
    """

    def __init__(self, config: Network):
        super().__init__()
        features = config.features
        self.scale = config.scale
        blocks = [ResidualBlock(features) for _ in range(config.blocks)]
        self.head = nn.Conv2d(3, features, 3, padding=1)
        self.body = nn.Sequential(*blocks, nn.Conv2d(features, features, 3, padding=1))
        direct = config.upsampling == "direct"
        self.upsample = nn.Identity() if direct else Upsampler(features, config.scale)
        self.tail = nn.Conv2d(features, 3 * config.scale**2 if direct else 3, 3, padding=1)
        self.shuffle = nn.PixelShuffle(config.scale) if direct else nn.Identity()
        scaled_init(self.tail, 0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Enlarge."""
        x = self.head(images - 0.5)
        x = self.shuffle(self.tail(self.upsample(x + self.body(x))))
        return x + F.interpolate(images.float(), scale_factor=self.scale, mode="bicubic", antialias=True)


class RRDBNet(nn.Module):
    """Residual-in-residual dense blocks, and nearest-neighbour enlargement between convolutions.

    At scale 2 the input is folded by 2 first and enlarged by 4. Parameter names and arithmetic are those of the
    published networks, so that community weights load.

    References
    ----------
    Wang et al. 2018, "ESRGAN"; Wang et al. 2021, "Real-ESRGAN".
    """

    def __init__(self, config: Network):
        super().__init__()
        features = config.features
        self.fold = 4 // config.scale
        self.conv_first = nn.Conv2d(3 * self.fold**2, features, 3, padding=1)
        self.body = nn.Sequential(*(RRDB(features, config.growth) for _ in range(config.blocks)))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_up2 = nn.Conv2d(features, features, 3, padding=1)
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Enlarge; sides are multiples of ``fold``."""
        x = self.conv_first(F.pixel_unshuffle(images, self.fold) if self.fold > 1 else images)
        x = x + self.conv_body(self.body(x))
        for conv in (self.conv_up1, self.conv_up2):
            x = F.leaky_relu(conv(F.interpolate(x, scale_factor=2, mode="nearest")), 0.2)
        return self.conv_last(F.leaky_relu(self.conv_hr(x), 0.2))


class Compact(nn.Module):
    """Convolutions with PReLU at the input's size, one pixel shuffle, nearest-neighbour skip: small and fast.

    Parameter names and arithmetic are those of Real-ESRGAN's ``SRVGGNetCompact``, so that its weights load.

    References
    ----------
    Wang et al. 2021, "Real-ESRGAN: Training real-world blind super-resolution with pure synthetic data".
    """

    def __init__(self, config: Network):
        super().__init__()
        features = config.features
        self.scale = config.scale
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(config.blocks):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        layers.append(nn.Conv2d(features, 3 * config.scale**2, 3, padding=1))
        self.body = nn.Sequential(*layers)
        scaled_init(layers[-1], 0.01)

    def forward(self, images: Tensor) -> Tensor:
        """Enlarge."""
        enlarged = F.interpolate(images, scale_factor=self.scale, mode="nearest")
        return F.pixel_shuffle(self.body(images), self.scale) + enlarged


def build(config: Network) -> nn.Module:
    """Return the network that a configuration describes."""
    return {"residual": Residual, "rrdb": RRDBNet, "compact": Compact}[config.architecture](config)
