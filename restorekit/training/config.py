"""What a training is told: the network's settings, the plugin's recipe, and the run's own; from TOML and ``--set``."""

from __future__ import annotations

import dataclasses
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from restorekit.errors import UsageError
from restorekit.specs import GeneratorSpec
from restorekit.values import resolve, validated

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

__all__ = ["Plan", "RunConfig", "changed_settings", "load_plan"]

_TABLES = ("network", "recipe", "run")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class RunConfig:
    """How a training runs, whatever it trains.

    Parameters
    ----------
    steps : int
        The horizon of the learning-rate schedule, and where training ends.
    batch_size : int
        Samples a batch, over all processes.
    accumulate : int
        Parts a batch is split into, to need less memory.
    crop : int or None
        Side of the training crops in pixels; none takes pictures whole.
    flip, rotate : bool
        Augment by mirroring, and by quarter turns.
    shrink : float
        Shrink pictures before they are cropped, each time by another factor between this and 1: crops of large
        photographs then hold detail of every size. Only with ``crop``.
    seed : int
        Of all randomness.
    jitter : float
        Strength, from 0 to 1, of small changes of light, contrast, saturation and hue of the clean pictures.
    mixup : float
        Mix pairs of clean pictures, by shares from Beta(mixup, mixup); 0 for none. Not where labels are learned.
    gray : float
        Share of the clean pictures that lose their colours, and stay grey when they are damaged: for what is to restore
        black-and-white photographs, too.
    teacher : str
        A step such as ``super-resolver:x4``, or a weights file: a restorer for the same damage. What it makes of each
        damaged picture, mirrored or turned, is the target of ``teacher_share`` of the pixels instead of the clean
        picture: it has none of the detail that nobody can foresee, so that less has to be averaged out. For losses
        between pixels only.
    teacher_share : float
        From 0 (the clean picture alone) to 1 (the teacher alone).
    resident : {"auto", "on", "off"}
        Whether small sets in one array live on the device, where there is no degradation: on GPUs, where they fit;
        always; never. The batches are the same.
    schedule : {"cosine", "constant", "linear"}
        How the learning rate falls.
    warmup : int
        Steps over which the learning rate rises from 0.
    final : float
        Learning rate at the end, as a share of that at the start.
    precision : {"auto", "fp32", "bf16", "fp16"}
        What matrix products are computed in; weights stay float32. In fp16, for GPUs without bf16, the loss is scaled;
        the scale finds its size by leaving out some of the first steps, which count among those skipped.
    compile : bool
        Compile networks with ``torch.compile``; those that a gradient penalty differentiates twice run as they are.
    graph : {"auto", "on", "off"}
        Capture whole steps in a CUDA graph: of trainers that say ``capturable = True``, of any, of none. Where that
        cannot be, a message says why and steps run one operation after the other.
    workers : int
        Threads that prepare batches.
    log_every, validate_every, checkpoint_every, sample_every : int
        Steps between lines in the log, validations, checkpoints, and sample pictures.
    keep : int
        Newest checkpoints that are kept, besides the best.
    validation_pictures : int
        Pictures of the validation data that are looked at.
    """

    steps: Annotated[int, Field(ge=1)] = 100_000
    batch_size: Annotated[int, Field(ge=1)] = 16
    accumulate: Annotated[int, Field(ge=1)] = 1
    crop: Annotated[int, Field(ge=8)] | None = 128
    flip: bool = True
    rotate: bool = False
    shrink: Annotated[float, Field(gt=0, le=1)] = 1.0
    jitter: Annotated[float, Field(ge=0, le=1)] = 0.0
    mixup: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.0
    gray: Annotated[float, Field(ge=0, le=1)] = 0.0
    teacher: str = ""
    teacher_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    resident: Literal["auto", "on", "off"] = "auto"
    seed: Annotated[int, Field(ge=0)] = 0
    schedule: Literal["cosine", "constant", "linear"] = "cosine"
    warmup: Annotated[int, Field(ge=0)] = 0
    final: Annotated[float, Field(ge=0, le=1)] = 0.01
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    compile: bool = False
    graph: Literal["auto", "on", "off"] = "auto"
    workers: Annotated[int, Field(ge=1)] = 2
    log_every: Annotated[int, Field(ge=1)] = 50
    validate_every: Annotated[int, Field(ge=1)] = 1000
    checkpoint_every: Annotated[int, Field(ge=1)] = 1000
    sample_every: Annotated[int, Field(ge=1)] = 1000
    keep: Annotated[int, Field(ge=1)] = 2
    validation_pictures: Annotated[int, Field(ge=1)] = 16

    def learning_rate(self, step: int) -> float:
        """Return the factor on every phase's learning rate at ``step`` (from 0)."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = min(1.0, (step - self.warmup) / max(1, self.steps - self.warmup))
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "linear":
            return 1.0 - (1.0 - self.final) * done
        return self.final + (1.0 - self.final) * (1 + math.cos(math.pi * done)) / 2


@dataclasses.dataclass(frozen=True)
class Plan:
    """The resolved configuration of a training.

    Parameters
    ----------
    generator : str
        Its name.
    network, recipe : object
        The spec's ``config`` and ``recipe``, validated.
    run : RunConfig
        The run's own.
    """

    generator: str
    network: Any
    recipe: Any
    run: RunConfig

    def as_dict(self) -> dict[str, Any]:
        """Return JSON values: what a configuration file that says everything would hold."""
        from pydantic_core import to_jsonable_python

        return {"generator": self.generator, **{name: to_jsonable_python(getattr(self, name)) for name in _TABLES}}


def load_plan(
    spec: GeneratorSpec,
    file: Path | None = None,
    settings: Sequence[str] = (),
    saved: Mapping[str, Any] | None = None,
) -> Plan:
    """Read a configuration file, apply ``table.key=value`` settings over it, and validate.

    Parameters
    ----------
    spec : GeneratorSpec
        Has a trainer.
    file : Path, optional
        TOML with the tables ``network``, ``recipe`` and ``run``.
    settings : sequence of str
        Such as ``"run.batch_size=8"``.
    saved : mapping, optional
        A resolved configuration to start from instead: that of the run that is resumed.

    Raises
    ------
    UsageError
        The generator cannot be trained; the file is not TOML or is for another generator; a key is unknown or its
        value not allowed.
    """
    if not spec.trainer:
        raise UsageError(spec.name, "cannot be trained", "`restorekit generators` shows what there is")
    tables = _tables(spec, file, saved)
    for setting in settings:
        key, equals, value = setting.partition("=")
        table, dot, name = key.strip().partition(".")
        if not equals or not dot or table not in _TABLES:
            raise UsageError("--set", f"{setting!r} is no setting", "write network.KEY=, recipe.KEY= or run.KEY=VALUE")
        tables[table][name.replace("-", "_")] = _value(value.strip())
    owners = {"network": resolve(spec, spec.config), "recipe": resolve(spec, spec.recipe), "run": RunConfig}
    built = {name: _validated(name, owners[name], tables[name]) for name in _TABLES}
    return Plan(spec.name, **built)


def changed_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return which settings of two resolved configurations differ, each as ``"run.steps: 100 -> 200"``."""
    changed: list[str] = []
    for table in _TABLES:
        one, other = before.get(table, {}), now.get(table, {})
        for name in sorted({*one, *other}):
            if one.get(name) != other.get(name):
                changed.append(f"{table}.{name}: {one.get(name)} -> {other.get(name)}")
    return changed


def _tables(spec: GeneratorSpec, file: Path | None, saved: Mapping[str, Any] | None) -> dict[str, dict[str, Any]]:
    content: Mapping[str, Any] = saved or {}
    if file is not None:
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
        except OSError as error:
            raise UsageError(file, f"cannot be read ({error.strerror})") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(file, f"is no TOML ({error})") from error
    if content.get("generator", spec.name) != spec.name:
        raise UsageError(file, f"is for {content['generator']}, not for {spec.name}", f"train {content['generator']}")
    unknown = sorted(set(content) - {"generator", *_TABLES})
    if unknown:
        raise UsageError(file, f"has an unknown table or key {unknown[0]!r}", f"it may have {', '.join(_TABLES)}")
    return {name: dict(content.get(name, {})) for name in _TABLES}


def _value(text: str) -> Any:
    """Read a value as TOML where it is TOML (numbers, lists, booleans), else as text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return None if text == "none" else text


def _validated(table: str, owner: type, values: Mapping[str, Any]) -> Any:
    known = {field.name for field in dataclasses.fields(owner)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UsageError(f"{table}.{unknown[0]}", "is no setting", f"{table} has {', '.join(sorted(known))}")
    return validated(table, owner, values)
