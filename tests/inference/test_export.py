"""Networks written as ONNX compute what they compute here."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.inference.export import export_onnx
from restorekit.registry import registry
from restorekit.specs import Step
from restorekit.weights import save

onnxruntime = pytest.importorskip("onnxruntime")
onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxscript")


def weights(folder: Path, name: str, **config) -> Path:
    torch.manual_seed(0)
    made = registry().build(name, config)
    with torch.no_grad():
        for parameter in made.generator.parameters():  # pyright: ignore[reportAttributeAccessIssue]
            parameter.add_(0.02 * torch.randn_like(parameter))
    file = folder / f"{name}.safetensors"
    save(made.generator, file, spec=made.spec, config=made.config, licence="CC0-1.0")
    return file


@pytest.mark.parametrize(
    ("name", "config", "more", "side"),
    [
        ("super-resolver", {"scale": 3, "features": 8, "blocks": 1, "upsampling": "direct"}, ",ensemble=2", 29),
        ("denoiser", {"widths": [8, 16], "blocks": 1}, "", 30),
    ],
)
def test_an_exported_network_restores_any_size_as_torch_does(tmp_path, name, config, more, side):
    step = Step.parse(f"{weights(tmp_path, name, **config)}{more}")
    result = export_onnx(step, tmp_path / "out.onnx", registry=registry())
    assert result.difference < 1e-5
    session = onnxruntime.InferenceSession(str(result.path), providers=["CPUExecutionProvider"])
    images = torch.rand(3, 3, side, side + 12)
    (got,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        loaded = registry().load(step)
        if loaded.ensemble == 1:
            wanted = loaded.generator.restore(Batch(images)).clamp(0, 1)  # pyright: ignore
            np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5)
    assert got.shape[2] == side * (3 if name == "super-resolver" else 1)
    (said,) = (p.value for p in onnx.load(str(result.path)).metadata_props if p.key == "restorekit")
    assert json.loads(said)["generator"] == name
    assert json.loads(said)["licence"] == "CC0-1.0"


def test_what_cannot_be_exported_is_told_in_one_line(tmp_path):
    file = weights(tmp_path, "denoiser", widths=[8, 16], blocks=1)
    with pytest.raises(UsageError, match=r"end it in \.onnx"):
        export_onnx(Step(str(file)), tmp_path / "out.pt", registry=registry())
    with pytest.raises(UsageError, match="bicubic: is no network"):
        export_onnx(Step("bicubic"), tmp_path / "out.onnx", registry=registry())
    told = weights(tmp_path, "denoiser", widths=[8, 16], blocks=1, noise_map=True)
    with pytest.raises(NotAvailable, match="cannot be written as ONNX") as caught:
        export_onnx(Step(str(told)), tmp_path / "out.onnx", registry=registry())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out.onnx").exists()


def test_a_missing_package_is_named_with_the_way_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxscript", None)
    file = weights(tmp_path, "denoiser", widths=[8, 16], blocks=1)
    with pytest.raises(NotAvailable, match=r"onnxscript is not installed; pip install 'restorekit\[onnx\]'"):
        export_onnx(Step(str(file)), tmp_path / "out.onnx", registry=registry())
