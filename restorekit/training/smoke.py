"""A minute of training on pictures that come along, so that anyone can see the runner work."""

from __future__ import annotations

import dataclasses

import numpy as np
from skimage import data

from restorekit.sources import Source
from restorekit.sources.arrays import ArraySource
from restorekit.specs import GeneratorSpec
from restorekit.values import resolve

__all__ = ["smoke_data", "smoke_settings"]

_SIDE = 64


def smoke_data() -> Source:
    """Cut scikit-image's photos into 64 px pictures."""
    tiles = [
        photo[y : y + _SIDE, x : x + _SIDE]
        for photo in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket())
        for y in range(0, photo.shape[0] - _SIDE + 1, _SIDE)
        for x in range(0, photo.shape[1] - _SIDE + 1, _SIDE)
    ]
    return ArraySource("scikit-image's photos", np.stack(tiles))


def smoke_settings(spec: GeneratorSpec) -> list[str]:
    """Return settings for a minute on a small machine: the spec's own smallest network, few steps."""
    network = resolve(spec, spec.config)
    small = dict(getattr(network, "smoke", {}))
    fields = {field.name: field.default for field in dataclasses.fields(network)}
    crop = small.get("size", fields.get("size", _SIDE))  # networks of one size take pictures of that size
    run = ("steps=200", "batch_size=8", f"crop={crop}", "log_every=20", "sample_every=100", "checkpoint_every=100")
    return [*(f"network.{key}={value}" for key, value in small.items()), *(f"run.{setting}" for setting in run)]
