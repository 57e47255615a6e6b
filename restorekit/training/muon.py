"""Muon: each step moves a layer's weights equally in all the directions that its gradient spans."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "is_hidden_matrix", "orthogonalised"]

#: Newton-Schulz iteration X <- aX + bXX'X + cXX'XX'X, that brings singular values near 1 fastest (Jordan et al. 2024).
_QUINTIC = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5
#: Root mean square of Adam's usual update, in learning rates: what Muon's are scaled to (Liu et al. 2025, equation 4).
_LIKE_ADAM = 0.2
#: Layers with fewer channels than this on either side see or make pictures.
_HIDDEN = 16


def is_hidden_matrix(parameter: Tensor) -> bool:
    """Return whether a parameter is a matrix between hidden features: a linear or convolutional layer's weight.

    Biases and scales are none, nor are the layers that take in or give out the few channels of a picture.
    """
    return parameter.ndim >= 2 and min(parameter.shape[0], parameter.shape[1]) >= _HIDDEN


def orthogonalised(matrices: Tensor) -> Tensor:
    """Replace all singular values by about 1, between 0.7 and 1.2.

    Parameters
    ----------
    matrices : Tensor
        ``(N, rows, columns)``; products are computed in its type.

    Returns
    -------
    Tensor
        Of the same shape and type. Matrices of zeros stay so.

    References
    ----------
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; the iteration after Higham 2008,
    "Functions of matrices", chapter 8.
    """
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / torch.linalg.matrix_norm(x.float(), keepdim=True).clamp_min(1e-7).to(x.dtype)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is orthogonalised, for matrices alone.

    ``torch.optim.Muon`` takes two-dimensional parameters only and waits for the device to read the learning rate. Here
    kernels of convolutions count as matrices with a row for each output channel, layers of one shape are stepped
    together, and nothing waits: the learning rate and ``found_inf`` are tensors on the device.

    Parameters
    ----------
    parameters : iterable of Parameter
        Of two or more dimensions, see `is_hidden_matrix`.
    lr : Tensor
        Learning rate, on the scale of Adam's: updates have 0.2 times it as their root mean square.
    momentum : float
        Decay of the gradients' moving average a step.
    weight_decay : float
        Decoupled.
    dtype : torch.dtype
        What the iteration is computed in; bfloat16 is enough.

    References
    ----------
    Jordan et al. 2024, "Muon: an optimizer for hidden layers in neural networks"; Liu et al. 2025, "Muon is scalable
    for LLM training".
    """

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: Tensor,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self._dtype = dtype
        #: 1 where the step is to be left out, set by whoever looks at the gradients.
        self.found_inf: Tensor | None = None

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Descend once along the orthogonalised momentum, looking ahead as Nesterov does."""
        loss = closure() if closure is not None else None
        for group in self.param_groups:
            alike: defaultdict[tuple[int, ...], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    alike[tuple(parameter.shape)].append(parameter)
            for parameters in alike.values():
                self._descend(parameters, group)
        return loss

    def _descend(self, parameters: Sequence[nn.Parameter], group: dict[str, Any]) -> None:
        """Step layers of one shape."""
        gradients = torch.stack([p.grad for p in parameters if p.grad is not None])
        momenta = torch.stack([self._momentum(parameter) for parameter in parameters])
        followed = momenta.lerp(gradients, 1 - group["momentum"])
        ahead = gradients.lerp(followed, group["momentum"]).flatten(2)
        updates = orthogonalised(ahead.to(self._dtype)).to(momenta).view_as(momenta)
        updates = updates * (group["lr"] * (_LIKE_ADAM * max(ahead.shape[1:]) ** 0.5))
        if group["weight_decay"]:
            updates = updates + torch.stack(list(parameters)) * (group["lr"] * group["weight_decay"])
        if self.found_inf is not None:
            missed = self.found_inf.bool()
            followed, updates = torch.where(missed, momenta, followed), torch.where(missed, 0.0, updates)
        for parameter, momentum, update in zip(parameters, followed.unbind(), updates.unbind(), strict=True):
            self.state[parameter]["momentum"].copy_(momentum)
            parameter.sub_(update)

    def _momentum(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        return state["momentum"]
