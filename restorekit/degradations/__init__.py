"""Damages clean pictures on purpose: the catalogue of degradations, for training, measuring and trying restorers.

>>> import torch
>>> recipe = parse(["downscale:4", "noise:0-50"])
>>> recipe(torch.rand(2, 3, 64, 64), seeds=torch.tensor([1, 2])).images.shape
torch.Size([2, 3, 16, 16])
"""

from restorekit.degradations.catalogue import DEGRADATIONS, Recipe, build, draw_mask, parse
from restorekit.degradations.damage import Chance, Damage, Degraded, chances
from restorekit.degradations.ranges import Between, Range

__all__ = [
    "DEGRADATIONS",
    "Between",
    "Chance",
    "Damage",
    "Degraded",
    "Range",
    "Recipe",
    "build",
    "chances",
    "draw_mask",
    "parse",
]
