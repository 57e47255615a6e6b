"""The training loop: one for every generator."""

from __future__ import annotations

import contextlib
import json
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import restorekit
from restorekit.batch.workers import Stop
from restorekit.contract import Batch, Restorer, Trainable
from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.files import replace_file
from restorekit.inference.device import Runtime
from restorekit.registry import Loaded, Registry
from restorekit.sources import Source, is_paired
from restorekit.training.averages import Averaged
from restorekit.training.checkpoint import circumstances, latest, load_checkpoint, prune, save_checkpoint
from restorekit.training.compiling import Compiled, eager
from restorekit.training.config import Plan
from restorekit.training.data import batches_for, recipe_for
from restorekit.training.distributed import Group
from restorekit.training.graph import CudaRecorder, Recorder, StepGraph
from restorekit.training.history import History
from restorekit.training.journal import Journal
from restorekit.training.starting import Start
from restorekit.training.teacher import Teacher
from restorekit.training.update import Diverged, Updater
from restorekit.training.validation import Validation
from restorekit.values import resolve
from restorekit.weights.networks import networks_of, save

if TYPE_CHECKING:
    from restorekit.training.runner import Watcher

__all__ = ["Loop"]

#: Samples shown in sample pictures.
SHOWN = 16


class Loop:
    """Everything that one run holds, and its loop."""

    def __init__(
        self,
        plan: Plan,
        data: Source,
        folder: Path,
        registry: Registry,
        validation: Source | None,
        start: Start | None,
        runtime: Runtime,
        group: Group,
        terms: str,
        watcher: Watcher | None = None,
    ):
        self.plan, self.folder, self.runtime, self.group = plan, folder, runtime, group
        self.data, self.terms, self.watcher = data, terms, watcher
        # The initial weights are a function of the seed, too.
        torch.manual_seed(plan.run.seed)
        self.loaded = _generator(plan, registry)
        self.history = History.begun(start, self.loaded.generator)
        spec = self.loaded.spec
        trainer = resolve(spec, spec.trainer)(self.loaded.generator, plan.recipe)
        if not isinstance(trainer, Trainable):
            raise NotAvailable(spec.name, f"{spec.trainer} makes no Trainable", "report it to the plugin's author")
        self.trainer = trainer
        self.networks = dict(trainer.networks())
        for network in self.networks.values():
            network.to(runtime.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
            network.train()
        run = plan.run
        compiled = Compiled(self.networks) if run.compile else None
        self.updater = Updater(self.networks, trainer.phases(), runtime, run.accumulate, compiled)
        self.recipe = recipe_for(trainer, data, self.loaded)
        self.teacher = self._teacher(registry) if run.teacher else None
        self.batches = batches_for(plan.run, data, trainer, self.recipe, runtime.device, group)
        self._step = self._training_step()
        self.validation: Validation | None = None
        if validation is not None:
            self.validation = Validation(validation, self.recipe, run.crop, run.validation_pictures)
        self.metrics: dict[str, float] = {}
        self.best: tuple[float, int] | None = None

    def run(self, steps: int | None, minutes: float | None, resume: bool) -> tuple[int, int]:
        """Train until the horizon, a limit, or a signal; return the steps done and the signal (0 for none)."""
        step = self._prepare(resume)
        last = min(self.plan.run.steps, steps or self.plan.run.steps)
        journal = Journal(self.folder, step) if self.group.leads else None
        stop, begun = Stop(), time.monotonic()
        logged: dict[str, Tensor] = {}
        counted, since = 0, time.monotonic()
        run = self.plan.run
        with stop.on_signals():
            for batches in self.batches.from_step(step, last):
                for name, value in self.step(step, batches).items():
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
                ending = self.group.any(stop.is_set() or _over(minutes, begun))
                if step % run.checkpoint_every == 0 or step == last or ending:
                    self._checkpoint(step)
                if ending:
                    break
        if journal is not None:
            journal.close()
            self._finish()
            self._write_weights(step)
        return step, stop.signal

    def step(self, number: int, batches: Sequence[Batch]) -> Mapping[str, Tensor]:
        """Make training step ``number`` (from 0); return scalars on the device, which are valid until the next."""
        run = self.plan.run
        self.updater.begin_step(number, run.learning_rate(number))
        # Dropout: a function of the seed, the step and the process; a replayed graph reads it anew.
        _seed(self.runtime.device, (run.seed * 1_000_003 + number) * 1_009 + self.group.rank)
        return self._step(batches if self.teacher is None else [self.teacher.taught(batch) for batch in batches])

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
        self.history, others = self.history.resumed(state, self.plan, self.loaded.spec)
        if others and self.group.leads:
            warnings.warn(f"resumed with other settings: {', '.join(others)}", stacklevel=2)
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
        save_checkpoint(folder, step, self.networks, self.updater, self._told())
        prune(folder, self.plan.run.keep, self.best[1] if self.best else None)

    def _told(self) -> dict[str, object]:
        """Return what a resumed run has to know besides tensors."""
        return {"metrics": self.metrics, "best": self.best, **self.history.state(self.plan)}

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
            **self.history.state(self.plan),
            "degradation": [str(s) for s in self.recipe.steps] if self.recipe else [],
            **({"teacher": self.teacher.told} if self.teacher else {}),
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

    @contextlib.contextmanager
    def _averaged(self) -> Iterator[None]:
        """Put the weights that are kept into the networks, uncompiled and in evaluation mode, for a while."""
        with (
            Averaged(self.networks, self.updater.pairs()),
            eager() if self.plan.run.compile else contextlib.nullcontext(),
        ):
            yield

    def _teacher(self, registry: Registry) -> Teacher:
        run, spec = self.plan.run, self.loaded.spec
        if self.recipe is None and not is_paired(self.data):
            raise UsageError("run.teacher", f"{spec.name} learns from undamaged pictures", "leave it out")
        return Teacher(run.teacher, run.teacher_share, registry, self.loaded, self.runtime)

    def _can_capture(self) -> bool:
        return self.runtime.device.type == "cuda"

    def _training_step(self) -> StepGraph:
        """Return the trainer's step, captured in a CUDA graph where that is wanted and can be."""
        wanted, device = self.plan.run.graph, self.runtime.device
        recorder: Recorder | None = None
        if wanted == "on" or (wanted == "auto" and getattr(self.trainer, "capturable", False)):
            if self._can_capture():
                recorder = CudaRecorder(device)
            elif wanted == "on":
                warnings.warn(f"run.graph: there are no graphs on {device.type}", stacklevel=3)
        return StepGraph(lambda batches: self.trainer.training_step(batches, self.updater), recorder)


def _seed(device: torch.device, seed: int) -> None:
    """Seed the default generators of the CPU and the device; ``torch.manual_seed`` formats a stack trace besides."""
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)


def _generator(plan: Plan, registry: Registry) -> Loaded:
    from pydantic_core import to_jsonable_python

    loaded = registry.build(plan.generator, to_jsonable_python(plan.network))
    if not isinstance(loaded.generator, nn.Module):
        raise NotAvailable(plan.generator, "is no torch module", "report it to the plugin's author")
    assert networks_of(loaded.generator)
    return loaded


def _over(minutes: float | None, begun: float) -> bool:
    return minutes is not None and time.monotonic() - begun >= 60 * minutes
