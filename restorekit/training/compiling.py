"""``torch.compile`` for networks, given up where it cannot work: no compiled function can be differentiated twice."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import nn

__all__ = ["Compiled", "eager"]

#: What torch says where a compiled network is differentiated twice: at the second time, or already at the first.
_TWICE = ("double backward", "create_graph=False")


class Compiled:
    """Networks that are compiled, and the ways back.

    Parameters
    ----------
    networks : mapping of str to Module
        Are compiled in place, each when it is first called; their names and states stay what they are.
    """

    def __init__(self, networks: Mapping[str, nn.Module]):
        self._networks = dict(networks)
        self._proven: set[str] = set()
        for network in self._networks.values():
            for module in _callables(network):
                _compile(module)

    def attempt(self, phase: str, names: Sequence[str], descend: Callable[[], None]) -> None:
        """Compute one phase's gradients; where compilation fails, do it again without.

        Parameters
        ----------
        phase : str
            What is computed; once it has worked, it is no longer watched.
        names : sequence of str
            The networks that the phase moves: a gradient penalty differentiates these twice.
        descend : callable
            Computes the gradients; may be called several times.
        """
        while phase not in self._proven and self._networks:
            # Forward passes change buffers, and a second attempt must start where the first one did.
            buffers = [(b, b.clone()) for network in self._networks.values() for b in network.buffers()]
            try:
                descend()
            except RuntimeError as error:
                self._give_up(names, error)
                for buffer, kept in buffers:
                    buffer.copy_(kept)
            else:
                self._proven.add(phase)
                return
        descend()

    def _give_up(self, names: Sequence[str], error: RuntimeError) -> None:
        from torch._dynamo.exc import TorchDynamoException

        twice = any(words in str(error) for words in _TWICE)
        if not twice and not isinstance(error, TorchDynamoException):
            raise error
        dropped = [name for name in names if twice and name in self._networks] or list(self._networks)
        for name in dropped:
            for module in self._networks.pop(name).modules():
                module._compiled_call_impl = None
        reason = "a penalty differentiates it twice" if twice else " ".join(str(error).split())[:200]
        warnings.warn(f"run.compile: {', '.join(dropped)} runs uncompiled ({reason})", stacklevel=2)


@contextlib.contextmanager
def eager() -> Iterator[None]:
    """Call networks as they were written: for a few pictures of another size compiling would take longer."""
    with torch.compiler.set_stance("force_eager"):
        yield


def _compile(module: nn.Module) -> None:
    def call(*arguments: Any, **options: Any) -> Any:
        return module._call_impl(*arguments, **options)

    # Module.compile silently leaves PyTorch's own modules (a Sequential) as they are; a function of ours is compiled.
    module._compiled_call_impl = torch.compile(call)


def _callables(network: nn.Module) -> Iterator[nn.Module]:
    """Yield the network, or the parts of one that is never called as a whole."""
    if type(network).forward is not nn.Module.forward:
        yield network
        return
    for part in network.children():
        yield from _callables(part)
