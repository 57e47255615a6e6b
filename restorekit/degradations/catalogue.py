"""The catalogue: degradations by name, recipes written as steps, and masks alone."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pydantic
import torch
from numpy.typing import NDArray
from torch import Tensor

from restorekit.degradations.blur import Blur
from restorekit.degradations.compression import Jpeg
from restorekit.degradations.cracks import Cracks
from restorekit.degradations.damage import Chance, Damage, Degraded, chances
from restorekit.degradations.haze import Haze
from restorekit.degradations.holes import Holes
from restorekit.degradations.lettering import Text
from restorekit.degradations.noise import Noise, Poisson
from restorekit.degradations.real import Real
from restorekit.degradations.resolution import Downscale
from restorekit.degradations.sometimes import Sometimes
from restorekit.degradations.tone import Fade, Gray
from restorekit.degradations.wear import Dust, Scratches
from restorekit.errors import UsageError
from restorekit.specs import Step

__all__ = ["DEGRADATIONS", "Recipe", "build", "draw_mask", "parse"]

#: Every degradation by its name.
DEGRADATIONS: dict[str, type[Damage]] = {
    damage.name: damage
    for damage in (Blur, Cracks, Downscale, Dust, Fade, Gray, Haze, Holes, Jpeg, Noise, Poisson, Real, Scratches, Text)
}


@runtime_checkable
class _Marking(Protocol):
    """A damage that marks what it destroys."""

    def mark(self, size: tuple[int, int], chance: Chance) -> NDArray[np.uint8]: ...


@dataclass(frozen=True)
class Recipe:
    """Degradations in their order.

    Parameters
    ----------
    damages : tuple of Damage
        What is done.
    steps : tuple of Step
        The same, as it was written.
    """

    damages: tuple[Damage | Sometimes, ...]
    steps: tuple[Step, ...]

    @torch.no_grad()
    def __call__(self, images: Tensor, seeds: Tensor, masks: Tensor | None = None) -> Degraded:
        """Damage pictures, each by its own seed.

        Parameters
        ----------
        images : Tensor
            ``(N, 3, H, W)`` RGB, float32 or float64 in [0, 1], on any device; left as it is.
        seeds : Tensor
            ``(N,)`` int64. A picture's result depends on the picture and its seed alone: not on its place in the
            batch, the batch's size, or the process.
        masks : Tensor, optional
            ``(N, 1, H, W)`` in {0, 1}: damage that is there already.

        Returns
        -------
        Degraded
            Pictures, not rounded (and, after noise, not clipped), and the union of all masks. Masks follow changes of
            size; blur and the like after a hole carry its colour beyond its mask.
        """
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype not in (torch.float32, torch.float64):
            raise TypeError(
                f"degradations work on (N, 3, H, W) of float32 or float64, not {images.dtype} {tuple(images.shape)}"
            )
        if seeds.shape != images.shape[:1]:
            raise ValueError(f"{len(images)} pictures need as many seeds, not {tuple(seeds.shape)}")
        pictures = Degraded(images, masks)
        for index, damage in enumerate(self.damages):
            pictures = damage(pictures, chances(seeds, index, damage.name))
        return pictures

    def for_grey(self) -> Recipe:
        """Return the recipe for grey pictures: their three equal channels are one sensor's, and get the same noise."""
        return parse([_in_grey(step, damage) for step, damage in zip(self.steps, self.damages, strict=True)])

    def __str__(self) -> str:
        return " ".join(str(step) for step in self.steps)


def parse(steps: Sequence[str | Step]) -> Recipe:
    """Read a recipe such as ``["downscale:4", "noise:0-50", "jpeg:30-90,chroma=444"]``.

    Where an amount is a range, it is drawn uniformly for each picture; with ``chance=0.5`` a step befalls half of them.

    Raises
    ------
    UsageError
        An unknown degradation or setting, or a value that is not allowed; the message says what is.
    """
    read = tuple(Step.parse(step) if isinstance(step, str) else step for step in steps)
    return Recipe(tuple(_with_chance(step) for step in read), read)


def _in_grey(step: Step, damage: Damage | Sometimes) -> Step:
    own = damage.damage if isinstance(damage, Sometimes) else damage
    return dataclasses.replace(step, settings={**step.settings, "gray": "true"}) if hasattr(own, "gray") else step


def _with_chance(step: Step) -> Damage | Sometimes:
    settings = dict(step.settings)
    text = settings.pop("chance", None)
    damage = build(Step(step.name, step.choice, settings))
    if text is None:
        return damage
    try:
        probability = float(text)
    except ValueError:
        probability = -1.0
    if not 0 <= probability <= 1:
        raise UsageError(str(step), f"chance={text} is not allowed", "it should be a number from 0 to 1")
    return Sometimes(damage, probability)


def build(step: Step | str) -> Damage:
    """Make the damage that one step describes.

    Raises
    ------
    UsageError
        As for `parse`.
    """
    step = Step.parse(step) if isinstance(step, str) else step
    owner = DEGRADATIONS.get(step.name)
    if owner is None:
        raise UsageError(repr(step.name), "is no degradation", _suggestion(step.name, DEGRADATIONS))
    try:
        return pydantic.TypeAdapter(owner).validate_python(_values(step, owner))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        problem = f"{field}={first['input']} is not allowed"
        advice = first["msg"].removeprefix("Value error, ").replace("Input should be", "it should be")
        raise UsageError(str(step), problem, advice) from error


def draw_mask(step: str | Step, size: tuple[int, int], seeds: Tensor, *, index: int = 0) -> Tensor:
    """Draw masks without damaging anything, for training and trying inpainters.

    Parameters
    ----------
    step : str or Step
        A degradation that marks: ``"holes:irregular,coverage=0.1-0.4"``, ``"scratches"``, ``"dust"``, ``"text"``.
    size : tuple of int
        ``(H, W)``.
    seeds : Tensor
        ``(N,)`` int64, one a mask.
    index : int
        The step's place in a recipe; with it the masks are those that the recipe would return.

    Returns
    -------
    Tensor
        ``(N, 1, H, W)`` float32 in {0, 1} on the seeds' device.

    Raises
    ------
    UsageError
        As for `parse`, or the degradation marks nothing.
    """
    damage = build(step)
    if not isinstance(damage, _Marking):
        marking = [name for name, owner in DEGRADATIONS.items() if hasattr(owner, "mark")]
        raise UsageError(str(step), "marks nothing", f"masks come from {', '.join(marking)}")
    marks = [damage.mark(size, chance) > 0 for chance in chances(seeds, index, damage.name)]
    stacked = np.stack(marks) if marks else np.zeros((0, *size))
    return torch.from_numpy(stacked.astype(np.float32))[:, None].to(seeds.device)


def _values(step: Step, owner: type[Damage]) -> dict[str, str]:
    """Return the settings of a step by field, its main choice among them."""
    allowed = [field.name for field in dataclasses.fields(owner)]
    values = {key.replace("-", "_"): value for key, value in step.settings.items()}
    if step.choice:
        if not owner.choice:
            raise UsageError(str(step), f"{step.name} has no amount to choose", f"write {step.name}")
        if owner.choice in values:
            raise UsageError(str(step), f"{owner.choice!r} is given twice", "give it once")
        values[owner.choice] = step.choice
    for key in values:
        if key not in allowed:
            raise UsageError(str(step), f"{step.name} has no setting {key!r}", _suggestion(key, allowed))
    return values


def _suggestion(word: str, allowed: Sequence[str] | dict[str, Any]) -> str:
    near = difflib.get_close_matches(word, allowed, n=1)
    if near:
        return f"did you mean {near[0]}?"
    return f"there {'is' if len(allowed) == 1 else 'are'} {', '.join(allowed)}" if allowed else "it has none"
