"""The page of the contract has every hook and every method of a protocol, as they are in the code."""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from restorekit import contract, hookspecs
from restorekit.hookspecs import PROJECT
from restorekit.testing.checks import CHECKS
from tests.conftest import REPOSITORY

PAGE = (REPOSITORY / "docs/contract.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.DOTALL | re.MULTILINE))
PROTOCOLS = [name for name in contract.__all__ if getattr(getattr(contract, name), "_is_protocol", False)]


def written(name: str, function: Any) -> str:
    """Return a signature as the page writes it."""
    signature = inspect.signature(function)
    parameters = [each for each in signature.parameters.values() if each.name != "self"]
    return f"{name}{signature.replace(parameters=parameters)}".replace("'", "")


def members(protocol: type) -> Iterator[str]:
    """Yield what a protocol asks for, as the page writes it."""
    for name, value in vars(protocol).items():
        if isinstance(value, property):
            yield f"{name}: {inspect.signature(value.fget).return_annotation}"  # pyright: ignore[reportArgumentType]
        elif isinstance(value, types.FunctionType) and (name == "__call__" or not name.startswith("_")):
            yield written(name, value)


def headings(section: str) -> set[str]:
    return set(re.findall(r"^### `(.+)`$", section, re.MULTILINE))


def hooks() -> dict[str, Any]:
    return {name: value for name, value in vars(hookspecs).items() if hasattr(value, f"{PROJECT}_spec")}


def test_every_hook_is_on_the_page_with_its_signature():
    assert headings(SECTIONS["The hook"]) == {written(name, hook) for name, hook in hooks().items()} != set()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_method_of_a_protocol_is_on_the_page_with_its_signature(name):
    asked = set(members(getattr(contract, name)))
    assert asked
    assert headings(SECTIONS[name]) == asked


def test_every_method_is_told_about():
    for heading, text in re.findall(r"^### (.+?)\n(.*?)(?=^##|\Z)", PAGE, re.DOTALL | re.MULTILINE):
        assert len(text.split()) > 5, heading


def test_a_method_that_is_not_on_the_page_is_noticed():
    class Longer(contract.Detector):
        def redetect(self, batch: contract.Batch, twice: bool = False) -> None: ...

    assert set(members(Longer)) == {"redetect(batch: contract.Batch, twice: bool = False) -> None"}
    assert not set(members(Longer)) & headings(PAGE)


def test_the_examples_are_what_their_sections_say():
    names: dict[str, Any] = {}
    made: dict[str, Any] = {}
    chosen = types.SimpleNamespace(gain=1.5, size=8, spread=0.3)
    for title, section in {"": PAGE.partition("\n## ")[0], **SECTIONS}.items():
        for code in re.findall(r"```python\n(.*?)```", section, re.DOTALL):
            known = set(names)
            exec(compile(code, title, "exec"), names)
            for name in names.keys() - known:
                example, protocol = names[name], getattr(contract, title, None)
                if protocol is not None and isinstance(example, type) and title != "Trainable":
                    made[title] = example(chosen)
                    assert isinstance(made[title], protocol)
    clean = torch.rand(2, 3, 6, 7)
    batch = contract.Batch(clean * 0.5, targets=clean)
    assert made["Restorer"].restore(batch).equal(batch.images * 1.5)
    assert made["Detector"].detect(batch).shape == (2, 1, 6, 7)
    request = contract.Request(contract.PictureInfo(format="png", width=7, height=6), torch.zeros(3, 6, 7), None, 1, ())
    assert [str(step) for step in made["Planner"].plan(request)] == ["brighter"]
    assert made["Sampler"].decode(made["Sampler"].latents(torch.arange(2))).shape == (2, 3, 8, 8)
    assert made["Measurable"].metrics({})["nats"](batch).shape == (2,)
    assert made["FeatureExtractor"].features(batch).shape == (2, 3)
    curve = names["Curve"](chosen)
    trainable = names["CurveTraining"](curve, None)
    assert isinstance(trainable, contract.Trainable)
    logged = trainable.training_step([batch], lambda phase, loss, batch: loss(batch)[1])
    assert float(logged["l1"]) == pytest.approx(float(clean.mean() / 2), abs=1e-6)
    assert names["convert"]({"gain": torch.ones(3)}).tensors["generator.gain"].shape == (3, 1, 1)
    assert [spec.name for spec in names["restorekit_generators"]()] == ["brighter"]


def test_every_check_of_the_kit_is_told_about():
    told = (REPOSITORY / "docs/plugins.md").read_text(encoding="utf-8")
    table = told.partition("| about | checks |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`([a-z0-9-]+)`", table)) == {check.name for check in CHECKS}
