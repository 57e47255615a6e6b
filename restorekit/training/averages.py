"""Moving averages of what a training moves: the weights that are kept are smoother than those of the last step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

__all__ = ["Averaged", "follow", "running_statistics"]


def running_statistics(network: nn.Module) -> dict[str, Tensor]:
    """Return the running means and variances of a network's normalisations, by name.

    They are averaged along with the weights that they belong to. Other buffers are not: counts, and the singular
    vectors of spectral normalisation, whose averages would be no singular vectors.
    """
    return {
        f"{prefix}.{name}" if prefix else name: statistic
        for prefix, module in network.named_modules()
        if isinstance(module, _NormBase)
        for name in ("running_mean", "running_var")
        if (statistic := getattr(module, name)) is not None
    }


def follow(averages: Sequence[Tensor], values: Sequence[Tensor], share: Tensor) -> None:
    """Move averages towards values by ``share``, a scalar tensor: nothing here waits for the device."""
    torch._foreach_lerp_(list(averages), list(values), [share] * len(averages))  # pyright: ignore[reportPrivateImportUsage]


class Averaged:
    """Puts moving averages into the networks, in evaluation mode, and takes them out again.

    Parameters
    ----------
    networks : mapping of str to Module
        All that are trained.
    pairs : sequence of (Tensor, Tensor)
        What the networks hold, and its average.
    """

    def __init__(self, networks: Mapping[str, nn.Module], pairs: Sequence[tuple[Tensor, Tensor]]):
        self._networks = networks
        self._pairs = pairs

    def __enter__(self) -> None:
        self._swap()
        for network in self._networks.values():
            network.eval()

    def __exit__(self, *_: object) -> None:
        self._swap()
        for network in self._networks.values():
            network.train()

    @torch.no_grad()
    def _swap(self) -> None:
        for value, average in self._pairs:
            # In place, since a captured step knows both by their addresses.
            kept = value.clone()
            value.copy_(average)
            average.copy_(kept)
