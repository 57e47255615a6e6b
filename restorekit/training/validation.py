"""Measures a generator during training: the same damaged crops every time, and their PSNR."""

from __future__ import annotations

import numpy as np
import torch

from restorekit.contract import Batch, Restorer
from restorekit.degradations import Recipe
from restorekit.inference.device import Runtime
from restorekit.sources import Source
from restorekit.sources.sampling import sample_seeds

__all__ = ["Validation"]


class Validation:
    """Centre crops of the validation pictures, damaged once with seeds of their own.

    Parameters
    ----------
    source : Source
        Clean pictures; the first of each counts. Or pairs.
    recipe : Recipe, optional
        Damages clean pictures.
    crop : int, optional
        Side of the crops; doubled, where pictures are large enough.
    count : int
        Pictures at most, evenly spread.
    """

    def __init__(self, source: Source, recipe: Recipe | None, crop: int | None, count: int):
        numbers = np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).astype(int))
        seeds = sample_seeds(0, numbers)
        self._batches: list[Batch] = []
        for number, seed in zip(numbers, seeds, strict=True):
            picture = source.picture(int(number))
            if crop is not None:
                height, width = picture.shape[:2]
                side = crop * max(1, min(2, min(height, width) // crop))
                top, left = max(0, (height - side) // 2), max(0, (width - side) // 2)
                picture = picture[top : top + side, left : left + side]
            pair = (torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255).split(3, dim=1)
            given, clean = pair[0], pair[-1]
            own = torch.tensor([int(seed)])
            damaged = recipe(clean, own) if recipe is not None and len(pair) == 1 else None
            images, masks = (damaged.images, damaged.masks) if damaged is not None else (given, None)
            self._batches.append(Batch(images, masks, targets=clean, seeds=own))

    @torch.no_grad()
    def measure(self, generator: Restorer, runtime: Runtime) -> dict[str, float]:
        """Restore all crops; return the mean PSNR in dB over RGB, and that of what inpainters filled."""
        whole, holes = [], []
        for batch in self._batches:
            moved = Batch(
                batch.images.to(runtime.device),
                None if batch.masks is None else batch.masks.to(runtime.device),
                seeds=batch.seeds,
            )
            with runtime.autocast(runtime.precision):
                restored = generator.restore(moved)
            restored = restored.float().cpu().clamp(0, 1)
            assert batch.targets is not None
            if batch.masks is not None:
                restored = torch.where(batch.masks > 0, restored, batch.images)
            error = (restored - batch.targets) ** 2
            whole.append(_psnr(error.mean()))
            if batch.masks is not None and batch.masks.any():
                holes.append(_psnr(error[batch.masks.expand_as(error) > 0].mean()))
        metrics = {"psnr": float(np.mean(whole))}
        return {**metrics, "psnr_holes": float(np.mean(holes))} if holes else metrics


def _psnr(error: torch.Tensor) -> float:
    return float(-10 * torch.log10(error.clamp_min(1e-10)))
