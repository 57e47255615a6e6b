"""What every degradation is: a seeded function of a batch, in which each picture has its own randomness."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import Tensor

__all__ = ["Chance", "Damage", "Degraded", "chances", "each_picture", "keep_range"]

#: The randomness of one picture in one step.
Chance = np.random.Generator


@dataclass(frozen=True, slots=True)
class Degraded:
    """Damaged pictures and where they are damaged beyond use.

    Parameters
    ----------
    images : Tensor
        ``(N, 3, H, W)`` RGB; [0, 1] unless noise went beyond it.
    masks : Tensor, optional
        ``(N, 1, H, W)`` in {0, 1}, same dtype; 1 marks holes, scratches, dust and text.
    """

    images: Tensor
    masks: Tensor | None = None


class Damage(Protocol):
    """One kind of damage with its settings: a frozen pydantic dataclass with a call.

    A picture's result may depend on that picture and its ``Chance`` alone, to the last bit: never on the others in the
    batch, its place in it, or the device.
    """

    #: The name in a step, and the field that ``NAME:CHOICE`` sets ("" for none).
    name: ClassVar[str]
    choice: ClassVar[str]

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def __call__(self, pictures: Degraded, chances: Sequence[Chance]) -> Degraded:
        """Damage each picture by its own chance."""
        ...


def chances(seeds: Tensor, index: int, name: str) -> list[Chance]:
    """Return the randomness of each picture in one step.

    Parameters
    ----------
    seeds : Tensor
        ``(N,)`` int64.
    index : int
        The step's place in the recipe, so that the same noise twice is not the same noise.
    name : str
        The damage's name.

    Returns
    -------
    list of numpy.random.Generator
        Counter-based (Philox), on the CPU whatever the pictures' device, keyed by a hash of all three.
    """
    keys = (hashlib.blake2b(f"{seed}/{index}/{name}".encode(), digest_size=16).digest() for seed in seeds.tolist())
    return [np.random.Generator(np.random.Philox(key=int.from_bytes(key, "little"))) for key in keys]


def each_picture(function: Callable[[Tensor, Chance], Tensor], images: Tensor, chances: Sequence[Chance]) -> Tensor:
    """Apply a function of ``(3, H, W)`` to each picture.

    For whatever is not plain elementwise arithmetic: a library may compute those with other roundings in a larger
    batch.
    """
    if not chances:
        return images
    return torch.stack([function(image, chance) for image, chance in zip(images, chances, strict=True)])


def keep_range(result: Tensor, images: Tensor) -> Tensor:
    """Clip overshoot to [0, 1], or to what the picture held before where noise had gone beyond."""
    low = images.amin(dim=(-3, -2, -1), keepdim=True).clamp(max=0.0)
    high = images.amax(dim=(-3, -2, -1), keepdim=True).clamp(min=1.0)
    return torch.minimum(torch.maximum(result, low), high)
