"""How far a training is, for what a recipe changes along the way; kept in checkpoints like any network."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

__all__ = ["Progress"]


class Progress(nn.Module):
    """Counts training steps in a buffer, so that a resumed run goes on where it was.

    A `Trainable` names it among its ``networks()`` and calls `advance` once a step.
    """

    count: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def advance(self) -> None:
        """Count one step."""
        self.count += 1

    def rise(self, steps: int) -> Tensor:
        """Return the straight way from 0 to 1 over ``steps``; 1 where ``steps`` is 0."""
        return self._share(steps)

    def fall(self, steps: int, final: float) -> Tensor:
        """Return the cosine's way from 1 to ``final`` over ``steps``; 1 where ``steps`` is 0."""
        if steps == 0:
            return torch.ones_like(self.count, dtype=torch.float32)
        return final + (1 - final) * (1 + torch.cos(math.pi * self._share(steps))) / 2

    def _share(self, steps: int) -> Tensor:
        return (
            (self.count / max(1, steps)).clamp(max=1.0) if steps else torch.ones_like(self.count, dtype=torch.float32)
        )
