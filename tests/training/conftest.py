"""A tiny training that takes a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from skimage import data

from restorekit.registry import registry
from restorekit.sources.arrays import ArraySource
from restorekit.training import Run, load_plan, train

#: Generators that can be trained, with settings that make a step take milliseconds.
TINY = {
    "super-resolver": ["network.features=8", "network.blocks=1", "network.scale=2", "run.crop=24"],
    "denoiser": ["network.widths=[8, 16]", "network.blocks=1", "run.crop=24"],
    "context-encoder": ["network.width=8", "network.dilations=[1, 2]", "run.crop=32"],
    "dcgan": ["network.width=8", "network.latent=8", "recipe.discriminator_width=8", "run.crop=32"],
    "scratch-detector": ["network.widths=[8, 16]", "run.crop=32"],
    "translate": ["network.widths=[8, 16]", "recipe.discriminator_features=8", "run.crop=32"],
    "vae": ["network.width=8", "network.latent=4", "network.components=2", "run.crop=32"],
}
RUN = ["run.batch_size=4", "run.log_every=1", "run.checkpoint_every=4", "run.sample_every=4", "run.workers=1"]


@pytest.fixture(scope="session")
def tiles() -> ArraySource:
    """Sixty 32 px crops of a photo, with labels."""
    photo = data.astronaut()
    crops = [photo[y : y + 32, x : x + 32] for y in range(0, 192, 32) for x in range(0, 320, 32)]
    return ArraySource("tiles", np.stack(crops), np.arange(len(crops)) % 10)


@pytest.fixture
def teach(tiles: ArraySource) -> Callable[..., Run]:
    """Train a tiny generator into a folder."""

    def run(folder: Path, name: str = "super-resolver", horizon: int = 8, settings=(), **options) -> Run:
        every = [*TINY.get(name, []), *RUN, f"run.steps={horizon}", *settings]
        plan = load_plan(registry().spec(name), settings=every)
        return train(plan, options.pop("data", tiles), folder, registry=registry(), device="cpu", **options)

    return run
