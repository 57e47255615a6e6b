"""An update that watches: trains as the core does, and sees what else a training step does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from restorekit.contract import Batch, Loss, Phase
from restorekit.testing.check import Failure

__all__ = ["WatchedUpdate"]


class WatchedUpdate:
    """See `restorekit.contract.Update`.

    Parameters
    ----------
    networks : mapping of str to Module
        What the trainer says it changes.
    phases : mapping of str to Phase
        Which of it moves when.
    """

    def __init__(self, networks: Mapping[str, nn.Module], phases: Mapping[str, Phase]):
        self._networks = networks
        self._phases = phases
        self._named = {f"{n}.{key}": p for n, network in networks.items() for key, p in network.named_parameters()}
        self._optimizers = {name: self._optimizer(phase) for name, phase in phases.items()}
        self._known = self._values()
        self.losses: dict[str, list[float]] = {name: [] for name in phases}
        self.moved: set[str] = set()

    def __call__(self, phase: str, loss: Loss, batch: Batch) -> Mapping[str, Tensor]:
        """Descend once."""
        if phase not in self._phases:
            raise Failure(f"it updates the phase {phase!r}, which phases() does not have")
        self.verify()
        parameters = self._parameters(self._phases[phase])
        with self._needless_gradients_refused(phase):
            value, logged = loss(batch)
        self._check_value(phase, value)
        self._check_reach(phase, value)
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            raise Failure(f"the loss of phase {phase!r} does not depend on any parameter that the phase moves")
        self.verify()
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = torch.zeros_like(parameter) if gradient is None else gradient
        optimizer = self._optimizers[phase]
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        self._note_moves()
        self.losses[phase].append(float(value.detach()))
        return {phase: value.detach(), **{name: scalar.detach() for name, scalar in logged.items()}}

    def verify(self) -> None:
        """Look whether anything has moved parameters, or left gradients, besides this.

        Raises
        ------
        Failure
            Something has.
        """
        for name, parameter in self._named.items():
            if parameter.grad is not None:
                raise Failure(
                    f"a gradient was left in {name}: something calls backward()",
                    way_out="return the loss; the core differentiates it, for the phase's own parameters",
                )
            if not torch.equal(parameter.detach(), self._known[name]):
                raise Failure(
                    f"{name} is changed besides the core's update",
                    way_out="let only update() move parameters: no optimizer, clipping or copying of your own; keep "
                    "running values in buffers",
                )

    def _optimizer(self, phase: Phase) -> torch.optim.Optimizer:
        return torch.optim.AdamW(
            self._parameters(phase),
            lr=phase.learning_rate,
            betas=phase.betas,
            weight_decay=phase.weight_decay,
        )

    def _parameters(self, phase: Phase) -> list[nn.Parameter]:
        return [p for name in phase.networks for p in self._networks[name].parameters() if p.requires_grad]

    def _values(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self._named.items()}

    def _note_moves(self) -> None:
        values = self._values()
        self.moved |= {name.partition(".")[0] for name, v in values.items() if not torch.equal(v, self._known[name])}
        self._known = values

    def _check_value(self, phase: str, value: Tensor) -> None:
        if value.ndim or not value.requires_grad:
            raise Failure(
                f"the loss of phase {phase!r} has shape {tuple(value.shape)} and "
                f"{'a' if value.requires_grad else 'no'} gradient",
                way_out="return the mean over the batch as one number, computed from the networks without detach()",
            )
        if not torch.isfinite(value):
            raise Failure(f"the loss of phase {phase!r} is {float(value.detach())}")

    def _check_reach(self, phase: str, value: Tensor) -> None:
        known = {id(parameter) for parameter in self._named.values()}
        stray = [leaf for leaf in _leaves(value) if isinstance(leaf, nn.Parameter) and id(leaf) not in known]
        if stray:
            raise Failure(
                f"the loss of phase {phase!r} depends on {len(stray)} parameters that are in none of networks(), "
                f"one of shape {tuple(stray[0].shape)}",
                "they would never be moved, saved in checkpoints, or put onto the device",
                "return their module from networks() and name it in a phase, or freeze it with requires_grad_(False)",
            )

    @contextlib.contextmanager
    def _needless_gradients_refused(self, phase: str) -> Iterator[None]:
        """Refuse calls of networks of other phases whose gradients lead nowhere."""
        own = {id(module) for name in self._phases[phase].networks for module in self._networks[name].modules()}
        handles = []

        def look(name: str) -> Any:
            def hook(module: nn.Module, given: tuple[Any, ...], made: Any) -> None:
                if isinstance(made, Tensor) and made.requires_grad and _starts_here(given):
                    raise Failure(
                        f"in phase {phase!r} gradients of {name!r} are computed, which the phase does not move",
                        "a backward pass through it costs time and memory for nothing",
                        f"call {name} under torch.no_grad() in the loss of {phase!r}",
                    )

            return hook

        for name, network in self._networks.items():
            for module in network.modules():
                if id(module) not in own and any(p.requires_grad for p in module.parameters(recurse=False)):
                    handles.append(module.register_forward_hook(look(name)))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _starts_here(given: tuple[Any, ...]) -> bool:
    """Whether a layer is the first that wants gradients: of its float inputs none does."""
    floats = [tensor for tensor in given if isinstance(tensor, Tensor) and tensor.is_floating_point()]
    return bool(floats) and not any(tensor.requires_grad for tensor in floats)


def _leaves(value: Tensor) -> list[Tensor]:
    """Return the tensors that a value's gradient reaches."""
    seen: set[object] = set()
    waiting: list[Any] = [value.grad_fn]
    leaves = []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            leaves.append(node.variable)
        waiting += [following for following, _ in node.next_functions]
    return leaves
