"""Weights made ready to be published."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from restorekit.errors import NotAvailable, UsageError
from restorekit.weights import Metric, save
from restorekit.weights.files import file_sha256, read
from restorekit.weights.packing import PACKED_FROM, pack, record

from .conftest import METRIC, RECORD, make_tiny
from .tiny import tiny_spec
from .tiny_network import TinyConfig

NEW = Metric(name="PSNR", value=30.0, protocol="y, crop 4", data="Set5")


@pytest.fixture
def trained(tmp_path: Path) -> Path:
    file = tmp_path / "trained.safetensors"
    save(make_tiny(), file, spec=tiny_spec(), config=TinyConfig(), training=RECORD, metrics=[METRIC])
    return file


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp16", torch.float16), ("bf16", torch.bfloat16), ("fp32", torch.float32)]
)
def test_floats_are_cast_and_everything_else_stays(trained, tmp_path, precision, dtype):
    pack(trained, tmp_path / "out.safetensors", precision=precision)
    before, after = read(trained)[1], read(tmp_path / "out.safetensors")[1]
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor.to(dtype) if tensor.is_floating_point() else tensor)


def test_metrics_are_added_and_measured_again_replaced(trained, tmp_path):
    packed = tmp_path / "packed.safetensors"
    tensors = pack(trained, packed, licence="Apache-2.0", terms="CC0-1.0").tensors_sha256
    header = record(packed, [NEW, Metric(**{**METRIC, "value": 32.0})])
    assert {(m.name, m.data): m.value for m in header.metrics} == {("PSNR", "CID22 val"): 32.0, ("PSNR", "Set5"): 30.0}
    assert header.licence == "Apache-2.0"
    assert header.training == {**RECORD, "terms": "CC0-1.0", PACKED_FROM: file_sha256(trained)}
    assert header.tensors_sha256 == tensors
    assert read(packed)[0] == header


def test_the_same_twice_is_the_same_file(trained, tmp_path):
    for name in ("a", "b"):
        pack(trained, tmp_path / f"{name}.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_values_too_large_for_half_precision_are_refused(tmp_path):
    generator = make_tiny()
    with torch.no_grad():
        next(generator.parameters()).fill_(1e6)
    source, target = tmp_path / "large.safetensors", tmp_path / "out.safetensors"
    save(generator, source, spec=tiny_spec(), config=TinyConfig())
    with pytest.raises(UsageError, match="fp16 cannot; store it as bf16 or fp32"):
        pack(source, target)
    assert not target.exists()
    pack(source, target, precision="bf16")


def test_the_source_stays_and_must_be_weights(trained, tmp_path):
    with pytest.raises(UsageError, match="is the file that is packed"):
        pack(trained, trained)
    with pytest.raises(UsageError, match=r"end it in \.safetensors"):
        pack(trained, tmp_path / "out.pth")
    other = tmp_path / "other.safetensors"
    other.write_bytes(b"nothing of the kind")
    with pytest.raises(NotAvailable, match=r"other\.safetensors"):
        pack(other, tmp_path / "out.safetensors")


def test_limits_are_told_kept_and_replaced(trained, tmp_path):
    packed = tmp_path / "packed.safetensors"
    tensors = pack(trained, packed, limits="Not for text.").tensors_sha256
    assert record(packed, [NEW]).limits == "Not for text."
    header = record(packed, limits="Not for faces.")
    assert (header.limits, header.tensors_sha256) == ("Not for faces.", tensors)
    assert NEW in header.metrics
    again = pack(packed, tmp_path / "again.safetensors")
    assert again.limits == "Not for faces."


def test_the_command_line_writes_limits_and_shows_them(trained, cli):
    cli("weights", "record", trained, "--limits", "Not for text.")
    assert "Not for text." in cli("weights", "show", trained).stdout
    nothing = cli("weights", "record", trained, check=2)
    assert "name a benchmark's result, or --limits TEXT" in nothing.stderr
