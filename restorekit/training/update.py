"""One optimizer step of one phase: the seam between the runner and every generator's training."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import torch
import torch.distributed
from torch import Tensor, nn

from restorekit.contract import Batch, Loss, Phase
from restorekit.errors import UsageError
from restorekit.inference.device import Runtime

__all__ = ["Diverged", "PhaseState", "Updater"]

#: Steps in a row whose gradients may be infinite or NaN before a run is stopped.
PATIENCE = 50


class Diverged(Exception):
    """Too many steps in a row had gradients that are not finite."""


@dataclasses.dataclass
class PhaseState:
    """A phase with its parameters, optimizer and moving average."""

    phase: Phase
    parameters: list[nn.Parameter]
    optimizer: torch.optim.Optimizer
    averages: dict[str, Tensor]


class Updater:
    """Makes the updates that a training step asks for.

    Parameters
    ----------
    networks : mapping of str to Module
        Everything that is trained.
    phases : mapping of str to Phase
        Which of it moves when.
    runtime : Runtime
        Device and precision.
    accumulate : int
        Parts each batch is split into.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], phases: Mapping[str, Phase], runtime: Runtime, accumulate: int = 1
    ):
        self._runtime = runtime
        self._accumulate = accumulate
        self.states = {name: self._state(name, phase, networks) for name, phase in phases.items()}
        self.skipped = torch.zeros((), dtype=torch.int64, device=runtime.device)
        self._in_a_row = torch.zeros((), dtype=torch.int64, device=runtime.device)
        self._haste = 0.0

    def begin_step(self, step: int, factor: float) -> None:
        """Set what depends on the step: the schedule's factor on learning rates, and how slow averages are."""
        # Early on, a slow average would still be that of the initial weights.
        self._haste = 9 / (10 + step)
        for state in self.states.values():
            for group in state.optimizer.param_groups:
                group["lr"] = state.phase.learning_rate * factor

    def __call__(self, phase: str, loss: Loss, batch: Batch) -> Mapping[str, Tensor]:
        """See `restorekit.contract.Update`."""
        state = self.states[phase]
        gradients: list[Tensor] | None = None
        scalars: dict[str, Tensor] = {}
        for part, share in _parts(batch, self._accumulate):
            with self._runtime.autocast(self._runtime.precision):
                value, logged = loss(part)
            # The gradients of this phase's parameters alone: the other networks are only passed through.
            found = torch.autograd.grad(value * share, state.parameters, allow_unused=True)
            found = [torch.zeros_like(p) if g is None else g for p, g in zip(state.parameters, found, strict=True)]
            if gradients is None:
                gradients = found
            else:
                torch._foreach_add_(gradients, found)  # pyright: ignore[reportPrivateImportUsage]
            for name, scalar in {phase: value, **logged}.items():
                scalars[name] = scalars.get(name, 0) + scalar.detach().float() * share
        assert gradients is not None
        self._step(state, self._reduced(gradients))
        return scalars

    def check(self) -> None:
        """Look whether training still makes sense; called now and then, since it waits for the device.

        Raises
        ------
        Diverged
            The last `PATIENCE` updates were all skipped.
        """
        if int(self._in_a_row) >= PATIENCE:
            raise Diverged

    def _state(self, name: str, phase: Phase, networks: Mapping[str, nn.Module]) -> PhaseState:
        missing = [network for network in phase.networks if network not in networks]
        if missing:
            raise UsageError(f"phase {name!r}", f"moves {missing[0]!r}, which is no network of this trainer")
        named = [
            (f"{network}.{key}", parameter)
            for network in phase.networks
            for key, parameter in networks[network].named_parameters()
            if parameter.requires_grad
        ]
        parameters = [parameter for _, parameter in named]
        options: dict[str, Any] = {"lr": phase.learning_rate, "betas": phase.betas, "foreach": True}
        if self._runtime.device.type == "cuda":
            options |= {"foreach": False, "fused": True}
        optimizer = torch.optim.AdamW(parameters, weight_decay=phase.weight_decay, **options)
        averages = {} if phase.ema_decay is None else {key: p.detach().clone() for key, p in named}
        return PhaseState(phase, parameters, optimizer, averages)

    def _reduced(self, gradients: list[Tensor]) -> list[Tensor]:
        """Average over processes: one flat all-reduce."""
        if not torch.distributed.is_initialized():
            return gradients
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(flat)
        flat /= torch.distributed.get_world_size()
        parts = flat.split([gradient.numel() for gradient in gradients])
        return [part.view_as(gradient) for part, gradient in zip(parts, gradients, strict=True)]

    def _step(self, state: PhaseState, gradients: list[Tensor]) -> None:
        norms = torch._foreach_norm(gradients)  # pyright: ignore[reportPrivateImportUsage]
        norm = torch.linalg.vector_norm(torch.stack(norms))
        if state.phase.clip_norm is not None:
            shrink = (state.phase.clip_norm / (norm + 1e-6)).clamp(max=1.0)
            torch._foreach_mul_(gradients, shrink)  # pyright: ignore[reportPrivateImportUsage]
        bad = ~torch.isfinite(norm)
        self.skipped += bad
        self._in_a_row = (self._in_a_row + 1) * bad
        for parameter, gradient in zip(state.parameters, gradients, strict=True):
            parameter.grad = gradient
        if self._runtime.device.type == "cuda":
            state.optimizer.found_inf = bad.float()  # pyright: ignore[reportAttributeAccessIssue] (fused Adam skips by itself)
            state.optimizer.grad_scale = None  # pyright: ignore[reportAttributeAccessIssue]
            state.optimizer.step()
        elif not bad:
            state.optimizer.step()
        state.optimizer.zero_grad(set_to_none=True)
        if state.phase.ema_decay is not None:
            averages, values = list(state.averages.values()), [p.detach() for p in state.parameters]
            share = max(1.0 - state.phase.ema_decay, self._haste)
            torch._foreach_lerp_(averages, values, share)  # pyright: ignore[reportPrivateImportUsage]


def _parts(batch: Batch, count: int) -> Iterable[tuple[Batch, float]]:
    """Split a batch; each part comes with its share of the whole."""
    size = len(batch.images)
    if count == 1 or size == 1:
        return [(batch, 1.0)]
    parts = []
    for number in range(min(count, size)):
        rows = slice(size * number // min(count, size), size * (number + 1) // min(count, size))
        fields = {
            name: value[rows]
            for name in ("images", "masks", "labels", "targets", "seeds")
            if (value := getattr(batch, name)) is not None
        }
        parts.append((dataclasses.replace(batch, **fields), (rows.stop - rows.start) / size))
    return parts
