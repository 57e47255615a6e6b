"""Detectors are measured by what they mark, on damaged and on clean pictures."""

import base64
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data

from restorekit.errors import UsageError
from restorekit.evaluation.benchmarking import child
from restorekit.evaluation.benchmarking.report import write_report
from restorekit.evaluation.detection import DETECTION_METRICS

SCRATCHES = ("scratches:4,width=2-3",)


def test_detectors_are_measured_by_their_marks_beside_those_without_training(measure, tmp_path):
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()[:320, 100:420]).save(tmp_path / f"{name}.png")
    print_of = ("gray", *SCRATCHES, "cracks", "dust", "noise:5")
    found = measure("scratch-detector", folder=tmp_path, degradation=print_of, with_baselines=True)
    assert [row.generator for row in found.rows] == ["scratch-detector", "top-hat"]
    assert found.metrics == list(DETECTION_METRICS)
    network, classical = (row.mean for row in found.rows)
    assert network["f1"] > 1.5 * classical["f1"]
    assert 0.5 < network["recall"] <= 1
    assert found.protocol["metrics"] == "f1, precision, recall, false_alarms"
    assert found.protocol["tolerance"] == "2 px"
    assert found.rows[0].weights


def test_false_alarms_are_what_is_marked_of_the_clean_picture(measure, clean):
    from restorekit.inference import Job, Restoration, choose_runtime
    from restorekit.registry import registry
    from restorekit.specs import Step

    (row,) = measure("top-hat", degradation=SCRATCHES).rows
    restoration = Restoration([Step("top-hat")], registry=registry(), runtime=choose_runtime("cpu", "fp32"))
    for name, scores in row.scores.items():
        picture = child._picture(np.asarray(Image.open(clean / name)))
        (outcome,) = restoration.restore([Job(name, picture, None, 0)])
        marked = 0.0 if outcome.mask is None else outcome.mask.mean()
        assert scores["false_alarms"] == marked


def test_detectors_and_restorers_are_not_compared(measure):
    with pytest.raises(UsageError, match="top-hat: marks damage and restores nothing"):
        measure("telea", "top-hat", degradation=SCRATCHES)
    assert measure("top-hat+telea", "telea", degradation=SCRATCHES).metrics[0] == "psnr"


def test_damage_that_nothing_marks_cannot_be_looked_for(measure):
    with pytest.raises(UsageError, match="marks no damage that could be found"):
        measure("top-hat", degradation=("noise:20",))


def test_the_report_shows_the_marks(measure, tmp_path):
    found = measure("top-hat", degradation=SCRATCHES, illustrated=True)
    crops = {crop.title: crop.png for crop in found.shown[0].crops}
    assert list(crops) == ["degraded", "top-hat", "reference"]
    painted = cv2.imdecode(np.frombuffer(crops["top-hat"], np.uint8), cv2.IMREAD_COLOR)
    assert (painted == (255, 0, 255)).all(axis=2).any()
    write_report(tmp_path / "page.html", found)
    assert base64.b64encode(crops["top-hat"]).decode() in (tmp_path / "page.html").read_text()


def test_weights_that_are_not_here_are_a_row_that_says_so(measure, tmp_path):
    missing, found = measure(str(tmp_path / "lost.safetensors"), "top-hat", degradation=SCRATCHES).rows
    assert "lost.safetensors" in missing.error
    assert found.mean["f1"] > 0


def test_what_was_found_goes_into_the_header(measure, tmp_path):
    from restorekit.evaluation.recorded import measured
    from restorekit.registry import registry
    from restorekit.specs import Step

    found = measure("scratch-detector", degradation=SCRATCHES)
    (tmp_path / "found.json").write_text(json.dumps(found.record()))
    path = registry().weights_path(Step("scratch-detector"))
    assert path is not None
    metrics = {metric.name: metric for metric in measured(path, [tmp_path / "found.json"])}
    assert list(metrics) == list(DETECTION_METRICS)
    assert metrics["f1"].value == found.rows[0].mean["f1"]
    assert metrics["f1"].data == f"{found.data}, {SCRATCHES[0]}"
    assert "tolerance 2 px" in metrics["f1"].protocol
