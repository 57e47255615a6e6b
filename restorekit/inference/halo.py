"""Measures how far a restorer looks: the context beyond which an output pixel no longer changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restorekit.contract import Batch, Geometry

__all__ = ["TOLERANCE", "measure_halo"]

#: The largest change of an output pixel, in [0, 1], that counts as none.
TOLERANCE = 1 / 255

#: Sides of the probe pictures tried, in input pixels: a halo is accepted up to a third of the side.
_PROBES = (96, 256, 640)


@torch.no_grad()
def measure_halo(
    restore: Callable[[Batch], Tensor],
    geometry: Geometry,
    *,
    device: torch.device | str = "cpu",
    settings: Mapping[str, object] | None = None,
    tolerance: float = TOLERANCE,
) -> int | None:
    """Measure a restorer's halo by cutting pictures in two.

    Noise, smooth waves and their sum are restored whole and cut at a line; the halo is the distance from the cut from
    which the two results agree to within ``tolerance``, in both axes and from both sides.

    Parameters
    ----------
    restore : callable
        A restorer's ``restore``.
    geometry : Geometry
        Its declared scale, multiples and need of a mask; the declared halo is not looked at.
    device : torch.device or str
        Where it runs.
    settings : mapping, optional
        Validated settings for ``Batch.settings``.
    tolerance : float
        In [0, 1].

    Returns
    -------
    int or None
        Input pixels, or ``None`` where the influence does not end within the largest probe (about 210 px): such a
        restorer works on whole pictures.
    """
    for side in _PROBES:
        multiple = geometry.multiple_of
        side = -(-side // (2 * multiple)) * 2 * multiple
        halo = max(
            _halo_of(restore, geometry, picture, tolerance, dict(settings or {})) for picture in _probes(side, device)
        )
        if halo <= side // 3:
            return halo
    return None


def _halo_of(
    restore: Callable[[Batch], Tensor],
    geometry: Geometry,
    image: Tensor,
    tolerance: float,
    settings: Mapping[str, object],
) -> int:
    """Restore each part of a cut by itself, and see from which distance to the cut on nobody notices."""
    side, scale = image.shape[3], geometry.scale
    middle = _middle(side, geometry.multiple_of)
    mask = _stripes(image) if geometry.needs_mask else None
    seeds = torch.zeros(1, dtype=torch.int64, device=image.device)

    def restored(image: Tensor, mask: Tensor | None) -> Tensor:
        return restore(Batch(image, masks=mask, seeds=seeds, settings=settings)).float().clamp(0, 1)

    whole = restored(image, mask)
    farthest = 0
    for axis in (2, 3):
        for start, length in ((0, middle), (middle, side - middle)):
            part, own_mask = (
                None if full is None else full.narrow(axis, start, length).contiguous() for full in (image, mask)
            )
            assert part is not None
            change = (whole.narrow(axis, start * scale, length * scale) - restored(part, own_mask)).abs()
            changed = (change > tolerance).amax(dim=(0, 1, 5 - axis))
            away = (changed.flip(0) if start == 0 else changed).nonzero()  # index 0 is beside the cut
            farthest = max(farthest, 0 if len(away) == 0 else int(away[-1]) // scale + 1)
    return farthest


def _middle(side: int, multiple: int) -> int:
    """Return about half a side: a multiple, and no rounder than it has to be.

    Tiles begin at any multiple. A network that divides pictures into windows of its own would look the same when it
    is cut at a round number of pixels, and different at others.
    """
    count = side // (2 * multiple)
    return max(count - 1 + count % 2, 1) * multiple


def _probes(side: int, device: torch.device | str) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, side, side, generator=generator)
    line = torch.linspace(0, 1, side)
    phase = torch.rand(3, 1, 1, generator=generator) * 6
    waves = 0.5 + 0.25 * torch.sin(23 * line + phase) + 0.25 * torch.sin(17 * line[:, None] ** 2 + phase)
    return [image.to(device) for image in (noise, waves[None], (0.3 * noise + 0.7 * waves).clamp(0, 1))]


def _stripes(image: Tensor) -> Tensor:
    """Mark a grid of thin lines: small holes everywhere."""
    mask = torch.zeros_like(image[:, :1])
    mask[..., ::16, :] = 1
    mask[..., :, 7::16] = 1
    return mask
