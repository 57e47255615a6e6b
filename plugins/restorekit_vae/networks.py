"""Encoders and decoders: pictures to ``(N, features)``, and latents to one raw value a pixel and channel."""

from __future__ import annotations

from torch import nn

from restorekit_vae.config import VAEConfig
from restorekit_vae.residual import residual_decoder, residual_encoder

__all__ = ["build_decoder", "build_encoder"]


def build_encoder(config: VAEConfig) -> nn.Module:
    """Return a network from ``(N, channels, size, size)`` in [-1, 1] to ``(N, 2 * latent)``."""
    if config.architecture == "mlp":
        hidden = 8 * config.width
        return nn.Sequential(
            nn.Flatten(),
            nn.Linear(config.channels * config.size**2, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, 2 * config.latent),
        )
    widths, side = _widths(config), _start(config.size)
    if config.architecture == "resnet":
        features = residual_encoder(config.channels, widths, config.blocks)
        return nn.Sequential(features, nn.Flatten(), nn.Linear(widths[-1] * side**2, 2 * config.latent))
    layers: list[nn.Module] = []
    for before, after in zip((config.channels, *widths[:-1]), widths, strict=True):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
    layers += [nn.Conv2d(widths[-1], widths[-1], 3, padding=1), nn.SiLU(), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(widths[-1] * side**2, 2 * config.latent))


def build_decoder(config: VAEConfig) -> nn.Module:
    """Return a network from ``(N, latent)`` to ``(N, channels, size, size)``."""
    shape = (config.channels, config.size, config.size)
    if config.architecture == "mlp":
        hidden = 8 * config.width
        return nn.Sequential(
            nn.Linear(config.latent, hidden),
            nn.SiLU(),
            nn.Linear(hidden, hidden),
            nn.SiLU(),
            nn.Linear(hidden, config.channels * config.size**2),
            nn.Unflatten(1, shape),
        )
    widths, side = _widths(config)[::-1], _start(config.size)
    layers: list[nn.Module] = [nn.Linear(config.latent, widths[0] * side**2), nn.Unflatten(1, (widths[0], side, side))]
    if config.architecture == "resnet":
        return nn.Sequential(*layers, residual_decoder(widths, config.channels, config.blocks))
    layers += [nn.SiLU(), nn.Conv2d(widths[0], widths[0], 3, padding=1), nn.SiLU()]
    for before, after in zip(widths, (*widths[1:], widths[-1]), strict=True):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.SiLU()]
    return nn.Sequential(*layers, nn.Conv2d(widths[-1], config.channels, 3, padding=1))


def _start(size: int) -> int:
    """Return the side of the smallest feature map."""
    return 7 if size == 28 else 4


def _widths(config: VAEConfig) -> tuple[int, ...]:
    stages = (config.size // _start(config.size)).bit_length() - 1
    return tuple(config.width * min(4, 2**stage) for stage in range(stages))
