"""Random numbers that are functions of their seeds alone: counter-based, so nothing depends on the batch around."""

from __future__ import annotations

import math

import torch
from torch import Tensor

__all__ = ["normals", "uniforms"]


def _signed(word: int) -> int:
    return word - (1 << 64) if word >= 1 << 63 else word


_GOLDEN = _signed(0x9E3779B97F4A7C15)
_MIX = (_signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB))
_STREAM = _signed(0xD1B54A32D192ED03)


def uniforms(seeds: Tensor, count: int, stream: int = 0) -> Tensor:
    """Draw uniformly from [0, 1).

    Parameters
    ----------
    seeds : Tensor
        ``(N,)`` int64, one a sample.
    count : int
        Draws a sample.
    stream : int
        Tells independent uses of one seed apart; at least 0.

    Returns
    -------
    Tensor
        ``(N, count)`` float64 on the seeds' device (of MPS, which has none, on the CPU): each row a function of its
        own seed, and the first draws the same for every ``count``.

    References
    ----------
    Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014 (SplitMix64).
    """
    if seeds.device.type == "mps":
        seeds = seeds.cpu()
    # Filled on the device: copying it there would keep a training step from being captured as a graph.
    use = torch.full((), (stream + 1) * _STREAM % (1 << 63), dtype=torch.int64, device=seeds.device)
    keys = _mixed(_mixed(seeds.long()) ^ _mixed(use))
    counters = torch.arange(1, count + 1, dtype=torch.int64, device=seeds.device) * _GOLDEN
    words = _mixed(keys[:, None] + counters)
    return _shifted(words, 11).double() / (1 << 53)


def normals(seeds: Tensor, count: int, stream: int = 0) -> Tensor:
    """Draw from the standard normal distribution (Box and Muller 1958).

    Parameters as in `uniforms`.

    Returns
    -------
    Tensor
        ``(N, count)`` float32 on the seeds' device.
    """
    pairs = uniforms(seeds, 2 * ((count + 1) // 2), stream).unflatten(1, (-1, 2))
    radius = torch.sqrt(-2 * torch.log1p(-pairs[..., 0]))
    angle = 2 * math.pi * pairs[..., 1]
    drawn = torch.stack([radius * torch.cos(angle), radius * torch.sin(angle)], dim=2)
    return drawn.flatten(1)[:, :count].float().to(seeds.device)


def _mixed(words: Tensor) -> Tensor:
    words = (words ^ _shifted(words, 30)) * _MIX[0]
    words = (words ^ _shifted(words, 27)) * _MIX[1]
    return words ^ _shifted(words, 31)


def _shifted(words: Tensor, bits: int) -> Tensor:
    """Shift right without copying the sign."""
    return (words >> bits) & ((1 << (64 - bits)) - 1)
