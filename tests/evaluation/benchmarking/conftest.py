"""Small clean pictures, and a way to measure on them."""

import io
import json

import numpy as np
import pytest
from PIL import Image

from restorekit.evaluation.benchmarking import Competitor, Conditions, benchmark, child, picture_set, processes
from restorekit.registry import registry

from ...cli.test_restore import here

__all__ = ["here"]


@pytest.fixture(scope="session")
def clean(photo, tmp_path_factory):
    """Three pictures of different difficulty, whose sides are no multiples of 2, 3 or 4; one in a folder."""
    folder = tmp_path_factory.mktemp("clean")
    (folder / "sub").mkdir()
    calm = np.clip(photo[:67, :85].astype(float) * 0.4 + 100, 0, 255).astype(np.uint8)
    wild = np.random.default_rng(0).integers(0, 256, (53, 65, 3)).astype(np.uint8)
    for name, pixels in (("calm.png", calm), ("photo.png", photo[20:91, 30:123]), ("sub/wild.png", wild)):
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def together(monkeypatch):
    """Let competitors run in this process: their numbers are the same, and starting one takes seconds."""

    def reports(job):
        told = io.StringIO()
        child.work(job, told)
        yield from map(json.loads, told.getvalue().splitlines())

    monkeypatch.setattr(processes, "reports", reports)


@pytest.fixture
def measure(clean, together):
    """Run a benchmark, by default without baselines, in this process."""

    def run(*steps, folder=clean, conditions=None, only=None, with_baselines=False, **options):
        passed = {"illustrated", "show_published", "others", "accepted", "listener"}
        taken = {name: options.pop(name) for name in set(options) - passed}
        return benchmark(
            [Competitor.parse(step) for step in steps],
            picture_set([folder], only),
            conditions or Conditions(**taken),
            registry=registry(),
            with_baselines=with_baselines,
            **options,
        )

    return run
