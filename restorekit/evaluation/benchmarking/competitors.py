"""Who takes part: chains of steps, and the methods without training that every learned one has to beat."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restorekit.contract import Detector, Restorer
from restorekit.degradations import Recipe
from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import Registry
from restorekit.specs import GeneratorSpec, Step

__all__ = ["Competitor", "baselines", "detects", "tasks_of"]

#: What undoes a damage. Whatever marks what it destroys is for inpainters, see `tasks_of`.
_TASKS = {
    "downscale": "super-resolve",
    "noise": "denoise",
    "poisson": "denoise",
    "jpeg": "deblock",
    "blur": "deblur",
    "fade": "enhance",
    "gray": "colorize",
    "haze": "dehaze",
}


@dataclass(frozen=True, slots=True)
class Competitor:
    """One row of the table.

    Parameters
    ----------
    name : str
        As it was asked for.
    steps : tuple of Step
        In order; none leaves the damaged picture as it is.
    baseline : bool
        Whether it was added for comparison.
    """

    name: str
    steps: tuple[Step, ...]
    baseline: bool = False

    @classmethod
    def parse(cls, text: str, baseline: bool = False) -> Competitor:
        """Read a step, or several joined by ``+`` that run in order.

        >>> Competitor.parse("nlmeans:10 + bicubic:2").steps
        (Step(name='nlmeans', choice='10', settings={}, reason=''), Step(name='bicubic', choice='2', settings={}, reason=''))

        Raises
        ------
        UsageError
            A step does not follow the grammar.
        """  # noqa: E501
        # A file may have a + in its name, and a number one in its exponent.
        parts = [text] if Path(text).exists() else re.split(r"\s*\+(?!\d)\s*", text)
        return cls(text, tuple(Step.parse(part) for part in parts), baseline)


def detects(registry: Registry, competitor: Competitor) -> bool | None:
    """Return whether a competitor marks damage and restores nothing; ``None`` where what it names is not here.

    Raises
    ------
    UsageError
        There is no such generator.
    """
    try:
        tasks = [registry.spec_of(step).tasks for step in competitor.steps]
    except NotAvailable:
        return None
    return bool(tasks) and all(each == {"detect"} for each in tasks)


def tasks_of(recipe: Recipe, enlarges: bool) -> frozenset[str]:
    """Return the tasks at hand: what restorers have to be for, to be compared fairly.

    Parameters
    ----------
    recipe : Recipe
        The damage.
    enlarges : bool
        Whether pictures have to become larger; only super-resolvers can do that, whatever else was damaged.
    """
    if enlarges:
        return frozenset({"super-resolve"})
    owners = [getattr(damage, "damage", damage) for damage in recipe.damages]  # one that comes by chance has it inside
    if any(hasattr(damage, "mark") for damage in owners):
        return frozenset({"inpaint"})
    return frozenset(_TASKS[step.name] for step in recipe.steps if step.name in _TASKS)


def baselines(
    registry: Registry, tasks: frozenset[str], factor: float, known: Sequence[Competitor]
) -> list[Competitor]:
    """Return the methods that need no training and do a task at hand.

    Parameters
    ----------
    registry : Registry
        Where they are looked for: all generators that have neither weights nor a trainer, and are not slow.
    tasks : frozenset of str
        See `tasks_of`.
    factor : float
        By how much pictures have to become larger.
    known : sequence of Competitor
        Who takes part already, and is not added again.
    """
    asked = {str(each.steps[0]) for each in known if len(each.steps) == 1}
    found = []
    for spec in registry.generators:
        learned = spec.weights or spec.weights_setting or spec.trainer
        if learned or spec.slow or not tasks & spec.tasks:
            continue
        step = _fitting(registry, spec, factor)
        if step is not None and not {str(step), spec.name} & asked:
            found.append(Competitor(str(step), (step,), baseline=True))
    return found


def _fitting(registry: Registry, spec: GeneratorSpec, factor: float) -> Step | None:
    """Return the step that fits the enlargement, ``None`` where there is none."""
    scale = math.ceil(factor)
    for step in _candidates(spec, scale):
        try:
            generator: Any = registry.load(step).generator
        except NotAvailable:
            return step  # it takes part, and its row says what it lacks
        except UsageError:
            continue
        if isinstance(generator, Restorer) and generator.geometry.scale == scale:
            return step
        if isinstance(generator, Detector) and scale == 1:
            return step
    return None


def _candidates(spec: GeneratorSpec, scale: int) -> Iterator[Step]:
    if scale > 1:
        yield (
            Step(spec.name, choice=str(scale))
            if spec.choice == "scale"
            else Step(spec.name, settings={"scale": str(scale)})
        )
    yield Step(spec.name)
