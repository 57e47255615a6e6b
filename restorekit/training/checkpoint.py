"""Checkpoints: everything that training needs to go on, bit for bit; safetensors and JSON, no pickle."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import uuid
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from restorekit.errors import NotAvailable, OutputError
from restorekit.files import sync_folder
from restorekit.training.muon import Muon
from restorekit.training.update import PhaseState, Updater

__all__ = ["circumstances", "latest", "load_checkpoint", "prune", "save_checkpoint"]

_NAME = re.compile(r"step-(\d{9})")
#: What Adam and Muon keep of each parameter.
_MOMENTS, _MOMENTUM = {"step", "exp_avg", "exp_avg_sq"}, {"momentum"}


def save_checkpoint(
    folder: Path, step: int, networks: Mapping[str, nn.Module], updater: Updater, state: Mapping[str, Any]
) -> Path:
    """Write a checkpoint aside, sync it and rename it.

    Parameters
    ----------
    folder : Path
        Holds the run's checkpoints.
    step : int
        Steps done.
    networks : mapping of str to Module
        Their parameters and buffers are saved.
    updater : Updater
        Its optimizers' moments and moving averages are saved.
    state : mapping
        JSON values to keep beside them.

    Returns
    -------
    Path
        ``folder/step-000001000``.

    Raises
    ------
    OutputError
        It cannot be written; older checkpoints stay.
    """
    target = folder / f"step-{step:09d}"
    aside = folder / f".partial-{uuid.uuid4().hex}"
    try:
        aside.mkdir(parents=True)
        for name, tensors in _tensors(networks, updater).items():
            save_file({key: t.detach().cpu().contiguous() for key, t in tensors.items()}, aside / f"{name}.safetensors")
        (aside / "state.json").write_text(json.dumps({"step": step, **state, **circumstances()}, indent=2))
        for path in aside.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        sync_folder(aside)
        if target.exists():
            shutil.rmtree(target)
        aside.rename(target)
        sync_folder(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise OutputError(target, f"cannot be written ({error})", "free some space, then use --resume") from error
    return target


def load_checkpoint(path: Path, networks: Mapping[str, nn.Module], updater: Updater) -> dict[str, Any]:
    """Put a checkpoint back; return what `save_checkpoint` was given as ``state``, with the step.

    Raises
    ------
    NotAvailable
        The checkpoint is damaged or belongs to other networks.
    """
    try:
        state = json.loads((path / "state.json").read_text())
        stored = {name: load_file(path / f"{name}.safetensors") for name in ("networks", "averages", "optimizers")}
        for name, network in networks.items():
            own = {key.partition(".")[2]: t for key, t in stored["networks"].items() if key.split(".")[0] == name}
            network.load_state_dict(own)
        for name, phase in updater.states.items():
            _load_averages(name, phase, stored["averages"], path)
            _load_optimizers(name, phase, stored["optimizers"])
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        problem = " ".join(str(error).split())[:300]
        raise NotAvailable(path, f"cannot be resumed from ({problem})", "delete it to use the one before") from error
    return state


def latest(folder: Path) -> Path | None:
    """Return the checkpoint with the most steps."""
    found = sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name)) if folder.is_dir() else []
    return found[-1] if found else None


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Delete all but the newest ``keep`` checkpoints and the best, and what a killed run left aside."""
    found = sorted(path for path in folder.glob("step-*") if _NAME.fullmatch(path.name))
    for path in found[:-keep]:
        if path.name != f"step-{best or 0:09d}":
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(".partial-*"):
        shutil.rmtree(path, ignore_errors=True)


def circumstances() -> dict[str, Any]:
    """Say what exact resume depends on besides the checkpoint."""
    return {
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "machine": platform.machine(),
    }


def _load_averages(name: str, phase: PhaseState, stored: Mapping[str, Tensor], path: Path) -> None:
    parameters = {id(parameter) for parameter in phase.parameters}
    lacking = 0
    for (key, average), value in zip(phase.averages.items(), phase.averaged, strict=True):
        if f"{name}/{key}" in stored or id(value) in parameters:
            average.copy_(stored[f"{name}/{key}"])
        else:
            # Earlier checkpoints averaged the parameters alone.
            average.copy_(value)
            lacking += 1
    if lacking:
        warnings.warn(
            f"{path.name} holds no averages of {lacking} running statistics: they start anew from the last ones",
            stacklevel=3,
        )


def _load_optimizers(name: str, phase: PhaseState, stored: Mapping[str, Tensor]) -> None:
    for number, parameter in enumerate(phase.parameters):
        own = f"{name}/{number}/"
        found = {key.removeprefix(own): value for key, value in stored.items() if key.startswith(own)}
        optimizer = _optimizer_of(parameter, phase)
        if set(found) != (_MOMENTUM if isinstance(optimizer, Muon) else _MOMENTS):
            # Never stepped, or the run goes on with another optimizer.
            continue
        fused = optimizer.defaults.get("fused")
        state: dict[str, Tensor] = {}
        for key, value in found.items():
            if key == "step":
                state[key] = value.to(parameter.device if fused else "cpu", copy=True)
            else:
                # In the parameter's own memory layout, since fused Adam walks through all of them alike.
                state[key] = torch.empty_like(parameter, requires_grad=False)
                state[key].copy_(value)
        optimizer.state[parameter] = state
    if phase.scale is not None and f"{name}/scale" in stored:
        phase.scale.factor.copy_(stored[f"{name}/scale"])
        phase.scale.steps.copy_(stored[f"{name}/scale_steps"])


def _optimizer_of(parameter: nn.Parameter, phase: PhaseState) -> torch.optim.Optimizer:
    """Return which of a phase's optimizers moves a parameter."""
    for optimizer in phase.optimizers:
        if any(parameter is each for group in optimizer.param_groups for each in group["params"]):
            return optimizer
    raise KeyError("a parameter that no optimizer moves")


def _tensors(networks: Mapping[str, nn.Module], updater: Updater) -> dict[str, dict[str, Tensor]]:
    optimizers: dict[str, Tensor] = {}
    averages: dict[str, Tensor] = {}
    for name, phase in updater.states.items():
        averages |= {f"{name}/{key}": average for key, average in phase.averages.items()}
        for number, parameter in enumerate(phase.parameters):
            for key, value in _optimizer_of(parameter, phase).state.get(parameter, {}).items():
                optimizers[f"{name}/{number}/{key}"] = torch.as_tensor(value)
        if phase.scale is not None:
            optimizers |= {f"{name}/scale": phase.scale.factor, f"{name}/scale_steps": phase.scale.steps}
    return {
        # Cloned, since networks may share parameters and safetensors wants each tensor to own its memory.
        "networks": {
            f"{name}.{key}": t.clone() for name, network in networks.items() for key, t in network.state_dict().items()
        },
        "averages": averages,
        "optimizers": optimizers,
    }
