"""One optimizer step of one phase: the seam between the runner and every generator's training.

Nothing here waits for the device but `Updater.check`, so that steps follow each other without a gap and a whole step
can be captured in a CUDA graph: what changes from step to step (learning rates, the averages' shares, the loss scale,
whether a step counts) is a tensor that stays where it is.
"""

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
from restorekit.training.averages import follow, running_statistics
from restorekit.training.compiling import Compiled
from restorekit.training.muon import Muon, is_hidden_matrix
from restorekit.training.scaling import LossScale

__all__ = ["Diverged", "PhaseState", "Updater"]

#: Steps in a row whose gradients may be infinite or NaN before a run is stopped.
PATIENCE = 50
#: Devices whose fused Adam leaves out a step by itself.
_FUSED = ("cpu", "cuda")


class Diverged(Exception):
    """Too many steps in a row had gradients that are not finite."""


@dataclasses.dataclass
class PhaseState:
    """A phase with its parameters, optimizer and moving averages.

    Parameters
    ----------
    phase : Phase
        As the trainer declares it.
    parameters : list of Parameter
        What it moves.
    optimizers : tuple of Optimizer
        Adam; or Muon for some of the parameters, and Adam for the others.
    rate : Tensor
        Its learning rate now.
    averages : mapping of str to Tensor
        Of the parameters and of the networks' running statistics; empty where the phase keeps none.
    averaged : list of Tensor
        What they are averages of, in the same order.
    share : Tensor
        What the averages take over at each step.
    scale : LossScale, optional
        In fp16.
    """

    phase: Phase
    parameters: list[nn.Parameter]
    optimizers: tuple[torch.optim.Optimizer, ...]
    rate: Tensor
    averages: dict[str, Tensor]
    averaged: list[Tensor]
    share: Tensor
    scale: LossScale | None


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
    compiled : Compiled, optional
        Those of the networks that are.
    """

    def __init__(
        self,
        networks: Mapping[str, nn.Module],
        phases: Mapping[str, Phase],
        runtime: Runtime,
        accumulate: int = 1,
        compiled: Compiled | None = None,
    ):
        self._runtime = runtime
        self._accumulate = accumulate
        self._compiled = compiled
        self._statistics = [s for network in networks.values() for s in running_statistics(network).values()]
        self.states = {name: self._state(name, phase, networks) for name, phase in phases.items()}
        self.skipped = torch.zeros((), dtype=torch.int64, device=runtime.device)
        self._in_a_row = torch.zeros((), dtype=torch.int64, device=runtime.device)

    def begin_step(self, step: int, factor: float) -> None:
        """Set what depends on the step: the schedule's factor on learning rates, and how slow averages are."""
        for state in self.states.values():
            state.rate.fill_(state.phase.learning_rate * factor)
            if state.phase.ema_decay is not None:
                # Early on, a slow average would still be that of the initial weights.
                state.share.fill_(max(1.0 - state.phase.ema_decay, 9 / (10 + step)))

    def __call__(self, phase: str, loss: Loss, batch: Batch) -> Mapping[str, Tensor]:
        """See `restorekit.contract.Update`."""
        state = self.states[phase]
        scalars: dict[str, Tensor] = {}
        statistics = [statistic.clone() for statistic in self._statistics]

        def descend() -> None:
            scalars.clear()
            _forget_gradients(state)
            self._descend(phase, state, loss, batch, scalars)

        if self._compiled is None:
            descend()
        else:
            self._compiled.attempt(phase, state.phase.networks, descend)
        bad = self._step(state)
        for statistic, before in zip(self._statistics, statistics, strict=True):
            # A forward pass that was not finite would stay in the running statistics for ever.
            torch.where(bad, before, statistic, out=statistic)
        if state.averages:
            follow(list(state.averages.values()), [value.detach() for value in state.averaged], state.share)
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

    def pairs(self) -> list[tuple[Tensor, Tensor]]:
        """Return everything that is averaged, each with its average."""
        return [
            pair for state in self.states.values() for pair in zip(state.averaged, state.averages.values(), strict=True)
        ]

    def _state(self, name: str, phase: Phase, networks: Mapping[str, nn.Module]) -> PhaseState:
        missing = [network for network in phase.networks if network not in networks]
        if missing:
            raise UsageError(f"phase {name!r}", f"moves {missing[0]!r}, which is no network of this trainer")
        named: dict[str, Tensor] = {
            f"{network}.{key}": parameter
            for network in phase.networks
            for key, parameter in networks[network].named_parameters()
            if parameter.requires_grad
        }
        parameters = [parameter for parameter in named.values() if isinstance(parameter, nn.Parameter)]
        if phase.ema_decay is None:
            named = {}
        else:
            for network in phase.networks:
                named |= {f"{network}.{key}": s for key, s in running_statistics(networks[network]).items()}
        device = self._runtime.device
        rate = torch.tensor(float(phase.learning_rate), device=device)
        return PhaseState(
            phase,
            parameters,
            self._optimizers(phase, parameters, rate),
            rate,
            {key: value.detach().clone() for key, value in named.items()},
            list(named.values()),
            torch.tensor(1.0 - (phase.ema_decay or 0.0), device=device),
            LossScale(device) if self._runtime.precision == "fp16" else None,
        )

    def _optimizers(
        self, phase: Phase, parameters: list[nn.Parameter], rate: Tensor
    ) -> tuple[torch.optim.Optimizer, ...]:
        kind, decay = self._runtime.device.type, phase.weight_decay
        options: dict[str, Any] = (
            {"fused": True, "capturable": kind == "cuda"} if kind in _FUSED else {"foreach": False}
        )
        matrices = [p for p in parameters if phase.optimizer == "muon" and is_hidden_matrix(p)]
        taken = {id(parameter) for parameter in matrices}
        others = [parameter for parameter in parameters if id(parameter) not in taken]
        optimizers: list[torch.optim.Optimizer] = []
        if matrices:
            half = torch.bfloat16 if self._runtime.precision == "bf16" else torch.float32
            optimizers.append(Muon(matrices, rate, weight_decay=decay, dtype=half))
        if others:
            optimizers.append(torch.optim.AdamW(others, lr=rate, betas=phase.betas, weight_decay=decay, **options))
        return tuple(optimizers)

    def _descend(self, phase: str, state: PhaseState, loss: Loss, batch: Batch, scalars: dict[str, Tensor]) -> None:
        """Compute the gradients of this phase's parameters alone: the other networks are only passed through."""
        for part, share in _parts(batch, self._accumulate):
            with self._runtime.autocast(self._runtime.precision):
                value, logged = loss(part)
            scaled = value if state.scale is None else value.float() * state.scale.factor
            # Unlike autograd.grad this gives gradients their parameters' memory layout, which fused Adam relies on.
            torch.autograd.backward(scaled if share == 1 else scaled * share, inputs=state.parameters)
            for name, scalar in {phase: value, **logged}.items():
                kept = scalar.detach().float() * share
                scalars[name] = scalars[name] + kept if name in scalars else kept

    def _step(self, state: PhaseState) -> Tensor:
        """Let the optimizer step; return whether it left this step out, on the device."""
        for parameter in state.parameters:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        gradients = [parameter.grad for parameter in state.parameters if parameter.grad is not None]
        _average(gradients)
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))  # pyright: ignore[reportPrivateImportUsage]
        bad = ~torch.isfinite(norm)
        factors = []
        if state.scale is not None:
            factors.append(state.scale.factor.reciprocal())
            norm = norm * factors[0]
        if state.phase.clip_norm is not None:
            factors.append((state.phase.clip_norm / (norm + 1e-6)).clamp(max=1.0))
        if factors:
            torch._foreach_mul_(gradients, torch.stack(factors).prod())  # pyright: ignore[reportPrivateImportUsage]
        self.skipped.add_(bad)
        self._in_a_row.add_(1).mul_(bad)
        missed = bad.float()
        for optimizer in state.optimizers:
            if isinstance(optimizer, Muon) or self._runtime.device.type in _FUSED:
                optimizer.found_inf = missed  # pyright: ignore[reportAttributeAccessIssue]
                optimizer.grad_scale = None  # pyright: ignore[reportAttributeAccessIssue]
                optimizer.step()
            elif not bad:
                optimizer.step()
        if state.scale is not None:
            state.scale.adapt(missed)
        _forget_gradients(state)
        return bad


def _forget_gradients(state: PhaseState) -> None:
    for parameter in state.parameters:
        parameter.grad = None


def _average(gradients: list[Tensor]) -> None:
    """Average over processes: one flat all-reduce."""
    if not torch.distributed.is_initialized():
        return
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    torch.distributed.all_reduce(flat)
    flat /= torch.distributed.get_world_size()
    parts = flat.split([gradient.numel() for gradient in gradients])
    shaped = [part.view(gradient.shape) for part, gradient in zip(parts, gradients, strict=True)]
    torch._foreach_copy_(gradients, shaped)  # pyright: ignore[reportPrivateImportUsage]


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
