"""A damage that befalls only some of the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from restorekit.degradations.damage import Chance, Damage, Degraded
from restorekit.errors import UsageError

__all__ = ["Sometimes"]


@dataclass(frozen=True)
class Sometimes:
    """Applies a damage to each picture with a probability: ``jpeg:30-90,chance=0.5``.

    Parameters
    ----------
    damage : Damage
        Keeps the pictures' size.
    probability : float
        0 to 1.
    """

    damage: Damage
    probability: float

    @property
    def name(self) -> str:
        """That of the damage."""
        return self.damage.name

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Draw for each picture whether, and damage those it falls on."""
        rows = [row for row, chance in enumerate(chances) if chance.random() < self.probability]
        if not rows:
            return pictures
        own = Degraded(pictures.images[rows], None if pictures.masks is None else pictures.masks[rows])
        damaged = self.damage(own, [chances[row] for row in rows])
        if damaged.images.shape != own.images.shape:
            raise UsageError(self.name, "changes the size and cannot be left to chance", "leave chance= out")
        images = pictures.images.clone()
        images[rows] = damaged.images
        masks = pictures.masks
        if damaged.masks is not None:
            masks = torch.zeros_like(images[:, :1]) if masks is None else masks.clone()
            masks[rows] = damaged.masks
        return Degraded(images, masks)
