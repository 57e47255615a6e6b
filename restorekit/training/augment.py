"""Augmentations of clean pictures: functions of each sample's own seed, so that resume and many processes are exact.

Only plain element-by-element arithmetic is used: a picture's bits must not depend on the batch around it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv
from torch import Tensor

from restorekit.degradations.tone import luma
from restorekit.nn.chance import uniforms
from restorekit.sources.sampling import sample_seeds

__all__ = ["gray_again", "grayed", "jittered", "mixed", "partners", "positions"]

#: Independent uses of a sample's seed, away from those of trainers.
_JITTER, _MIXUP, _GRAY = 7001, 7002, 7003
#: Largest relative change of light, contrast and saturation, and turn of the hue (in turns), at full strength.
_LIGHT, _CONTRAST, _SATURATION, _HUE = 0.4, 0.4, 0.4, 0.1


def jittered(images: Tensor, seeds: Tensor, strength: float) -> Tensor:
    """Change the light, contrast, saturation and hue of each picture a little.

    Parameters
    ----------
    images : Tensor
        ``(N, 3, H, W)`` RGB in [0, 1].
    seeds : Tensor
        ``(N,)`` int64.
    strength : float
        From 0 (nothing) to 1: the amounts that contrastive learning made usual. Contrast is about middle grey, the
        hue turns about the grey axis; grey pictures stay grey.

    Returns
    -------
    Tensor
        ``(N, 3, H, W)`` in [0, 1], of the same type.

    References
    ----------
    Chen et al. 2020, "A simple framework for contrastive learning of visual representations", appendix A.
    """
    if strength == 0:
        return images
    draws = (uniforms(seeds, 4, _JITTER) * 2 - 1).mul(strength)
    light, contrast, saturation = (
        (1 + draws[:, i] * most).to(images)[:, None, None] for i, most in enumerate((_LIGHT, _CONTRAST, _SATURATION))
    )
    angle = draws[:, 3] * (2 * math.pi * _HUE)
    along, across = (
        (part.to(images)[:, None, None]) * saturation for part in (torch.cos(angle), torch.sin(angle) / math.sqrt(3))
    )
    red, green, blue = images.unbind(dim=1)
    grey = (red + green + blue) / 3
    level = (grey * light - 0.5) * contrast + 0.5
    # Colour is what differs from grey; turning it keeps grey as it is (Rodrigues' formula about (1, 1, 1)).
    strong = light * contrast
    changed = [
        ((own - grey) * along + (after - before) * across) * strong + level
        for own, before, after in ((red, green, blue), (green, blue, red), (blue, red, green))
    ]
    return torch.stack(changed, dim=1).clamp(0, 1)


def partners(seed: int, start: int, size: int) -> NDArray[np.int64]:
    """Return with which sample of its batch each is mixed: all are turned by the same number of places.

    Parameters
    ----------
    seed : int
        The run's.
    start, size : int
        Global index of the batch's first sample, and how many there are, over all processes.

    Returns
    -------
    ndarray
        ``(size,)`` global indices.
    """
    own = np.arange(size, dtype=np.int64)
    shift = 1 + int(sample_seeds(seed, np.array([start]))[0]) % max(1, size - 1)
    return start + (own + shift) % size


def mixed(images: Tensor, others: Tensor, seeds: Tensor, alpha: float) -> Tensor:
    """Mix each picture with another one, of which it keeps at least half.

    Parameters
    ----------
    images, others : Tensor
        ``(N, 3, H, W)`` in [0, 1].
    seeds : Tensor
        ``(N,)`` int64 of ``images``: the share is a function of it.
    alpha : float
        Shares are drawn from Beta(alpha, alpha): small values mix little.

    References
    ----------
    Zhang et al. 2018, "mixup: beyond empirical risk minimization".
    """
    drawn = betaincinv(alpha, alpha, uniforms(seeds, 1, _MIXUP)[:, 0].cpu().numpy())
    share = torch.from_numpy(np.maximum(drawn, 1 - drawn)).to(images)[:, None, None, None]
    return images * share + others * (1 - share)


def grayed(images: Tensor, seeds: Tensor, share: float) -> Tensor:
    """Take the colours from some of the pictures.

    Parameters
    ----------
    images : Tensor
        ``(N, 3, H, W)`` RGB in [0, 1].
    seeds : Tensor
        ``(N,)`` int64: which pictures is a function of them.
    share : float
        How many, from 0 to 1.

    Returns
    -------
    Tensor
        ``(N, 3, H, W)``; those chosen have three equal channels of BT.601 luma.
    """
    return torch.where(_gray(images, seeds, share), luma(images), images) if share else images


def gray_again(damaged: Tensor, seeds: Tensor, share: float) -> Tensor:
    """Take from pictures that `grayed` chose the colours that damage has given them.

    Their green channel is kept: noise is as strong in it as it was drawn, which it would not be in a mean.

    Parameters
    ----------
    damaged : Tensor
        ``(N, 3, H, W)`` RGB in [0, 1].
    seeds, share
        As for `grayed`.
    """
    return torch.where(_gray(damaged, seeds, share), damaged[:, 1:2], damaged) if share else damaged


def _gray(images: Tensor, seeds: Tensor, share: float) -> Tensor:
    return (uniforms(seeds, 1, _GRAY) < share).to(images.device)[:, :, None, None]


def positions(wanted: Sequence[int], drawn: Sequence[int]) -> list[int]:
    """Return where each wanted index is among those drawn."""
    place = {index: number for number, index in enumerate(drawn)}
    return [place[index] for index in wanted]
