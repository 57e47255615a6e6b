"""An invertible network between latents and standard normal numbers: a prior that is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["Flow"]

#: A coupling layer scales by factors between exp(-1) and exp(1); several together by what is needed.
_LARGEST_LOG_SCALE = 1.0


class Flow(nn.Module):
    """Affine coupling layers (Dinh et al. 2017, "Density estimation using Real NVP"); at first the identity.

    Parameters
    ----------
    dimensions : int
        Of the latents, D; at least 2.
    layers : int
        Each changes some of the numbers by what the others say; the next changes those others.
    width : int
        Hidden units of the networks that say it.
    """

    changed: Tensor

    def __init__(self, dimensions: int, layers: int, width: int):
        super().__init__()
        self.couplings = nn.ModuleList(_network(dimensions, width) for _ in range(layers))
        self.register_buffer("changed", _changed(dimensions, layers), persistent=False)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Map latents to what is standard normal.

        Parameters
        ----------
        latents : Tensor
            ``(N, D)``.

        Returns
        -------
        normal : Tensor
            ``(N, D)``.
        log_scales : Tensor
            ``(N, D)``: their sum over D is the logarithm of the Jacobian's determinant.
        """
        x, log_scales = latents, torch.zeros_like(latents)
        for coupling, changed in zip(self.couplings, self.changed, strict=True):
            shift, log_scale = _said(coupling, changed, x)
            x, log_scales = (x + shift) * log_scale.exp(), log_scales + log_scale
        return x, log_scales

    def inverse(self, normal: Tensor) -> Tensor:
        """Map ``(N, D)`` that are standard normal to latents."""
        x = normal
        for coupling, changed in zip(reversed(self.couplings), self.changed.flip(0), strict=True):
            shift, log_scale = _said(coupling, changed, x)
            x = x * torch.exp(-log_scale) - shift
        return x


def _network(dimensions: int, width: int) -> nn.Sequential:
    last = nn.Linear(width, 2 * dimensions)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Linear(dimensions, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), last)


def _said(coupling: nn.Module, changed: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return what is added to the numbers, and the logarithms of what they are multiplied by; 0 where they are kept."""
    shift, log_scale = coupling(x * (1 - changed)).to(x.dtype).chunk(2, dim=1)
    return shift * changed, _LARGEST_LOG_SCALE * torch.tanh(log_scale) * changed


def _changed(dimensions: int, layers: int) -> Tensor:
    """Return ``(layers, D)`` in {0, 1}: by each binary digit of the numbers' places in turn, so that all meet."""
    places, digits = torch.arange(dimensions), (dimensions - 1).bit_length()
    return torch.stack([(places // 2 ** (layer // 2 % digits) + layer) % 2 for layer in range(layers)]).float()
