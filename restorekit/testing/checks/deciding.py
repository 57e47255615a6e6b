"""Checks of planners: what they decide, and from what."""

from __future__ import annotations

import torch
from torch import Tensor

from restorekit.contract import PictureInfo, Planner, Request
from restorekit.specs import Step
from restorekit.testing.check import Failure, check
from restorekit.testing.checks.pictures import grid_mask, pictures
from restorekit.testing.checks.subject import Subject, disturb_global_randomness

__all__ = ["CHECKS"]


@check(
    "plan",
    why="the core runs exactly the steps that a planner returns, and shows their reasons in the report",
    way_out="return Step(...).because(reason) for generators among request.generators that need no planner, decided "
    "from the request alone; an empty list leaves the picture as it is",
    concerns=lambda subject: subject.is_a(Planner),
)
def plan(subject: Subject) -> None:
    """Ask about pictures of several kinds, and load what is planned."""
    for height, width, grey, masked, scale in (
        (96, 80, False, False, 1.0),
        (96, 80, False, True, 1.0),
        (41, 37, True, False, 2.0),
        (1, 1, False, False, 1.0),
        (1, 1, False, False, 3.5),
    ):
        image = pictures(height, width, (5,), grey)[0]
        request = _request(subject, image, grid_mask(height, width, 5) if masked else None, scale)
        before = image.clone()
        disturb_global_randomness(1)
        steps = list(subject.generator.plan(request))
        disturb_global_randomness(2)
        if not torch.equal(image, before):
            raise Failure("it writes into request.image", "the picture that is restored would be another one")
        if [str(step) for step in subject.generator.plan(request)] != [str(step) for step in steps]:
            raise Failure("of the same picture it decides otherwise the second time")
        for step in steps:
            _check_step(subject, step)


CHECKS = (plan,)


def _request(subject: Subject, image: Tensor, mask: Tensor | None, scale: float) -> Request:
    info = PictureInfo(format="png", width=image.shape[2], height=image.shape[1])
    return Request(info, image, mask, scale, subject.registry.generators)


def _check_step(subject: Subject, step: object) -> None:
    if not isinstance(step, Step):
        raise Failure(f"it returns {step!r}, which is no Step")
    if not step.reason:
        raise Failure(f"the step {step} has no reason", way_out="Step(...).because('what was seen in the picture')")
    if isinstance(subject.registry.load(step).generator, Planner):
        raise Failure(f"it plans {step}, which is a planner itself")
