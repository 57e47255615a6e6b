"""Checks of training: a tiny network, taught on a handful of drawn pictures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from safetensors.numpy import load_file
from torch import nn

from restorekit.contract import Batch, Geometry, Phase, Trainable
from restorekit.degradations import parse
from restorekit.sources.arrays import ArraySource
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.pictures import pictures
from restorekit.testing.checks.subject import Subject
from restorekit.testing.checks.watched import WatchedUpdate
from restorekit.training import load_plan, train
from restorekit.values import resolve

__all__ = ["CHECKS", "Lesson"]

_BATCH = 4
#: Steps after which a loss on one and the same batch has to have fallen, and by what share.
_STEPS, _SHARE = 60, 0.02


class Lesson:
    """A trainer of a fresh network, and the one batch that it learns from.

    Parameters
    ----------
    subject : Subject
        Has a trainer.
    """

    def __init__(self, subject: Subject):
        spec = subject.spec
        self.loaded = subject.build()
        recipe = resolve(spec, spec.recipe)(**subject.small("recipe"))
        self.trainer = resolve(spec, spec.trainer)(self.loaded.generator, recipe)
        if not isinstance(self.trainer, Trainable):
            raise Failure(
                f"{spec.trainer} makes a {type(self.trainer).__name__}, which is no Trainable",
                way_out="give it batches_per_step, networks(), phases() and training_step(batches, update)",
            )
        self.networks: Mapping[str, nn.Module] = dict(self.trainer.networks())
        self.phases: Mapping[str, Phase] = dict(self.trainer.phases())
        for network in self.networks.values():
            network.train()
        self.batch = self._batch(side(self.loaded.generator))

    def _batch(self, length: int) -> Batch:
        clean = pictures(length, length, range(1, _BATCH + 1))
        seeds = torch.arange(1, _BATCH + 1)
        classes = int(getattr(self.loaded.config, "classes", 0))
        labels = seeds % classes if classes else None
        degradation = getattr(self.trainer, "degradation", None)
        if degradation is None:
            return Batch(clean, targets=clean, labels=labels, seeds=seeds)
        damaged = parse(degradation())(clean, seeds)
        return Batch(damaged.images, masks=damaged.masks, targets=clean, labels=labels, seeds=seeds)

    def step(self, update: WatchedUpdate) -> None:
        """Let the trainer do one step, always on the same batch."""
        scalars = self.trainer.training_step([self.batch] * self.trainer.batches_per_step, update)
        update.verify()
        for name, scalar in scalars.items():
            if not isinstance(scalar, torch.Tensor) or scalar.numel() != 1:
                raise Failure(f"training_step returns {name!r}, which is no tensor with one number")


def side(generator: object) -> int:
    """Return a side of training crops that suits a generator."""
    geometry = getattr(generator, "geometry", Geometry())
    if geometry.size is not None:
        return max(geometry.size)
    grid = geometry.multiple_of * geometry.scale
    return -(-48 // grid) * grid


def _teachable(subject: Subject) -> bool:
    return not subject.problem and bool(subject.spec.trainer)


@check(
    "trainer",
    why="the runner, its checkpoints and its optimizers are made from what the trainer says",
    way_out="see restorekit.contract.Trainable: networks() has 'generator', and phases() name networks among them",
    concerns=_teachable,
)
def trainer(subject: Subject) -> None:
    """Look at networks and phases."""
    lesson = Lesson(subject)
    if not isinstance(lesson.loaded.generator, nn.Module):
        raise Failure("the generator is no torch.nn.Module")
    if lesson.networks.get("generator") is not lesson.loaded.generator:
        raise Failure("networks() has no 'generator' that is the generator it was given")
    if lesson.trainer.batches_per_step < 1 or not lesson.phases:
        raise Failure(f"it has {len(lesson.phases)} phases and reads {lesson.trainer.batches_per_step} batches a step")
    owners: dict[str, str] = {}
    for name, phase in lesson.phases.items():
        for network in phase.networks:
            if network not in lesson.networks:
                raise Failure(f"phase {name!r} moves {network!r}, which networks() does not have")
            if network in owners:
                raise Failure(
                    f"the phases {owners[network]!r} and {name!r} both move {network!r}",
                    "each phase has an optimizer of its own, and two would pull at the same parameters",
                    "let one phase move it, or split the network",
                )
            owners[network] = name
    for name, network in lesson.networks.items():
        if name not in owners and any(p.requires_grad for p in network.parameters()):
            raise Failure(
                f"no phase moves {name!r}",
                "it would be saved in every checkpoint, and never learn",
                "name it in a phase, or freeze it with requires_grad_(False)",
            )


@check(
    "phases",
    why="the core's accumulation, clipping, averaging over processes and moving averages see only what goes through "
    "update(), phase by phase",
    way_out="in training_step, call update(phase, loss, batch) with a loss that is a function of the batch",
    concerns=_teachable,
)
def phases(subject: Subject) -> None:
    """Watch a few steps."""
    lesson = Lesson(subject)
    update = WatchedUpdate(lesson.networks, lesson.phases)
    for _ in range(3):
        lesson.step(update)
    for name, phase in lesson.phases.items():
        if not update.losses[name]:
            raise Failure(f"training_step never updates phase {name!r}")
        if still := sorted(set(phase.networks) - update.moved):
            raise Failure(f"phase {name!r} leaves {still[0]!r} where it is")


@check(
    "learns",
    why="a network whose loss does not fall on four pictures will not learn from four thousand",
    way_out="see that the loss compares with batch.targets, that its sign is right, and that the learning rate is "
    "neither tiny nor so large that it diverges",
    concerns=_teachable,
)
def learns(subject: Subject) -> None:
    """Teach it one batch again and again; phases that work against each other only have to stay finite."""
    lesson = Lesson(subject)
    update = WatchedUpdate(lesson.networks, lesson.phases)
    opposed = len(lesson.phases) > 1
    for step in range(10 if opposed else _STEPS):
        lesson.step(update)
        if not opposed and step >= 5 and _fallen(next(iter(update.losses.values()))):
            return
    if not opposed:
        (losses,) = update.losses.values()
        raise Failure(f"after {len(losses)} steps on one batch the loss is {losses[-1]:.4g}, and was {losses[0]:.4g}")


def _fallen(losses: list[float]) -> bool:
    return losses[-1] < losses[0] - _SHARE * abs(losses[0])


@check(
    "resume",
    why="a run that was killed must go on as if nothing had happened; otherwise no long training can be reproduced",
    way_out="keep no state outside networks(): counts in restorekit.nn.progress.Progress or a buffer, randomness from "
    "Batch.seeds",
    concerns=_teachable,
)
def resume(subject: Subject) -> None:
    """Train 4 steps; train 2, and 2 more in a second run; compare to the last bit."""
    spec = subject.spec
    length = side(subject.generator)
    made = (pictures(length, length, range(12)) * 255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()
    data = ArraySource(
        "drawn pictures", made, np.arange(len(made)) % max(1, getattr(subject.loaded.config, "classes", 1))
    )
    tables = {"network": subject.small("config"), "recipe": subject.small("recipe")}
    values = [f"{table}.{key}={value!r}" for table, pairs in tables.items() for key, value in pairs.items()]
    run = ("steps=4", f"batch_size={_BATCH}", f"crop={length}", "log_every=1", "workers=1", "sample_every=4")
    settings = [*values, *(f"run.{setting}" for setting in (*run, "checkpoint_every=2", "precision=fp32"))]
    whole, parts = subject.folder / "whole", subject.folder / "parts"

    def teach(steps: int, folder: str, again: bool = False) -> None:
        plan = load_plan(spec, settings=settings)
        options = {"registry": subject.registry, "device": "cpu", "steps": steps, "resume": again}
        train(plan, data, subject.folder / folder, **options)  # pyright: ignore[reportArgumentType]

    teach(4, "whole")
    teach(2, "parts")
    teach(4, "parts", again=True)
    one, other = (load_file(folder / "weights.safetensors") for folder in (whole, parts))
    changed = sorted(key for key in one if key not in other or not np.array_equal(one[key], other[key]))
    if changed:
        raise Failure(f"2 steps and 2 more give other weights than 4: {len(changed)} tensors, such as {changed[0]}")


CHECKS = (trainer, phases, learns, resume)
