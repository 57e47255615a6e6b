"""What plugin authors import (with `restorekit.nn`, the only public module for them). Free of torch."""

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
]
