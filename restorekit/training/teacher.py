"""A restorer that helps to teach another: some of the target pixels are what it makes of the picture."""

from __future__ import annotations

import dataclasses

import torch
from pydantic import JsonValue

from restorekit.contract import Batch, Restorer
from restorekit.errors import UsageError
from restorekit.inference.device import Runtime
from restorekit.inference.ensemble import another_view, ensembled
from restorekit.nn.chance import uniforms
from restorekit.registry import Loaded, Registry
from restorekit.specs import Step
from restorekit.weights.files import read_header
from restorekit.weights.networks import networks_of

__all__ = ["Teacher"]

#: Use of a sample's seed: which pixels are the teacher's.
_PIXELS = 7004
#: Of how the teacher's weights came to be: their data and terms are also those of what it teaches.
_TOLD = ("config", "data", "degradation", "earlier", "start", "steps", "terms")


class Teacher:
    """Changes the targets of training batches.

    For a loss that is a mean over pixels, pixels drawn at random stand for a weighted sum of two losses, one against
    the clean picture and one against the teacher's.

    Parameters
    ----------
    step : str
        Names the restorer as on the command line; with ``ensemble=N`` N views are averaged, else one is drawn.
    share : float
        Of the pixels that are the teacher's, in [0, 1].
    registry : Registry
        Where it is found.
    student : Loaded
        Who is taught.
    runtime : Runtime
        Device and precision.

    Raises
    ------
    UsageError
        One of the two is no restorer, or they enlarge by different factors.
    NotAvailable
        The teacher's weights are not here, or not sound.

    References
    ----------
    Hinton, Vinyals, Dean 2015, "Distilling the knowledge in a neural network"; Radosavovic et al. 2018, "Data
    distillation: towards omni-supervised learning", section 3 (views of a picture).
    """

    def __init__(self, step: str, share: float, registry: Registry, student: Loaded, runtime: Runtime):
        self._loaded = registry.load(step)
        self._share, self._runtime = share, runtime
        pupil, teacher = student.generator, self._loaded.generator
        if not isinstance(pupil, Restorer):
            raise UsageError("run.teacher", f"{student.spec.name} restores no pictures", "leave it out")
        if not isinstance(teacher, Restorer):
            raise UsageError("run.teacher", f"{step} restores no pictures", "name a restorer")
        if teacher.geometry.scale != pupil.geometry.scale:
            factors = f"{step} enlarges by {teacher.geometry.scale}, and {student.spec.name} by {pupil.geometry.scale}"
            raise UsageError("run.teacher", factors, "name one of the same factor")
        self._restore = ensembled(teacher.restore, self._loaded.ensemble)
        for network in networks_of(teacher).values():
            network.to(runtime.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        weights = registry.weights_path(Step.parse(step))
        training = read_header(weights).training if weights is not None else {}
        self.told: dict[str, JsonValue] = {
            "step": step if weights is None else f"{self._loaded.spec.name} {self._loaded.weights_sha256}",
            "share": share,
            **{key: value for key, value in training.items() if key in _TOLD},
        }

    @torch.no_grad()
    def taught(self, batch: Batch) -> Batch:
        """Return the batch with targets that are partly the teacher's."""
        assert batch.targets is not None
        assert batch.seeds is not None
        asked = dataclasses.replace(batch, targets=None, settings=self._loaded.settings)
        with self._runtime.autocast(self._runtime.precision):
            made = self._restore(asked) if self._loaded.ensemble > 1 else another_view(self._restore, asked)
        made = made.float().clamp(0, 1)
        if batch.masks is not None:
            made = torch.where(batch.masks > 0, made, batch.images)
        size = made.shape[2:]
        theirs = uniforms(batch.seeds, size.numel(), _PIXELS).to(made.device).unflatten(1, (1, *size)) < self._share
        return dataclasses.replace(batch, targets=torch.where(theirs, made, batch.targets))
