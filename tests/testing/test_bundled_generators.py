"""What comes along keeps the contract that others are asked to keep."""

from __future__ import annotations

import pytest

from restorekit.registry import registry
from restorekit.testing import checks_for

BUNDLED = [spec for plugin in registry().plugins if plugin.distribution == "restorekit" for spec in plugin.generators]
#: Checks of what happens in a process of its own, which each generator needs to start.
ELSEWHERE = {"light-import", "new-process", "no-pickle", "no-network", "no-programs", "no-writes"}
#: The ways in which these are made cost more than they tell again at every run.
HEAVY = {"dcgan", "vae"}


@pytest.mark.parametrize(
    "name", [pytest.param(s.name, marks=[pytest.mark.slow] if s.name in HEAVY else []) for s in BUNDLED]
)
def test_a_bundled_generator_keeps_the_contract(name):
    for bound in checks_for(name):
        if bound.check.name not in ELSEWHERE:
            bound()


@pytest.mark.parametrize(
    "name", [pytest.param(s.name, marks=[] if s.name == "median" else [pytest.mark.slow]) for s in BUNDLED]
)
def test_a_bundled_generator_is_the_same_and_does_nothing_else_in_another_process(name):
    for bound in checks_for(name):
        if bound.check.name in ELSEWHERE:
            bound()
