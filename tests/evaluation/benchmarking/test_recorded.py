"""From a training's weights to a published file: packed, measured, and the measurement written into its header."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from restorekit.registry import registry
from restorekit.weights import read_header, save


@pytest.fixture
def trained(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    made = registry().build("super-resolver", {"scale": 2, "features": 8, "blocks": 1})
    file = tmp_path / "trained.safetensors"
    save(made.generator, file, spec=made.spec, config=made.config, training={"data": "noise"})
    return file


def test_a_file_is_packed_measured_and_tells_what_was_measured(here, together, clean, trained, tmp_path):
    assert here("weights", "pack", trained, "x2.safetensors", "--licence", "CC0-1.0", "--terms", "none")[0] == 0
    measure = ("--data", clean, "--degradation", "downscale:2", "--no-baselines", "--save", "b.json")
    assert here("benchmark", "x2.safetensors", trained, *measure)[0] == 0
    status, out, err = here("weights", "record", "x2.safetensors", "b.json", "--json")
    assert status == 0, err
    card = json.loads(out)
    metrics = {metric["name"]: metric for metric in card["metrics"]}
    row, whole = json.loads((tmp_path / "b.json").read_text())["rows"]
    assert metrics["psnr"]["value"] == pytest.approx(row["psnr"])
    assert metrics["ssim"]["value"] == pytest.approx(row["ssim"])
    assert metrics["psnr lost by packing"]["value"] == pytest.approx(whole["psnr"] - row["psnr"])
    assert abs(metrics["psnr lost by packing"]["value"]) < 0.02
    assert metrics["psnr"]["data"] == f"{clean.name}, downscale:2"
    assert "colour rgb" in metrics["psnr"]["protocol"]
    assert "seconds" not in metrics["psnr"]["protocol"]
    assert (card["licence"], card["training"]["terms"]) == ("CC0-1.0", "none")
    # It is another file now: what was measured before is no longer of the file as it is.
    status, _, err = here("weights", "record", "x2.safetensors", "b.json")
    assert status == 2
    assert "did not measure x2.safetensors as it is now" in err


def test_what_lower_precision_costs_is_told(here, together, clean, trained, tmp_path):
    psnr: dict[str, float] = {}
    for precision in ("bf16", "fp32", "fp16"):
        measure = ("--data", clean, "--degradation", "downscale:2", "--no-baselines", "--precision", precision)
        assert here("benchmark", trained, *measure, "--save", f"{precision}.json")[0] == 0
        psnr[precision] = json.loads((tmp_path / f"{precision}.json").read_text())["rows"][0]["psnr"]
    assert len(set(psnr.values())) == 3
    files = [f"{precision}.json" for precision in psnr]
    status, out, err = here("weights", "record", trained, *files, "--json")
    assert status == 0, err
    recorded = json.loads(out)["metrics"]
    metrics = {metric["name"]: metric["value"] for metric in recorded}
    assert len(metrics) == len(recorded)
    assert metrics["psnr"] == pytest.approx(psnr["bf16"])
    assert metrics["psnr lost by bf16"] == pytest.approx(psnr["fp32"] - psnr["bf16"], abs=1e-9)
    assert metrics["psnr lost by fp16"] == pytest.approx(psnr["fp32"] - psnr["fp16"], abs=1e-9)
    assert "psnr lost by fp32" not in metrics


def test_other_pictures_of_the_same_name_are_told_too(here, together, clean, trained, tmp_path):
    other = tmp_path / "other" / clean.name
    shutil.copytree(clean, other)
    for path in filter(Path.is_file, other.rglob("*")):
        Image.open(path).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(path)
    for name, folder in (("a", clean), ("b", other)):
        measure = ("--data", folder, "--degradation", "downscale:2", "--no-baselines", "--save", f"{name}.json")
        assert here("benchmark", trained, *measure)[0] == 0
    status, out, err = here("weights", "record", trained, "a.json", "b.json", "--json")
    assert status == 0, err
    told = [metric["value"] for metric in json.loads(out)["metrics"] if metric["name"] == "psnr"]
    rows = [json.loads((tmp_path / f"{name}.json").read_text())["rows"][0]["psnr"] for name in "ab"]
    assert told == pytest.approx(rows)


def test_numbers_of_other_weights_are_refused(here, together, clean, trained, tmp_path):
    assert here("weights", "pack", trained, "x2.safetensors", "--precision", "bf16")[0] == 0
    (tmp_path / "odd.json").write_text("{}")
    before = (tmp_path / "x2.safetensors").read_bytes()
    assert "is no benchmark" in here("weights", "record", "x2.safetensors", "odd.json")[2]
    assert here("weights", "pack", trained, "x2.safetensors")[0] == 2
    assert "choose fp32, fp16, bf16" in here("weights", "pack", trained, "y.safetensors", "--precision", "int8")[2]
    assert (tmp_path / "x2.safetensors").read_bytes() == before
    assert read_header(tmp_path / "x2.safetensors").metrics == ()
