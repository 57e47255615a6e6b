"""Differentiable augmentations: what the discriminator sees is changed, and the generator learns through it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from restorekit.nn.chance import uniforms
from restorekit_dcgan.config import Augmentation

__all__ = ["augmented"]


def augmented(images: Tensor, seeds: Tensor, kinds: Sequence[Augmentation], stream: int) -> Tensor:
    """Change each picture in a way of its own.

    Parameters
    ----------
    images : Tensor
        ``(N, C, H, W)`` in [-1, 1].
    seeds : Tensor
        ``(N,)`` int64: what is done to a picture is a function of its seed.
    kinds : sequence of str
        ``"colour"``: brightness, saturation and contrast; ``"translation"``: by up to an eighth of the side, zeros
        coming in; ``"cutout"``: a square of half the side becomes zero.
    stream : int
        Tells independent uses of the seeds apart.

    Returns
    -------
    Tensor
        ``(N, C, H, W)``.

    References
    ----------
    Zhao et al. 2020, "Differentiable augmentation for data-efficient GAN training".
    """
    if not kinds:
        return images
    draws = uniforms(seeds, 7, stream).to(images.device, torch.float32)
    for kind in kinds:
        images = _KINDS[kind](images, draws)
    return images


def _colour(images: Tensor, draws: Tensor) -> Tensor:
    brightness, saturation, contrast = (draws[:, i, None, None, None] for i in range(3))
    images = images + (brightness - 0.5)
    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    level = images.mean(dim=(1, 2, 3), keepdim=True)
    return level + (images - level) * (contrast + 0.5)


def _translation(images: Tensor, draws: Tensor) -> Tensor:
    height, width = images.shape[2:]
    down, right = (_whole(draws[:, 3 + i], -(side // 8), side // 8) for i, side in enumerate((height, width)))
    rows, inside_rows = _source(down, height)
    columns, inside_columns = _source(right, width)
    samples = torch.arange(len(images), device=images.device)
    moved = images.permute(0, 2, 3, 1)[samples[:, None, None], rows[:, :, None], columns[:, None, :]]
    inside = inside_rows[:, :, None] & inside_columns[:, None, :]
    return (moved * inside[..., None]).permute(0, 3, 1, 2)


def _cutout(images: Tensor, draws: Tensor) -> Tensor:
    keep = []
    for side, draw in zip(images.shape[2:], (draws[:, 5], draws[:, 6]), strict=True):
        length = (side + 1) // 2
        # The square may reach over the edge, so that corners are as often cut as the middle.
        start = _whole(draw, -(length // 2), side - length // 2)
        places = torch.arange(side, device=images.device)
        keep.append((places >= start[:, None]) & (places < start[:, None] + length))
    hole = keep[0][:, None, :, None] & keep[1][:, None, None, :]
    return images * ~hole


def _whole(draw: Tensor, low: int, high: int) -> Tensor:
    """Turn draws from [0, 1) into whole numbers from ``low`` to ``high``, both included."""
    return (low + torch.floor(draw * (high - low + 1))).long()


def _source(shift: Tensor, side: int) -> tuple[Tensor, Tensor]:
    places = torch.arange(side, device=shift.device) - shift[:, None]
    return places.clamp(0, side - 1), (places >= 0) & (places < side)


_KINDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}
