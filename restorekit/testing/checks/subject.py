"""What is checked: one generator, built small, with everything the checks ask about it."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import random
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restorekit.contract import Batch, Detector, Geometry, Planner, Restorer, Sampler
from restorekit.registry import Loaded, Plugin, Registry
from restorekit.specs import GeneratorSpec, Step
from restorekit.testing.checks.pictures import grid_mask, pictures
from restorekit.values import resolve
from restorekit.weights.networks import networks_of, save

__all__ = ["Subject", "disturb_global_randomness"]


class Subject:
    """One generator under examination.

    A generator that is yet to be trained is built with its configuration's ``smoke`` settings and fresh weights, which
    are saved to a file where a check needs to load it; others are loaded as a user would.

    Parameters
    ----------
    registry : Registry
        Where it is installed.
    plugin : Plugin
        That brings it.
    spec : GeneratorSpec, optional
        Its description; none for a plugin that is broken.
    scratch : TemporaryDirectory
        For files.
    given : Step, optional
        What it is looked at with, where the user says so: its weights, or other settings than the defaults.
    """

    def __init__(
        self,
        registry: Registry,
        plugin: Plugin,
        spec: GeneratorSpec | None,
        scratch: tempfile.TemporaryDirectory[str],
        given: Step | None = None,
    ):
        self.registry = registry
        self.plugin = plugin
        self._spec = spec
        self._scratch = scratch
        self._given = given

    @property
    def name(self) -> str:
        """The generator's; of a broken plugin its own."""
        return self.plugin.name if self._spec is None else self._spec.name

    @property
    def spec(self) -> GeneratorSpec:
        """Its description."""
        assert self._spec is not None, f"plugin {self.plugin.name} is broken"
        return self._spec

    @property
    def folder(self) -> Path:
        """For scratch files."""
        return Path(self._scratch.name)

    @functools.cached_property
    def homes(self) -> tuple[Path, ...]:
        """The files or folders that hold the plugin's code."""
        if self._spec is None:
            return ()
        found = importlib.util.find_spec(self._spec.factory.partition(":")[0].partition(".")[0])
        if found is None or found.origin is None:
            return ()
        origin = Path(found.origin).resolve()
        return (origin.parent if found.submodule_search_locations else origin,)

    # The generator

    def build(self) -> Loaded:
        """Build it anew; the same weights every time."""
        torch.manual_seed(0)
        if self.spec.trainer:
            loaded = self.registry.build(self.name, self.small("config"))
        else:
            loaded = self.registry.load(self._asked)
        for network in networks_of(loaded.generator).values():
            network.eval()
        return loaded

    def small(self, which: str) -> dict[str, Any]:
        """Return the ``smoke`` values of the spec's ``config`` or ``settings`` class: small and quick."""
        reference = getattr(self.spec, which)
        return dict(getattr(resolve(self.spec, reference), "smoke", {})) if reference else {}

    @functools.cached_property
    def loaded(self) -> Loaded:
        """The one that most checks look at."""
        return self.build()

    @property
    def generator(self) -> Any:
        """What the factory made."""
        return self.loaded.generator

    @functools.cached_property
    def problem(self) -> str:
        """Why it cannot be built; ``""`` where it can."""
        if self.lacks_weights:
            return "weights were not given"
        try:
            _ = self.generator
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        return ""

    @property
    def lacks_weights(self) -> bool:
        """Whether it computes with weights that users bring, and none were given: it cannot be built."""
        return self._spec is not None and bool(self._spec.weights_setting) and self._given is None

    def is_a(self, *protocols: type) -> bool:
        """Whether it could be built and satisfies one of the protocols."""
        return self._spec is not None and not self.problem and isinstance(self.generator, protocols)

    @property
    def sees_pictures(self) -> bool:
        """Whether it is a restorer or a detector."""
        return self.is_a(Restorer, Detector)

    @property
    def networks(self) -> Mapping[str, nn.Module]:
        """Its networks by name."""
        return networks_of(self.generator) if self.is_a(Restorer, Detector, Sampler, Planner) else {}

    @property
    def geometry(self) -> Geometry:
        """As the core takes it: a detector's is optional."""
        declared = getattr(self.generator, "geometry", None)
        return declared if isinstance(declared, Geometry) else Geometry(whole_image=True)

    @property
    def channels(self) -> int:
        """Of the output."""
        return 3 if self.is_a(Restorer) else 1

    @property
    def call(self) -> Callable[[Batch], Tensor]:
        """What makes pictures of pictures: ``restore``, or of a detector ``detect``."""
        return self.generator.restore if self.is_a(Restorer) else self.generator.detect

    @functools.cached_property
    def settings(self) -> dict[str, object]:
        """Validated values of ``Batch.settings``, quick where the class says how."""
        chosen = self.small("settings")
        if not chosen or self._given:
            return dict(self.loaded.settings)
        return dataclasses.asdict(resolve(self.spec, self.spec.settings)(**chosen))

    @property
    def _asked(self) -> Step:
        """What the user gave, or the name alone; small and quick where nothing else is said."""
        given = self._given or Step(self.name)
        fixed = {} if self.spec.weights else self.small("config")
        chosen = {key: str(value) for key, value in {**fixed, **self.small("settings")}.items()}
        return dataclasses.replace(given, settings={**chosen, **given.settings})

    @functools.cached_property
    def step(self) -> Step:
        """A step that the registry loads it by: through a weights file where it is yet to be trained."""
        if not self.spec.trainer:
            return self._asked
        chosen = {key: str(value) for key, value in self.small("settings").items()}
        file = self.folder / "weights.safetensors"
        save(self.generator, file, spec=self.spec, config=self.loaded.config)
        return Step(str(file), settings=chosen)

    # What it is given

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the nearest size that the core would give it: its own, or the next multiples."""
        if self.geometry.size is not None:
            return self.geometry.size
        multiple = self.geometry.multiple_of
        return -(-height // multiple) * multiple, -(-width // multiple) * multiple

    def batch(self, height: int = 37, width: int = 45, seeds: tuple[int, ...] = (1, 2), grey: bool = False) -> Batch:
        """Return one picture a seed, each a function of its own seed; with masks where the generator repairs holes."""
        height, width = self.size(height, width)
        images = pictures(height, width, seeds, grey)
        masks = torch.stack([grid_mask(height, width, seed) for seed in seeds]) if self.repairs_holes else None
        return Batch(images, masks=masks, seeds=torch.tensor(seeds, dtype=torch.int64), settings=self.settings)

    @property
    def repairs_holes(self) -> bool:
        """Whether it is an inpainter."""
        return self.is_a(Restorer) and (self.geometry.needs_mask or "inpaint" in self.spec.tasks)

    def output(self, batch: Batch) -> Tensor:
        """Return what it makes of a batch, in float32."""
        with torch.no_grad():
            return self.call(batch).float()


def disturb_global_randomness(number: int) -> None:
    """Seed every global generator, to see whether anything depends on one."""
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    torch.manual_seed(number)
