"""What plugin authors import (with `restorekit.nn`, the only public module for them). Free of torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from restorekit.contract import (
    Batch,
    Converted,
    Converter,
    Detector,
    FeatureExtractor,
    Geometry,
    Loss,
    Measurable,
    Phase,
    PictureInfo,
    Planner,
    Request,
    Restorer,
    Sampler,
    Trainable,
    Update,
)
from restorekit.errors import NotAvailable, PictureError, RestorekitError, UsageError
from restorekit.hookspecs import hookimpl
from restorekit.specs import TASKS, GeneratorSpec, Step, WeightsSource

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "TASKS",
    "Batch",
    "Converted",
    "Converter",
    "Detector",
    "FeatureExtractor",
    "GeneratorSpec",
    "Geometry",
    "Loss",
    "Measurable",
    "NotAvailable",
    "Phase",
    "PictureError",
    "PictureInfo",
    "Planner",
    "Request",
    "RestorekitError",
    "Restorer",
    "Sampler",
    "Step",
    "Trainable",
    "Update",
    "UsageError",
    "WeightsSource",
    "hookimpl",
    "read_tensors",
]


def read_tensors(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a weights file of another project, without running any code of it.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file, or what ``torch.save`` wrote.

    Returns
    -------
    dict of str to Tensor
        On the CPU, flat, by the names that they have in the file; of several networks in it the averaged one's.

    Raises
    ------
    NotAvailable
        It is not there, holds no tensors, claims more than it holds, or would run code when loaded.
    """
    from restorekit.weights.foreign import read_foreign

    return read_foreign(path)
