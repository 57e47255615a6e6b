"""Moves the pixels of a picture until its features have the statistics of another one's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from restorekit.nn.features import SMALLEST, SqueezeNet
from restorekit_style_transfer.config import Settings

__all__ = ["gram", "painted", "style_distance"]

#: Layers whose correlations make the style, from fine to coarse; and the one whose features are the content.
STYLE = ("conv1", "fire2", "fire3", "fire5", "fire7")
CONTENT = "fire5"
#: Sums of squares below this are those of a black picture.
_TINY = 1e-12


def painted(
    image: Tensor, style: Tensor, network: SqueezeNet, settings: Settings, progress: Callable[[float], None]
) -> Tensor:
    """Paint one picture.

    Parameters
    ----------
    image, style : Tensor
        ``(1, 3, H, W)`` in [0, 1], of any two sizes.
    network : SqueezeNet
        Makes the features.
    settings : Settings
        How.
    progress : callable
        Is told which share of the steps is done.

    Returns
    -------
    Tensor
        ``(1, 3, H, W)`` in [0, 1].

    References
    ----------
    Gatys, Ecker, Bethge 2016, "Image style transfer using convolutional neural networks". Both distances are relative
    here, so that their weights mean the same for any network and any pictures; descent begins with the picture.
    """
    height, width = image.shape[2:]
    margins = (0, max(0, SMALLEST - width), 0, max(0, SMALLEST - height))
    canvas = F.pad(image, margins, mode="replicate")
    correlations = {name: gram(made) for name, made in network(_scaled(style, canvas, settings.size), STYLE).items()}
    content = network(canvas, (CONTENT,))[CONTENT]
    pixels = canvas.clone().requires_grad_()
    optimizer = torch.optim.Adam([pixels], lr=settings.learning_rate)
    for step in range(settings.steps):
        progress(step / settings.steps)
        optimizer.param_groups[0]["lr"] = settings.learning_rate * (1 + math.cos(math.pi * step / settings.steps)) / 2
        with torch.enable_grad():
            made = network(pixels, tuple(dict.fromkeys((*STYLE, CONTENT))))
            loss = _relative(made[CONTENT], content)
            loss = loss + settings.weight * style_distance(made, correlations)
            loss = loss + settings.smoothness * _variation(pixels)
            (pixels.grad,) = torch.autograd.grad(loss, pixels)
        optimizer.step()
        pixels.data.clamp_(0, 1)
    return pixels.detach()[..., :height, :width]


def gram(features: Tensor) -> Tensor:
    """Return how often the channels of ``(1, C, h, w)`` are active together: ``(C, C)``, averaged over places."""
    flat = features[0].flatten(1)
    return flat @ flat.T / flat.shape[1]


def style_distance(features: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> Tensor:
    """Return the mean over layers of the relative squared differences of correlations; 0 for the style itself."""
    return torch.stack([_relative(gram(features[name]), wanted[name]) for name in wanted]).mean()


def _relative(made: Tensor, wanted: Tensor) -> Tensor:
    return (made - wanted).square().sum() / wanted.square().sum().clamp_min(_TINY)


def _variation(pixels: Tensor) -> Tensor:
    """Return the mean squared difference of neighbouring pixels."""
    down, across = pixels.diff(dim=2), pixels.diff(dim=3)
    return down.square().mean() + across.square().mean()


def _scaled(style: Tensor, canvas: Tensor, multiple: float) -> Tensor:
    """Resize the style so that its longer side is a multiple of the picture's."""
    factor = multiple * max(canvas.shape[2:]) / max(style.shape[2:])
    size = [max(SMALLEST, round(side * factor)) for side in style.shape[2:]]
    return F.interpolate(style, size=size, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
