"""Scales losses for fp16, whose smallest gradients would be lost otherwise; the scale lives on the device."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LossScale"]

_START = 2.0**16
#: Steps without overflow after which the scale is doubled; an overflow halves it.
_PATIENCE = 2000


class LossScale:
    """A factor on the loss that follows how large gradients are.

    Parameters
    ----------
    device : torch.device
        Where it lives: nothing here waits for it.

    References
    ----------
    Micikevicius et al. 2018, "Mixed precision training".
    """

    def __init__(self, device: torch.device):
        self.factor = torch.full((), _START, device=device)
        #: Steps since the last overflow or doubling.
        self.steps = torch.zeros((), dtype=torch.int32, device=device)

    def adapt(self, overflowed: Tensor) -> None:
        """Halve or double the factor after a step; ``overflowed`` is 1.0 or 0.0."""
        update = torch._amp_update_scale_  # pyright: ignore[reportPrivateImportUsage]
        update(self.factor, self.steps, overflowed, 2.0, 0.5, _PATIENCE)
