"""``degrade``: the same run, but pictures are damaged instead of restored."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from restorekit.batch.engines.local import LocalEngine
from restorekit.batch.options import BatchOptions
from restorekit.batch.results import Result
from restorekit.batch.run import run
from restorekit.batch.workers import Listener
from restorekit.degradations import Recipe
from restorekit.images.resize import resize
from restorekit.inference import Job, Outcome, choose_runtime
from restorekit.inference.alpha import covered, hidden_pixels
from restorekit.inference.arrays import to_array, to_tensor, unit_of
from restorekit.registry import Registry
from restorekit.specs import Step

__all__ = ["Degrading", "degrade"]


class Degrading:
    """A chain of degradations, seeded by each picture's own seed.

    Parameters
    ----------
    recipe : Recipe
        What is done, in order.
    """

    def __init__(self, recipe: Recipe):
        self._recipe = recipe
        self._grey = recipe.for_grey()

    def plan(self, job: Job) -> tuple[Step, ...]:
        """Return the recipe's steps, the same for every picture."""
        return self._recipe.steps

    def concurrent(self, steps: Sequence[Step]) -> bool:
        """Say yes: degradations use one core and share nothing."""
        return True

    def run(self, chains: Sequence[tuple[Job, tuple[Step, ...]]]) -> list[Outcome]:
        """Damage each picture; what is damaged beyond its pixels' values is in the outcome's mask."""
        outcomes = []
        for job, _ in chains:
            try:
                outcomes.append(self._degrade(job))
            except Exception as error:
                outcomes.append(Outcome(None, error=error))
        return outcomes

    def _degrade(self, job: Job) -> Outcome:
        picture = job.picture
        unit = unit_of(picture.pixels)
        hidden = hidden_pixels(picture.alpha)
        visible = covered(picture.pixels, hidden)
        image = to_tensor(visible if unit == 1.0 else visible / np.float32(unit)).expand(3, -1, -1)
        masks = None if job.mask is None else torch.from_numpy(job.mask.astype(np.float32))[None, None]
        recipe = self._grey if picture.pixels.shape[2] == 1 else self._recipe
        degraded = recipe(image[None], torch.tensor([job.seed]), masks)
        pixels = to_array(degraded.images[0], picture.pixels.shape[2], picture.pixels.dtype)
        if unit != 1.0:
            pixels *= np.float32(unit)
        height, width = pixels.shape[:2]
        alpha = picture.alpha
        if hidden is not None and hidden.shape == (height, width):
            pixels[hidden] = picture.pixels[hidden]
        if alpha is not None and alpha.shape != (height, width):
            shrunk = resize(to_tensor(alpha[..., None])[None], (height, width))[0]
            alpha = to_array(shrunk, 1, alpha.dtype)[..., 0]
        damaged = dataclasses.replace(
            picture,
            pixels=pixels,
            alpha=alpha,
            info=dataclasses.replace(picture.info, width=width, height=height),
        )
        mask = None if degraded.masks is None else degraded.masks[0, 0].numpy() > 0
        return Outcome(damaged, self._recipe.steps, mask)


def degrade(
    inputs: Sequence[str | os.PathLike[str]],
    output: Path,
    recipe: Recipe,
    options: BatchOptions,
    *,
    registry: Registry,
    listener: Listener | None = None,
    command: str = "",
    on_unexpected: Callable[[BaseException], None] = lambda error: None,
) -> Result:
    """Write damaged copies of pictures, and the masks of holes, scratches, dust and text beside them.

    Raises
    ------
    UsageError
        The request is wrong, or the folder holds a run with other settings.
    OutputError
        The folder is in use by another run, or nothing can be written any more.
    """
    return run(
        inputs,
        output,
        options,
        LocalEngine(lambda *_: Degrading(recipe), choose_runtime("cpu", "fp32"), registry),
        settings={"steps": [str(step) for step in recipe.steps]},
        registry=registry,
        write_masks=True,
        listener=listener,
        command=command,
        on_unexpected=on_unexpected,
    )
