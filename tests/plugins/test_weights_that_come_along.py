"""Every weights file that ships says what it is, where it comes from, what it reaches and what it is not good for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from restorekit.registry import registry
from restorekit.weights.card import card
from restorekit.weights.sources import variants

#: The most that each may take on disk, in MB.
SIZES = {"super-resolver": 4, "denoiser": 6, "context-encoder": 10, "scratch-detector": 4, "dcgan": 6, "vae": 6}


def shipped() -> dict[str, Path]:
    found = [(spec.name, each) for spec in registry().generators if spec.name in SIZES for each in variants(spec)]
    return {f"{name}:{each.source.name}": each.path for name, each in found if not each.source.url}


def test_they_are_all_here():
    assert {name.partition(":")[0] for name in shipped()} == SIZES.keys()
    assert all(path.is_file() for path in shipped().values())


@pytest.mark.parametrize("name", shipped())
def test_the_card_is_complete_and_the_file_small(name):
    facts: dict[str, Any] = card(shipped()[name])
    assert facts["bytes"] < SIZES[name.partition(":")[0]] * 1e6
    assert "F32" not in facts["dtypes"]
    assert facts["licence"]
    assert len(facts["limits"]) > 30
    assert facts["training"]["terms"]
    assert facts["training"]["data"]
    assert facts["training"]["steps"] > 0
    assert "seed" in facts["training"]
    measured = {metric["data"] for metric in facts["metrics"]}
    assert measured - {"validation"}, "beyond the validation during training"
    assert all(metric["protocol"] for metric in facts["metrics"])


@pytest.mark.parametrize("name", [name for name in shipped() if not name.startswith(("dcgan", "vae"))])
def test_half_precision_on_disk_and_in_computing_costs_next_to_nothing_and_the_card_says_what(name):
    metrics = card(shipped()[name])["metrics"]
    judged = "f1" if name.startswith("scratch-detector") else "psnr"
    lost = {metric["name"]: metric["value"] for metric in metrics if " lost by " in metric["name"]}
    assert {f"{judged} lost by {how}" for how in ("bf16", "fp16")} <= lost.keys()
    assert max(lost.values()) < (0.02 if judged == "psnr" else 0.002)
