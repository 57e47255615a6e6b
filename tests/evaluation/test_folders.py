"""Whole folders: the same numbers as picture by picture, and no picture stops the others."""

import dataclasses
import math

import cv2
import numpy as np
import pytest

from restorekit.errors import PictureError, UsageError
from restorekit.evaluation import Fidelity
from restorekit.evaluation.folders import evaluate


def save(path, pixels):
    """Write RGB or grey (or RGBA) pixels as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    order = {3: cv2.COLOR_RGB2BGR, 4: cv2.COLOR_RGBA2BGRA}
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    encoded = cv2.cvtColor(pixels, order[channels]) if channels in order else pixels
    path.write_bytes(cv2.imencode(path.suffix, encoded)[1].tobytes())


@pytest.fixture
def crops(photo, tmp_path):
    """Four crops of a photo, and noisy versions of them."""
    made = {}
    for index, name in enumerate(("a", "b", "c/d", "e")):
        clean = photo[8 * index : 8 * index + 48, 16 * index : 16 * index + 64].copy()
        noise = np.random.default_rng(index).normal(0, 4 + 4 * index, clean.shape)
        noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
        made[f"{name}.png"] = (noisy, clean)
        save(tmp_path / "restored" / f"{name}.png", noisy)
        save(tmp_path / "reference" / f"{name}.png", clean)
    return made


def run(tmp_path, fidelity=None, **options):
    return evaluate(tmp_path / "restored", tmp_path / "reference", fidelity or Fidelity(), **options)


@pytest.mark.parametrize("workers", [None, 1, 3])
def test_every_number_is_that_of_its_own_pair(crops, tmp_path, workers):
    fidelity = Fidelity(metrics=("psnr", "ssim", "mae"), colour="y", crop_border=3)
    result = run(tmp_path, fidelity, workers=workers)
    assert result.complete
    assert {score.pair.name: score.values for score in result.scores} == {
        name: fidelity.measure(*pictures) for name, pictures in crops.items()
    }
    for metric in fidelity.metrics:
        values = [fidelity.measure(*pictures)[metric] for pictures in crops.values()]
        assert result.mean[metric] == pytest.approx(np.mean(values))
        low, high = result.interval[metric]
        assert min(values) <= low < result.mean[metric] < high <= max(values)


def test_the_protocol_says_how_it_was_measured(crops, tmp_path):
    protocol = run(tmp_path, Fidelity(colour="y", crop_border=2), modcrop=2).protocol
    assert protocol == {
        "metrics": "psnr, ssim",
        "colour": "y",
        "crop_border": 2,
        "region": "whole",
        "ssim": "gaussian 11x11 sigma 1.5, population covariance",
        "modcrop": 2,
        "alpha": "ignored",
        "depth": 8,
        "pictures": 4,
    }


def test_references_are_cut_to_a_multiple_on_request(photo, tmp_path):
    save(tmp_path / "reference/a.png", photo[:51, :66])
    save(tmp_path / "restored/a.png", photo[:48, :64])
    with pytest.raises(PictureError, match="66x51 reference; crop the reference to a multiple of the scale"):
        run(tmp_path)
    assert run(tmp_path, modcrop=4).mean == {"psnr": math.inf, "ssim": pytest.approx(1)}


def test_bad_pictures_are_named_and_the_others_measured(crops, photo, tmp_path):
    restored = tmp_path / "restored"
    (restored / "a.png").write_bytes(b"\x89PNG no more")
    save(restored / "b.png", photo[:40, :64])
    (tmp_path / "reference/e.png").unlink()
    save(restored / "f.png", photo)
    result = run(tmp_path)
    assert [score.pair.name for score in result.scores] == ["c/d.png"]
    assert result.extra == ("e.png", "f.png")
    assert [name for name, _ in result.failed] == ["a.png", "b.png"]
    reasons = dict(result.failed)
    assert str(restored / "a.png") in reasons["a.png"]
    assert "64x40 restored, 64x48 reference" in reasons["b.png"]
    assert not result.complete


def test_nothing_that_can_be_measured_is_one_line_that_names_the_first(crops, tmp_path):
    for path in (tmp_path / "restored").rglob("*.png"):
        path.write_bytes(b"")
    with pytest.raises(PictureError, match=r"no picture could be measured: a\.png: .*\(and 3 more\)"):
        run(tmp_path)


def test_grey_sixteen_bits_and_alpha_are_measured_and_said(photo, tmp_path):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 9, photo.shape), 0, 255).astype(np.uint8)
    opaque = np.full((*photo.shape[:2], 1), 200, np.uint8)
    save(tmp_path / "restored/alpha.png", np.dstack([noisy, opaque]))
    save(tmp_path / "reference/alpha.png", photo)
    save(tmp_path / "restored/deep.png", noisy)
    save(tmp_path / "reference/deep.png", photo.astype(np.uint16) * 257)
    save(tmp_path / "restored/grey.png", noisy[..., 0])
    save(tmp_path / "reference/grey.png", photo)
    result = run(tmp_path)
    by_name = {score.pair.name: score.values for score in result.scores}
    expected = Fidelity().measure(noisy, photo)
    assert by_name["alpha.png"] == expected
    assert by_name["deep.png"] == pytest.approx(expected)
    assert by_name["grey.png"] == pytest.approx(Fidelity().measure(np.repeat(noisy[..., :1], 3, 2), photo))
    assert result.protocol["depth"] == "8, 16"
    assert result.notes == (
        "1 of 3 pictures: 8 bits restored beside 16 bits: both put on one scale, unrounded",
        "1 of 3 pictures: alpha ignored",
        "1 of 3 pictures: grey beside colour: the grey picture counts as three equal channels",
    )


def test_samples_that_are_no_numbers_fail_that_picture_alone(crops, photo, tmp_path):
    for folder in ("restored", "reference"):
        broken = photo[:48, :64, ::-1].astype(np.float32) / 255
        broken[0, 0] = np.nan
        path = tmp_path / folder / "nan.tiff"
        path.write_bytes(cv2.imencode(".tiff", broken)[1].tobytes())
    result = run(tmp_path)
    assert len(result.scores) == 4
    assert [name for name, _ in result.failed] == ["nan.tiff"]


def test_holes_are_measured_alone_with_masks_from_beside_or_from_a_folder(crops, tmp_path):
    mask = np.zeros((48, 64), np.uint8)
    mask[10:30, 20:50] = 255
    fidelity = Fidelity(region="mask")
    save(tmp_path / "reference/a.mask.png", mask)
    beside = run(tmp_path, fidelity)
    assert [score.pair.name for score in beside.scores] == ["a.png"]
    assert next(reason for _, reason in beside.failed).startswith("has no mask; give one")
    for name in crops:
        save(tmp_path / "masks" / name, mask)
    apart = run(tmp_path, fidelity, masks=tmp_path / "masks")
    assert apart.complete
    noisy, clean = crops["a.png"]
    assert apart.scores[0].values == beside.scores[0].values == fidelity.measure(noisy, clean, mask > 0)


def test_an_identical_picture_is_marked_and_does_not_make_the_mean_infinite(crops, tmp_path):
    save(tmp_path / "restored/a.png", crops["a.png"][1])
    result = run(tmp_path)
    record = result.record()
    assert record["pictures"][0] == {"name": "a.png", "psnr": None, "ssim": pytest.approx(1), "identical": True}
    assert record["mean"]["psnr"] == pytest.approx(np.mean([each["psnr"] for each in record["pictures"][1:]]))
    assert any("1 of 4 pictures: equal to the reference; left out" in note for note in result.notes)


def test_the_worst_come_first_whichever_way_a_metric_runs(crops, tmp_path):
    result = run(tmp_path, Fidelity(metrics=("psnr", "mae")))
    by_psnr = [score.values["psnr"] for score in result.worst_first("psnr")]
    assert by_psnr == sorted(by_psnr)
    by_mae = [score.values["mae"] for score in result.worst_first("mae")]
    assert by_mae == sorted(by_mae, reverse=True)


def test_other_metrics_see_the_cropped_pictures_and_stamp_their_own_facts(crops, tmp_path):
    @dataclasses.dataclass
    class Largest:
        name = "largest"

        def facts(self):
            return {"largest": "of all samples"}

        def measure(self, restored, reference):
            assert restored.shape == reference.shape == (40, 56, 3)
            return float(np.abs(restored.astype(int) - reference).max())

    result = run(tmp_path, Fidelity(metrics=(), crop_border=4), others=[Largest()])
    assert result.metrics == ("largest",)
    assert result.protocol["metrics"] == "largest"
    assert result.protocol["largest"] == "of all samples"


@pytest.mark.parametrize("options", [{"modcrop": 0}, {"workers": 0}])
def test_values_out_of_range_are_refused(crops, tmp_path, options):
    with pytest.raises(UsageError, match="is less than 1"):
        run(tmp_path, **options)
