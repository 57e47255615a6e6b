"""The numbers of a benchmark are those of the files a user would have, and of the published protocols."""

import math

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter1d

from restorekit.batch.degrade import degrade
from restorekit.batch.options import BatchOptions
from restorekit.batch.restore import Options, restore
from restorekit.degradations import parse
from restorekit.errors import UsageError
from restorekit.evaluation.benchmarking import published_conditions
from restorekit.evaluation.fidelity import Fidelity
from restorekit.evaluation.folders import evaluate
from restorekit.registry import registry
from restorekit.specs import Step


@pytest.mark.parametrize(
    ("damage", "step"), [(["noise:20"], "median:3"), (["holes:irregular,coverage=0.1-0.2", "jpeg:60"], "telea")]
)
def test_numbers_are_those_of_degrade_restore_and_evaluate(clean, measure, tmp_path, damage, step):
    degrade(
        [clean], tmp_path / "bad", parse(damage), BatchOptions(seed=5, report=False, format="png"), registry=registry()
    )
    restore(
        [tmp_path / "bad"], tmp_path / "good", Options(steps=(Step.parse(step),), report=False), registry=registry()
    )
    whole = evaluate(tmp_path / "good", clean, Fidelity())
    found = measure(step, degradation=tuple(damage), seed=5)
    (row,) = found.rows
    assert {name: scores["psnr"] for name, scores in row.scores.items()} == {
        score.pair.name: score.values["psnr"] for score in whole.scores
    }
    assert row.mean["ssim"] == whole.mean["ssim"]
    if step == "telea":
        (tmp_path / "masks/sub").mkdir(parents=True)
        for path in (tmp_path / "bad").rglob("*.mask.png"):
            path.rename(tmp_path / "masks" / path.relative_to(tmp_path / "bad"))
        holes = evaluate(tmp_path / "good", clean, Fidelity(region="mask"), masks=tmp_path / "masks")
        assert row.mean["psnr_mask"] == holes.mean["psnr"]
        assert row.mean["psnr_mask"] < row.mean["psnr"]
        assert found.protocol["region"] == "whole, mask"
    else:
        assert found.metrics == ["psnr", "ssim"]


def _resampling(length: int, scale: float) -> np.ndarray:
    """MATLAB's imresize along one axis as a dense matrix: Keys' kernel, widened when shrinking, borders mirrored."""
    wanted = math.ceil(length * scale)
    stretch = min(scale, 1.0)
    matrix = np.zeros((wanted, length))
    for row in range(wanted):
        centre = (row + 0.5) / scale - 0.5
        for tap in range(math.floor(centre - 2 / stretch) - 1, math.ceil(centre + 2 / stretch) + 2):
            x = abs(centre - tap) * stretch
            weight = 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0
            source = tap % (2 * length)
            matrix[row, source if source < length else 2 * length - 1 - source] += weight
    return matrix / matrix.sum(axis=1, keepdims=True)


def _resized(picture: np.ndarray, scale: float) -> np.ndarray:
    rows, columns = _resampling(picture.shape[0], scale), _resampling(picture.shape[1], scale)
    resized = np.einsum("ij,jkc,lk->ilc", rows, picture.astype(float), columns)
    return np.rint(np.clip(resized, 0, 255))


def _similarity(a: np.ndarray, b: np.ndarray) -> float:
    """SSIM of Wang et al. 2004 on windows that lie inside the picture."""

    def blurred(x: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            x = gaussian_filter1d(x, 1.5, axis=axis, radius=5)
        return x[5:-5, 5:-5]

    mean_a, mean_b = blurred(a), blurred(b)
    var_a, var_b = blurred(a * a) - mean_a**2, blurred(b * b) - mean_b**2
    covariance = blurred(a * b) - mean_a * mean_b
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    shares = (2 * mean_a * mean_b + c1) * (2 * covariance + c2)
    return float((shares / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_published_protocol_of_super_resolution_is_matlabs_bicubic_and_luma(clean, measure, scale):
    (row,) = measure(f"bicubic:{scale}", conditions=published_conditions(f"sr:{scale}")).rows
    for name, scores in row.scores.items():
        picture = np.asarray(Image.open(clean / name)).astype(float)
        height, width = (side - side % scale for side in picture.shape[:2])
        picture = picture[:height, :width]
        enlarged = _resized(_resized(picture, 1 / scale), scale)
        ours, theirs = (
            ((65.481 * r + 128.553 * g + 24.966 * b) / 255 + 16)[scale:-scale, scale:-scale]
            for r, g, b in (each.transpose(2, 0, 1) for each in (enlarged, picture))
        )
        # A value that lies halfway between two levels may be rounded either way.
        assert scores["psnr"] == pytest.approx(10 * np.log10(255**2 / np.mean((ours - theirs) ** 2)), abs=0.01)
        assert scores["ssim"] == pytest.approx(_similarity(ours, theirs), abs=1e-3)


def test_the_published_protocol_of_denoising_keeps_noise_beyond_white_and_black(measure, tmp_path):
    Image.fromarray(np.full((120, 130, 3), 250, np.uint8)).save(tmp_path / "bright.png")
    Image.fromarray(np.full((120, 130, 3), 5, np.uint8)).save(tmp_path / "dark.png")
    wavelet = measure("wavelet:50", folder=tmp_path, conditions=published_conditions("denoise:50"))
    clipped = measure("wavelet:50", folder=tmp_path, degradation=("noise:50",))
    assert wavelet.protocol["degraded"] == "float, neither rounded nor clipped"
    # Clipped noise has another mean than what it was added to, and no filter can know.
    assert wavelet.rows[0].mean["psnr"] > clipped.rows[0].mean["psnr"] + 5


def test_masks_of_damage_reach_restorers_but_not_those_that_look_for_it_themselves(measure):
    found = measure("telea", "top-hat+telea", degradation=("holes:center,fill=black",))
    told, finding = found.rows
    assert (told.masked, finding.masked) == (True, False)
    assert told.mean["psnr_mask"] > finding.mean["psnr_mask"] + 3
    assert tuple(finding.steps) == ("top-hat", "telea")


def test_steps_joined_by_plus_run_in_order_in_one_row(measure):
    found = measure("median:3 + bicubic:2", "bicubic:2", degradation=("downscale:2", "noise:30"))
    chain, alone = found.rows
    assert [str(step) for step in chain.steps] == ["median:3", "bicubic:2"]
    assert chain.mean["psnr"] > alone.mean["psnr"]
    assert found.protocol["modcrop"] == 2


def test_the_same_benchmark_twice_differs_in_time_and_memory_alone(measure):
    def numbers():
        record = measure("median:3", degradation=("noise:20",)).record()
        for row in record["rows"]:
            del row["seconds_per_megapixel"], row["peak_bytes"]
        return record

    assert numbers() == numbers()


class Distance:
    """A metric beside the paired ones."""

    name = "distance"
    higher_is_better = False

    def facts(self):
        return {"distance": "mean"}

    def measure(self, restored, reference):
        return float(np.abs(restored.astype(float) - reference).mean())


def test_further_metrics_see_the_whole_picture_without_its_border(measure):
    options = {"degradation": ("noise:9",), "metrics": ("mae",), "crop_border": 5}
    found = measure("median:3", others=[Distance()], **options)
    assert found.protocol["distance"] == "mean"
    assert found.rows[0].values("distance") == pytest.approx(found.rows[0].values("mae"))
    with pytest.raises(UsageError, match="distance measures whole pictures"):
        measure("telea", others=[Distance()], degradation=("holes",), region="mask")


def test_a_factor_that_is_no_whole_number_is_reached_by_resampling(measure):
    found = measure("bicubic", degradation=("downscale:1.5",))
    assert found.complete
    assert found.protocol["modcrop"] == 1
    assert [step.partition(":")[0] for step in found.rows[0].steps] == ["bicubic,scale=2", "resize"]
