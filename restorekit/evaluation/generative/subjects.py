"""What is measured: a generator with trained weights, and what of it a linear probe looks at."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from restorekit.contract import FeatureExtractor, Trainable
from restorekit.errors import NotAvailable
from restorekit.registry import Loaded, Registry
from restorekit.specs import Step
from restorekit.training import load_plan
from restorekit.training.checkpoint import latest
from restorekit.values import resolve

__all__ = ["Subject", "from_run", "from_step"]


@dataclass(frozen=True)
class Subject:
    """One row of the table.

    Parameters
    ----------
    name : str
        As it was asked for.
    loaded : Loaded
        The generator.
    extractor : FeatureExtractor, optional
        Whose features a linear probe looks at.
    networks : mapping of str to Module
        What the extractor runs besides the generator.
    """

    name: str
    loaded: Loaded
    extractor: FeatureExtractor | None = None
    networks: Mapping[str, nn.Module] | None = None


def from_step(registry: Registry, step: Step | str) -> Subject:
    """Load a generator by name, or from its weights file.

    Weights files hold no discriminator: a linear probe then looks at what the generator itself encodes.
    """
    loaded = registry.load(step)
    own = loaded.generator
    return Subject(str(step), loaded, own if isinstance(own, FeatureExtractor) else None)


def from_run(registry: Registry, folder: Path) -> Subject:
    """Load what a training left: the weights it wrote, and the other networks from its last checkpoint.

    Raises
    ------
    NotAvailable
        The folder holds no run, none with weights and a checkpoint, or they are damaged.
    """
    weights, checkpoint = folder / "weights.safetensors", latest(folder / "checkpoints")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        config.pop("data", None)
    except (OSError, ValueError, AttributeError) as error:
        raise NotAvailable(folder, "holds no training run", "name the folder given to `restorekit train -o`") from error
    if not weights.is_file() or checkpoint is None:
        raise NotAvailable(folder, "has no weights and checkpoint yet", "go on with `restorekit train --resume`")
    loaded = registry.load(Step(str(weights)))
    plan = load_plan(loaded.spec, saved=config)
    trainer = resolve(loaded.spec, loaded.spec.trainer)(loaded.generator, plan.recipe)
    if not isinstance(trainer, FeatureExtractor) or not isinstance(trainer, Trainable):
        own = loaded.generator
        return Subject(str(folder), loaded, own if isinstance(own, FeatureExtractor) else None)
    networks = {name: network for name, network in trainer.networks().items() if name != "generator"}
    _restore(networks, checkpoint / "networks.safetensors")
    return Subject(str(folder), loaded, trainer, networks)


def _restore(networks: Mapping[str, nn.Module], path: Path) -> None:
    """Give networks their values of a checkpoint; the generator's are in the weights, averaged."""
    try:
        stored = load_file(path)
        for name, network in networks.items():
            prefix = f"{name}."
            network.load_state_dict({k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)})
            network.eval()
    except (OSError, SafetensorError, RuntimeError) as error:
        problem = " ".join(str(error).split())[:200]
        raise NotAvailable(path, f"cannot be read ({problem})", "train again, or name the weights file") from error
