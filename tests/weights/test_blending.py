"""Weights between two files of one network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from restorekit.errors import UsageError
from restorekit.weights import save
from restorekit.weights.blending import BLENDED, blend
from restorekit.weights.files import file_sha256, read
from tests.conftest import REPOSITORY

from .conftest import METRIC, RECORD, make_tiny
from .tiny import tiny_spec
from .tiny_network import TinyConfig

WEIGHTS = REPOSITORY / "plugins/restorekit_super_resolver/weights"


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    made = []
    for seed, name in enumerate(("first", "second")):
        generator = make_tiny()
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in generator.parameters():
                parameter.normal_()
        path = tmp_path / f"{name}.safetensors"
        training = {**RECORD, "steps": 100 * (seed + 1), "terms": name}
        save(generator, path, spec=tiny_spec(), config=TinyConfig(), training=training, metrics=[METRIC])
        made.append(path)
    return made[0], made[1]


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_each_number_is_a_share_of_both(files, tmp_path, share):
    blend(files[0], files[1], tmp_path / "out.safetensors", share)
    one, other, made = (read(path)[1] for path in (*files, tmp_path / "out.safetensors"))
    assert made.keys() == one.keys()
    for name, tensor in made.items():
        if tensor.is_floating_point():
            torch.testing.assert_close(tensor, (1 - share) * one[name] + share * other[name])


def test_the_header_tells_of_both_and_of_no_measurement(files, tmp_path):
    header = blend(files[0], files[1], tmp_path / "out.safetensors", 0.5)
    told = read(tmp_path / "out.safetensors")[0]
    assert told == header
    assert told.metrics == ()
    assert told.training["steps"] == 200
    record = told.training[BLENDED]
    assert isinstance(record, dict)
    assert record["share"] == 0.5
    assert (record["first"], record["second"]) == tuple(map(file_sha256, files))
    kept = {key: RECORD[key] for key in ("data", "degradation")}
    assert record["first_training"] == {**kept, "steps": 100, "terms": "first"}


def test_other_networks_shares_and_names_are_refused(files, tmp_path, cli):
    for share in (-0.1, 1.5):
        with pytest.raises(UsageError, match="between 0 and 1"):
            blend(files[0], files[1], tmp_path / "out.safetensors", share)
    with pytest.raises(UsageError, match=r"end it in \.safetensors"):
        blend(files[0], files[1], tmp_path / "out.pth", 0.5)
    result = cli("weights", "blend", WEIGHTS / "x2.safetensors", WEIGHTS / "x4.safetensors", "out.safetensors", check=2)
    assert "is of another network than x2.safetensors" in result.stderr
    assert not (tmp_path / "out.safetensors").exists()


def test_the_command_blends_and_replaces_nothing_unasked(tmp_path, cli):
    pair = (WEIGHTS / "x4.safetensors", WEIGHTS / "x4-gan.safetensors", "between.safetensors")
    cli("weights", "blend", *pair, "--share", "0.3")
    before = (tmp_path / "between.safetensors").read_bytes()
    assert "--overwrite" in cli("weights", "blend", *pair, check=2).stderr
    cli("weights", "blend", *pair, "--share", "0.3", "--overwrite")
    assert (tmp_path / "between.safetensors").read_bytes() == before
    cli("weights", "verify", "between.safetensors")
