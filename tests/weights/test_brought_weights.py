"""Weights that users bring: a setting names a file or a folder, and what it holds decides what is computed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from restorekit.contract import Batch, Geometry
from restorekit.errors import NotAvailable, UsageError
from restorekit.registry import registry
from restorekit.specs import GeneratorSpec, Step, WeightsSource
from restorekit.weights.checksums import content_sha256
from restorekit.weights.files import file_sha256

from .conftest import registry_of

SPEC = GeneratorSpec(
    name="bringing",
    summary="For tests.",
    tasks=frozenset({"denoise"}),
    factory=f"{__name__}:Bringing",
    config=f"{__name__}:Config",
    weights_setting="weights",
)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Config:
    weights: str = ""
    amount: int = 1


class Bringing:
    geometry = Geometry(halo=0)

    def __init__(self, config: Config):
        self.read = Path(config.weights)
        if config.amount == 9:
            self.read.write_text("other")

    def restore(self, batch: Batch):
        return batch.images


def test_a_file_is_handed_on_and_its_checksum_recorded(tmp_path):
    (tmp_path / "w.bin").write_bytes(b"weights")
    loaded = registry_of(SPEC).load(f"bringing,weights={tmp_path / 'w.bin'},amount=3,ensemble=4")
    assert loaded.generator.read == tmp_path / "w.bin"  # pyright: ignore[reportAttributeAccessIssue]
    assert loaded.config == Config(str(tmp_path / "w.bin"), 3)
    assert loaded.weights_sha256 == file_sha256(tmp_path / "w.bin")
    assert loaded.ensemble == 4


def test_a_folder_is_known_by_what_its_files_are_called_and_hold(tmp_path):
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet/w.bin").write_bytes(b"weights")
    (tmp_path / "index.json").write_text("{}")
    known = content_sha256(tmp_path)
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/log").write_text("of no account")
    assert content_sha256(tmp_path) == known
    assert registry_of(SPEC).load(f"bringing,weights={tmp_path}").weights_sha256 == known
    (tmp_path / "unet/w.bin").rename(tmp_path / "unet/v.bin")
    renamed = content_sha256(tmp_path)
    (tmp_path / "unet/v.bin").write_bytes(b"Weights")
    assert len({known, renamed, content_sha256(tmp_path)}) == 3


def test_the_home_folder_may_be_written_as_a_tilde(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "w.bin").write_bytes(b"weights")
    assert registry_of(SPEC).weights_path(Step.parse("bringing,weights=~/w.bin")) == tmp_path / "w.bin"


def test_what_is_missing_or_changes_is_told(tmp_path):
    found = registry_of(SPEC)
    with pytest.raises(UsageError, match=r"bringing: .* weights that you bring; write bringing,weights=PATH"):
        found.load("bringing,amount=2")
    with pytest.raises(NotAvailable, match=r"nowhere.bin: is not there; weights=PATH names"):
        found.load("bringing,weights=nowhere.bin")
    (tmp_path / "w.bin").write_bytes(b"weights")
    with pytest.raises(NotAvailable, match="was changed while it was read"):
        found.load(f"bringing,weights={tmp_path / 'w.bin'},amount=9")


def test_such_weights_exclude_weights_of_its_own():
    with pytest.raises(ValueError, match="exclude"):
        dataclasses.replace(SPEC, weights=(WeightsSource(name="x", file="a:b"),))


def test_a_planner_and_the_baselines_leave_out_what_lacks_its_weights():
    from restorekit.evaluation.benchmarking.competitors import baselines

    found = registry_of(SPEC)
    assert not baselines(found, frozenset({"denoise"}), 1.0, [])
    assert all(spec.weights_setting for spec in registry().generators if spec.name.startswith("spandrel"))
