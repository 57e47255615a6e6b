"""Pictures for the checks, drawn: waves, edges and grain, each a function of its seed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["grid_mask", "pictures"]


def pictures(height: int, width: int, seeds: Sequence[int], grey: bool = False) -> Tensor:
    """Return ``(len(seeds), 3, height, width)`` float32 in [0, 1], with the values of 8-bit pictures."""
    made = torch.stack([_picture(height, width, seed) for seed in seeds])
    if grey:
        made = made[:, :1].expand(-1, 3, -1, -1)
    return (made * 255).round().div(255).contiguous()


def grid_mask(height: int, width: int, seed: int) -> Tensor:
    """Return ``(1, height, width)`` in {0, 1}: a thin line, a spot and a corner; empty where a picture is tiny."""
    mask = torch.zeros(1, height, width)
    if min(height, width) < 8:
        return mask
    row, column = 2 + seed % (height - 4), 2 + 7 * seed % (width - 4)
    mask[:, row, : width // 2] = 1
    mask[:, height // 3 : height // 3 + 3, column : column + 3] = 1
    mask[:, -2:, -3:] = 1
    return mask


def _picture(height: int, width: int, seed: int) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    frequency = 4 + 20 * torch.rand(3, 2, generator=source)
    phase = 6 * torch.rand(3, 1, 1, generator=source)
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    waves = torch.sin(frequency[:, :1, None] * x + frequency[:, 1:, None] * y + phase)
    edge = ((x + y * (1 + seed % 3)) % 0.7 > 0.35).float()
    grain = torch.randn(3, height, width, generator=source)
    return (0.5 + 0.2 * waves + 0.15 * (edge - 0.5) + 0.05 * grain).clamp(0, 1)
