"""Checks of samplers: latents of seeds, and pictures of latents."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from restorekit.contract import Sampler
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.subject import Subject, disturb_global_randomness

__all__ = ["CHECKS", "labels_for"]

#: Seeds are any non-negative 63-bit numbers.
_SEEDS = (0, 1, 2, 2**62 + 12345, 987_654_321)
_ROUNDING = 1e-4


def _samples(subject: Subject) -> bool:
    return subject.is_a(Sampler)


@check(
    "latents",
    why="the first pictures of `generate -n 1000` must be those of `-n 10`, on every machine and in every batch",
    way_out="make each latent from its own seed alone: restorekit.nn.chance.normals(seeds, count)",
    concerns=_samples,
)
def latents(subject: Subject) -> None:
    """Draw latents together and one by one."""
    distributions: Mapping[str, Callable[[Tensor], Tensor]] = {"latents": subject.generator.latents}
    if hasattr(subject.generator, "latent_distributions"):
        distributions = {**distributions, **subject.generator.latent_distributions()}
    seeds = torch.tensor(_SEEDS, dtype=torch.int64)
    for name, draw in distributions.items():
        disturb_global_randomness(1)
        together = draw(seeds)
        disturb_global_randomness(2)
        if len(together) != len(seeds) or not torch.isfinite(together.float()).all():
            raise Failure(f"{name} of {len(seeds)} seeds are {tuple(together.shape)}, or not finite")
        if not torch.equal(draw(seeds), together):
            raise Failure(f"{name} of the same seeds are different ones the second time")
        alone = torch.cat([draw(seeds[number : number + 1]) for number in range(len(seeds))])
        if float((alone - together).abs().max()) > 1e-5:
            raise Failure(f"{name} depend on the seeds beside them")
        if len(torch.unique(together.flatten(1), dim=0)) < len(seeds):
            raise Failure(f"{name} of different seeds are equal")


@check(
    "decode",
    why="what is written, measured or searched through is what decode returns",
    way_out="return (N, 3, H, W) floats in [0, 1], of grey generators three equal channels, each sample from its own "
    "latent alone",
    concerns=_samples,
)
def decode(subject: Subject) -> None:
    """Decode latents with one company and another."""
    seeds = torch.tensor(_SEEDS, dtype=torch.int64)
    drawn = subject.generator.latents(seeds)
    labels = labels_for(subject, len(seeds))
    with torch.no_grad():
        made = subject.generator.decode(drawn, labels)
        if made.ndim != 4 or made.shape[:2] != (len(seeds), 3) or not made.is_floating_point():
            raise Failure(f"{len(seeds)} latents become {made.dtype} of shape {tuple(made.shape)}")
        low, high = float(made.min()), float(made.max())
        if not (low >= -1e-6 and high <= 1 + 1e-6):
            raise Failure(f"pictures have values from {low:.3g} to {high:.3g}", way_out="map them to [0, 1] and clamp")
        order = torch.tensor([0, 3, 3, 4, 1])
        other = subject.generator.decode(drawn[order], None if labels is None else labels[order])
        if float((made[0] - other[0]).abs().max()) > _ROUNDING or float((made[4] - other[3]).abs().max()) > _ROUNDING:
            raise Failure("a picture depends on the latents beside its own")


CHECKS = (latents, decode)


def labels_for(subject: Subject, count: int) -> Tensor | None:
    """Return class indices where the generator is conditioned on classes."""
    classes = int(getattr(subject.loaded.config, "classes", 0))
    return torch.arange(count) % classes if classes else None
