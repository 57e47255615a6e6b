"""The training loop: one for every generator."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
import torch.distributed
from torch import Tensor, nn

import restorekit
from restorekit.batch.lock import locked
from restorekit.batch.plan import Shard
from restorekit.batch.workers import Stop
from restorekit.contract import Batch, Restorer, Trainable
from restorekit.degradations import Recipe, parse
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.files import replace_file
from restorekit.inference.device import Runtime, choose_runtime
from restorekit.registry import Loaded, Registry
from restorekit.sources import Sampler, Source
from restorekit.training.checkpoint import circumstances, latest, load_checkpoint, prune, save_checkpoint
from restorekit.training.config import Plan
from restorekit.training.data import Batches
from restorekit.training.distributed import Group, process_group
from restorekit.training.journal import Journal
from restorekit.training.update import Diverged, Updater
from restorekit.training.validation import Validation
from restorekit.values import resolve
from restorekit.weights.networks import networks_of, save

__all__ = ["Run", "Watcher", "train"]

#: Samples shown in sample pictures.
SHOWN = 16


class Watcher(Protocol):
    """Is told how training goes on."""

    def logged(self, step: int, steps: int, values: Mapping[str, float]) -> None:
        """Some steps are done."""
        ...


@dataclass(frozen=True, slots=True)
class Run:
    """What a training did.

    Parameters
    ----------
    folder : Path
        Holds ``weights.safetensors``, ``checkpoints``, ``log.jsonl``, ``samples``, ``curves.png``, ``config.json``.
    steps : int
        Done in all, resumed ones included.
    weights : Path
        The trained generator: its moving average where the trainer keeps one.
    metrics : mapping
        Of the last validation.
    skipped : int
        Updates left out since their gradients were not finite.
    interrupted : int
        The signal that ended it early; 0 for none.
    """

    folder: Path
    steps: int
    weights: Path
    metrics: Mapping[str, float]
    skipped: int
    interrupted: int = 0


def train(
    plan: Plan,
    data: Source,
    folder: Path,
    *,
    registry: Registry,
    validation: Source | None = None,
    start: Path | None = None,
    device: str = "auto",
    steps: int | None = None,
    minutes: float | None = None,
    resume: bool = False,
    terms: str = "",
    watcher: Watcher | None = None,
) -> Run:
    """Train a generator.

    Every random draw is a function of (seed, step, global sample index), so a run that is killed and resumed ends with
    the same bits as one that was not, on the same kind of processor with the same number of threads.

    Parameters
    ----------
    plan : Plan
        The resolved configuration.
    data : Source
        Clean training pictures.
    folder : Path
        For everything the run leaves.
    registry : Registry
        Builds the generator.
    validation : Source, optional
        Clean pictures to measure on; the best checkpoint is kept by their PSNR.
    start : Path, optional
        Weights of the same generator to start from.
    device : str
        See `restorekit.inference.choose_runtime`.
    steps, minutes : int, float, optional
        Stop after this many steps in all, or minutes in this call; the schedule's horizon is ``plan.run.steps``.
    resume : bool
        Go on from the last checkpoint in ``folder``.
    terms : str
        The data's terms of use, for the weights' header.
    watcher : Watcher, optional
        Is told of progress.

    Raises
    ------
    UsageError
        The folder holds a run already and ``resume`` is off.
    NotAvailable
        A device, plugin or checkpoint cannot be used.
    OutputError
        The folder cannot be written.
    RestorekitError
        The run diverged.
    """
    with process_group() as group:
        if group.world > 1 and device == "auto" and torch.cuda.is_available():
            device = f"cuda:{group.local_rank}"
        runtime = choose_runtime(device, plan.run.precision)
        folder.mkdir(parents=True, exist_ok=True)
        loop = _Loop(plan, data, folder, registry, validation, start, runtime, group, terms, watcher)
        if not group.leads:
            return loop.run(steps, minutes, resume)
        with locked(folder, Shard()):
            return loop.run(steps, minutes, resume)


class _Loop:
    """Everything that one run holds, and its loop."""

    def __init__(
        self,
        plan: Plan,
        data: Source,
        folder: Path,
        registry: Registry,
        validation: Source | None,
        start: Path | None,
        runtime: Runtime,
        group: Group,
        terms: str,
        watcher: Watcher | None,
    ):
        self.plan, self.folder, self.runtime, self.group = plan, folder, runtime, group
        self.data, self.terms, self.watcher = data, terms, watcher
        # The initial weights are a function of the seed, too.
        torch.manual_seed(plan.run.seed)
        self.loaded = _generator(plan, registry, start)
        spec = self.loaded.spec
        trainer = resolve(spec, spec.trainer)(self.loaded.generator, plan.recipe)
        if not isinstance(trainer, Trainable):
            raise NotAvailable(spec.name, f"{spec.trainer} makes no Trainable", "report it to the plugin's author")
        self.trainer = trainer
        self.networks = dict(trainer.networks())
        for network in self.networks.values():
            network.to(runtime.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            network.train()
        self.updater = Updater(self.networks, trainer.phases(), runtime, plan.run.accumulate)
        degradation = getattr(trainer, "degradation", None)
        self.recipe: Recipe | None = parse(degradation()) if degradation is not None else None
        run = plan.run
        self.batches = Batches(
            Sampler(data, run.seed, run.crop, run.flip, run.rotate),
            self.recipe,
            batch_size=run.batch_size,
            batches_per_step=trainer.batches_per_step,
            device=runtime.device,
            rank=group.rank,
            world=group.world,
            workers=run.workers,
        )
        self.validation: Validation | None = None
        if validation is not None:
            self.validation = Validation(validation, self.recipe, run.crop, run.validation_pictures)
        self.metrics: dict[str, float] = {}
        self.best: tuple[float, int] | None = None

    def run(self, steps: int | None, minutes: float | None, resume: bool) -> Run:
        """Train until the horizon, a limit, or a signal."""
        step = self._prepare(resume)
        last = min(self.plan.run.steps, steps or self.plan.run.steps)
        journal = Journal(self.folder, step) if self.group.leads else None
        stop, begun = Stop(), time.monotonic()
        logged: dict[str, Tensor] = {}
        counted, since = 0, time.monotonic()
        run = self.plan.run
        with stop.on_signals():
            for batches in self.batches.from_step(step, last):
                self.updater.begin_step(step, run.learning_rate(step))
                # Dropout and the like: a function of the seed, the step and the process.
                torch.manual_seed((run.seed * 1_000_003 + step) * 1_009 + self.group.rank)
                for name, value in self.trainer.training_step(batches, self.updater).items():
                    logged[name] = logged.get(name, 0) + value.detach()
                step, counted = step + 1, counted + 1
                if step % run.log_every == 0 or step == last:
                    self._check(step)
                    speed = counted * run.batch_size / max(time.monotonic() - since, 1e-9)
                    self._log(journal, step, {k: float(v) / counted for k, v in logged.items()}, speed)
                    logged, counted, since = {}, 0, time.monotonic()
                if step % run.validate_every == 0 or step == last:
                    self._validate(journal, step)
                    since = time.monotonic()
                if journal is not None and (step % run.sample_every == 0 or step == last):
                    self._sample(journal, step, batches[-1])
                ending = self._agreed(stop.is_set() or _over(minutes, begun))
                if step % run.checkpoint_every == 0 or step == last or ending:
                    self._checkpoint(step)
                if ending:
                    break
        if journal is not None:
            journal.close()
            self._finish()
            self._write_weights(step)
        return Run(
            self.folder,
            step,
            self.folder / "weights.safetensors",
            dict(self.metrics),
            int(self.updater.skipped),
            stop.signal,
        )

    def _prepare(self, resume: bool) -> int:
        """Write down the configuration, or go on where the last checkpoint is; return the steps done."""
        path = self.folder / "config.json"
        config = {**self.plan.as_dict(), "data": self.data.name}
        checkpoint = latest(self.folder / "checkpoints")
        if checkpoint is not None and not resume:
            raise UsageError(self.folder, "holds a run already", "use --resume to go on, or choose another -o")
        if self.group.leads:  # a resumed run may have been given another horizon
            replace_file(path, (json.dumps(config, indent=2) + "\n").encode())
        if checkpoint is None:
            return 0
        state = load_checkpoint(checkpoint, self.networks, self.updater)
        now = circumstances()
        changed = [key for key in now if key in state and state[key] != now[key]]
        if changed and self.group.leads:
            told = ", ".join(f"{key} {state[key]} then, {now[key]} now" for key in changed)
            warnings.warn(f"resumed, but not to the last bit: {told}", stacklevel=2)
        self.metrics = state.get("metrics", {})
        self.best = tuple(state["best"]) if state.get("best") else None
        return int(state["step"])

    def _log(self, journal: Journal | None, step: int, values: dict[str, float], speed: float) -> None:
        if self.group.leads:
            rate = self.plan.run.learning_rate(step - 1)
            values = {**values, "learning_rate": rate, "pictures_per_second": round(speed, 2)}
            if journal is not None:
                journal.write(step, values)
            if self.watcher is not None:
                self.watcher.logged(step, self.plan.run.steps, {**values, **self.metrics})

    def _check(self, step: int) -> None:
        try:
            self.updater.check()
        except Diverged:
            known = latest(self.folder / "checkpoints")
            where = f"the last good checkpoint is {known.name}; lower the learning rate" if known else "lower it"
            raise RestorekitError(
                self.folder, f"diverged: at step {step} no gradient has been finite for long", where
            ) from None

    def _validate(self, journal: Journal | None, step: int) -> None:
        if self.validation is None or not self.group.leads or not isinstance(self.loaded.generator, Restorer):
            return
        with self._averaged():
            self.metrics = self.validation.measure(self.loaded.generator, self.runtime)
        if self.best is None or self.metrics["psnr"] > self.best[0]:
            self.best = (self.metrics["psnr"], step)
        if journal is not None:
            journal.write(step, {f"validation_{name}": value for name, value in self.metrics.items()})

    @torch.no_grad()
    def _sample(self, journal: Journal, step: int, batch: Batch) -> None:
        preview: Callable[[Batch], Tensor] | None = getattr(self.trainer, "preview", None)
        if preview is None:
            return
        fields = ("images", "masks", "labels", "targets", "seeds")
        few = {name: value[:SHOWN] for name in fields if (value := getattr(batch, name)) is not None}
        with self._averaged():
            journal.picture(step, preview(Batch(**few)))

    def _checkpoint(self, step: int) -> None:
        if not self.group.leads:
            return
        folder = self.folder / "checkpoints"
        save_checkpoint(folder, step, self.networks, self.updater, {"metrics": self.metrics, "best": self.best})
        prune(folder, self.plan.run.keep, self.best[1] if self.best else None)

    def _finish(self) -> None:
        """Let the trainer do what comes after the last step, with the weights that are kept."""
        finish: Callable[[Iterator[Batch]], None] | None = getattr(self.trainer, "finish", None)
        if finish is None:
            return
        batches = (batch for several in self.batches.from_step(0, self.plan.run.steps) for batch in several)
        with self._averaged():
            finish(batches)

    def _write_weights(self, step: int) -> None:
        run = self.plan.run
        training = {
            "data": self.data.name,
            "terms": self.terms,
            "pictures": len(self.data),
            "steps": step,
            "config": self.plan.as_dict(),
            "degradation": [str(s) for s in self.recipe.steps] if self.recipe else [],
            "device": str(self.runtime.device),
            "precision": self.runtime.precision,
            "restorekit": restorekit.__version__,
        }
        metrics = [
            {"name": name, "value": value, "protocol": "RGB, centre crops, float", "data": "validation"}
            for name, value in self.metrics.items()
        ]
        with self._averaged():
            save(
                self.loaded.generator,
                self.folder / "weights.safetensors",
                spec=self.loaded.spec,
                config=self.plan.network,
                training={**training, "seed": run.seed},
                metrics=metrics,
            )

    def _agreed(self, ending: bool) -> bool:
        """Let every process end at the same step."""
        if self.group.world == 1:
            return ending
        flag = torch.tensor(float(ending), device=self.runtime.device)
        torch.distributed.all_reduce(flag)
        return bool(flag > 0)

    def _averaged(self) -> _Averaged:
        return _Averaged(self.networks, self.updater)


class _Averaged:
    """Puts the moving averages into the networks, in evaluation mode, and takes them out again."""

    def __init__(self, networks: Mapping[str, nn.Module], updater: Updater):
        self._networks = networks
        self._pairs = [
            (parameter, average)
            for state in updater.states.values()
            for parameter, average in zip(state.parameters, state.averages.values(), strict=False)
        ]

    def __enter__(self) -> None:
        self._swap()
        for network in self._networks.values():
            network.eval()

    def __exit__(self, *_: object) -> None:
        self._swap()
        for network in self._networks.values():
            network.train()

    def _swap(self) -> None:
        for parameter, average in self._pairs:
            kept = parameter.data.clone()
            parameter.data.copy_(average)
            average.copy_(kept)


def _generator(plan: Plan, registry: Registry, start: Path | None) -> Loaded:
    from pydantic_core import to_jsonable_python

    loaded = registry.build(plan.generator, to_jsonable_python(plan.network))
    if not isinstance(loaded.generator, nn.Module):
        raise NotAvailable(plan.generator, "is no torch module", "report it to the plugin's author")
    if start is not None:
        from restorekit.weights.files import WeightsFile
        from restorekit.weights.networks import load_into

        with WeightsFile(str(start)) as file:
            load_into(loaded.generator, file.read()[0], subject=start)
    assert networks_of(loaded.generator)
    return loaded


def _over(minutes: float | None, begun: float) -> bool:
    return minutes is not None and time.monotonic() - begun >= 60 * minutes
