"""A run records the weights that made each picture, and other weights are another restoration."""

import json
import os
from pathlib import Path

import pytest
from PIL import Image

from restorekit.batch import restore as batch
from restorekit.batch.restore import Options
from restorekit.inference import Target
from restorekit.specs import Step
from restorekit.weights.files import file_sha256
from tests.batch.conftest import contents, noisy_pictures

from .conftest import save_tiny


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    noisy_pictures(tmp_path / "in", 3, side=32)
    return tmp_path / "in"


def restore(pictures, output, registry, *steps, **options):
    chosen = Options(steps=tuple(map(Step.parse, steps)), report=False, device="cpu", precision="fp32", **options)
    return batch.restore([pictures], output, chosen, registry=registry)


def test_the_weights_file_and_its_plugin_are_recorded(pictures, tmp_path, saved, registry):
    result = restore(pictures, tmp_path / "out", registry, str(saved), target=Target(size=(20, 20)))
    assert (result.done, result.failed) == (3, 0)
    lines = [json.loads(line) for line in result.manifest.read_text().splitlines()]
    for line in (line for line in lines if line["kind"] == "result"):
        assert line["weights_sha256"] == {str(saved): file_sha256(saved)}
        assert [step["plugin"] for step in line["steps"]] == ["tiny 1.0", "restorekit"]
    assert Image.open(tmp_path / "out/p001.png").size == (20, 20)


def test_two_variants_of_one_generator_are_recorded_apart(pictures, tmp_path, site, registry):
    result = restore(pictures, tmp_path / "out", registry, "tiny", "tiny:other")
    folder = site / "tiny_weights"
    assert result.records[0].weights_sha256 == {
        "tiny": file_sha256(folder / "plain.safetensors"),
        "tiny:other": file_sha256(folder / "other.safetensors"),
    }


def test_changed_weights_restore_again_and_touched_ones_do_not(pictures, tmp_path, saved, registry):
    restore(pictures, tmp_path / "out", registry, str(saved))
    first = contents(tmp_path / "out")
    os.utime(saved)
    assert restore(pictures, tmp_path / "out", registry, str(saved)).skipped == 3
    save_tiny(saved, seed=8)
    result = restore(pictures, tmp_path / "out", registry, str(saved))
    assert (result.done, result.skipped, result.failed) == (3, 0, 0)
    assert all(contents(tmp_path / "out")[name] != first[name] for name in first)
    assert restore(pictures, tmp_path / "out", registry, str(saved)).skipped == 3


def test_a_description_that_changes_with_equal_tensors_counts_as_another_file(pictures, tmp_path, saved, registry):
    restore(pictures, tmp_path / "out", registry, str(saved))
    save_tiny(saved, licence="MIT")
    assert restore(pictures, tmp_path / "out", registry, str(saved)).done == 3


def test_the_same_weights_give_the_same_bytes(pictures, tmp_path, saved, registry):
    restore(pictures, tmp_path / "a", registry, str(saved))
    restore(pictures, tmp_path / "b", registry, str(saved), workers=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
