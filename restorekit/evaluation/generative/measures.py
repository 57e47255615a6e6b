"""What a generator and its networks say about real pictures: its own numbers, and its features."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from restorekit.contract import Batch, Measurable
from restorekit.errors import NotAvailable, RestorekitError
from restorekit.evaluation.generative.pictures import Pictures
from restorekit.evaluation.generative.subjects import Subject
from restorekit.evaluation.intervals import interval
from restorekit.inference import Runtime
from restorekit.inference.device import placed

__all__ = ["Measured", "features_of", "own_numbers"]

#: Features held at once, in bytes; more are refused.
MEMORY = 8 << 30

Listener = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Measured:
    """A number of each picture.

    Parameters
    ----------
    values : ndarray
        ``(N,)`` float64, in the order of the pictures.
    """

    values: NDArray[np.float64]

    @property
    def mean(self) -> float:
        """Over the pictures."""
        return float(self.values.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean."""
        return float(self.values.std(ddof=1) / np.sqrt(len(self.values))) if len(self.values) > 1 else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Bootstrapped 95 % interval of the mean."""
        return interval(self.values.tolist())


def own_numbers(subject: Subject, pictures: Pictures, runtime: Runtime, listener: Listener) -> dict[str, Measured]:
    """Compute the numbers that a generator has for pictures, such as bounds of their likelihood.

    Parameters
    ----------
    subject : Subject
        Its generator is `restorekit.contract.Measurable`.
    pictures : Pictures
        Of the size that it takes.
    runtime : Runtime
        The device; the precision is float32.
    listener : callable
        Is told what happens, how many pictures are done, and of how many.

    Raises
    ------
    RestorekitError
        A number is not finite.
    """
    generator = subject.loaded.generator
    assert isinstance(generator, Measurable)
    _ready(subject, runtime)
    functions = generator.metrics(subject.loaded.settings)
    found: dict[str, list[Tensor]] = {name: [] for name in functions}
    done = 0
    with torch.no_grad():
        for batch in pictures.batches():
            moved = dataclasses.replace(_moved(batch, runtime.device), settings=subject.loaded.settings)
            for name, function in functions.items():
                found[name].append(function(moved).double().cpu())
            done += len(batch.images)
            listener(f"{', '.join(functions)} of {subject.name}", done, len(pictures))
    values = {name: torch.cat(parts).numpy() for name, parts in found.items()}
    for name, own in values.items():
        if not np.isfinite(own).all():
            number = int(np.flatnonzero(~np.isfinite(own))[0])
            raise RestorekitError(
                subject.name, f"{name} of picture {number} is not finite", "the training has diverged"
            )
    return {name: Measured(own) for name, own in values.items()}


def features_of(subject: Subject, pictures: Pictures, runtime: Runtime, listener: Listener) -> Tensor:
    """Return ``(N, D)`` float32 features that a subject's networks have for pictures.

    Raises
    ------
    NotAvailable
        It has no features to offer, or more of them than fit into memory.
    """
    if subject.extractor is None:
        name = subject.loaded.spec.name
        problem = f"has nothing that a linear probe could look at: {name}'s weights hold no encoder or discriminator"
        raise NotAvailable(subject.name, problem, "name the folder of its training with --run")
    _ready(subject, runtime)
    parts: list[Tensor] = []
    done = 0
    with torch.no_grad():
        for batch in pictures.batches():
            parts.append(subject.extractor.features(_moved(batch, runtime.device)).float().cpu())
            done += len(batch.images)
            if parts[0][0].numel() * 4 * len(pictures) > MEMORY:
                problem = f"{parts[0].shape[1]} features of {len(pictures)} pictures do not fit into memory"
                raise NotAvailable(subject.name, problem, "choose fewer with --train-count")
            listener(f"features of {subject.name}", done, len(pictures))
    return torch.cat(parts)


def _ready(subject: Subject, runtime: Runtime) -> None:
    own = subject.loaded.generator
    for network in (own, *(subject.networks or {}).values()):
        if isinstance(network, nn.Module):
            placed(network, runtime.device)


def _moved(batch: Batch, device: torch.device) -> Batch:
    def to(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.to(device)

    return dataclasses.replace(batch, images=batch.images.to(device), labels=to(batch.labels), seeds=to(batch.seeds))
