"""Checks of generators that are networks: lower precision, and weights files."""

from __future__ import annotations

import torch
from torch import Tensor

from restorekit.contract import Sampler
from restorekit.errors import RestorekitError
from restorekit.specs import Step
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.sampling import labels_for
from restorekit.testing.checks.subject import Subject

__all__ = ["CHECKS"]

#: bf16 keeps 8 bits of a number: a few levels of 255 are its own, in single pixels more.
_MEAN, _WORST = 3 / 255, 24 / 255


def _is_network(subject: Subject) -> bool:
    return bool(subject.networks)


@check(
    "bf16",
    why="on GPUs, and on processors that can, networks run in bf16: pictures must look the same",
    way_out="compute in float32 what bf16 is too coarse for (sums over many pixels, small differences, exponentials): "
    "x.float(), or torch.autocast(x.device.type, enabled=False) around it",
    concerns=_is_network,
)
def bf16(subject: Subject) -> None:
    """Compare with float32."""
    exact = _made(subject)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = _made(subject)
    if not torch.isfinite(coarse).all():
        raise Failure("in bf16 it returns NaN or infinity")
    difference = (exact.clamp(0, 1) - coarse.clamp(0, 1)).abs()
    if float(difference.mean()) > _MEAN or float(difference.max()) > _WORST:
        mean, worst = 255 * float(difference.mean()), 255 * float(difference.max())
        raise Failure(f"in bf16 it differs by {mean:.2g} of 255 levels in the mean, {worst:.3g} at worst")


@check(
    "evaluation-mode",
    why="users' pictures must not change the network, and dropout must not roughen them",
    way_out="register every layer as a submodule, so that eval() reaches it, and keep no running values of your own",
    concerns=_is_network,
)
def evaluation_mode(subject: Subject) -> None:
    """Look whether a call changes weights or buffers."""
    before = _state(subject)
    _made(subject)
    for name, value in _state(subject).items():
        if not torch.equal(value, before[name]):
            raise Failure(f"a call changes {name}")


@check(
    "weights",
    why="variants that are listed have to work",
    way_out="rebuild the file with this version of the network, or correct the spec's weights",
    concerns=lambda subject: bool(subject.spec.weights) if not subject.problem else False,
)
def weights(subject: Subject) -> None:
    """Load each variant that is here."""
    for source in subject.spec.weights:
        if not source.file:  # is downloaded on request
            continue
        try:
            subject.registry.load(Step(subject.name, source.name))
        except RestorekitError as error:
            raise Failure(f"the variant {source.name!r} cannot be loaded: {error}") from None


CHECKS = (bf16, evaluation_mode, weights)


def _made(subject: Subject) -> Tensor:
    """Return pictures as the network makes them; of a sampler from latents, where nothing is searched for."""
    if not subject.is_a(Sampler):
        return subject.output(subject.batch())
    seeds = torch.arange(4)
    with torch.no_grad():
        return subject.generator.decode(subject.generator.latents(seeds), labels_for(subject, len(seeds))).float()


def _state(subject: Subject) -> dict[str, Tensor]:
    return {
        f"{name}.{key}": value.clone()
        for name, network in subject.networks.items()
        for key, value in network.state_dict().items()
    }
