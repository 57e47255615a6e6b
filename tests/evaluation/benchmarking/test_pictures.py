"""Which pictures are measured, how they are damaged, and who takes part."""

import numpy as np
import pytest
import torch
from PIL import Image

from restorekit.degradations import parse
from restorekit.errors import UsageError
from restorekit.evaluation.benchmarking import Competitor, Conditions, baselines, picture_set, published_conditions
from restorekit.evaluation.benchmarking.competitors import tasks_of
from restorekit.evaluation.benchmarking.crops import choose, crops
from restorekit.evaluation.benchmarking.floats import FloatChain
from restorekit.evaluation.benchmarking.pictures import load, prepare
from restorekit.evaluation.benchmarking.published import published_rows
from restorekit.inference import Runtime
from restorekit.registry import registry
from restorekit.specs import Step


def prepared(folder, tmp_path, **conditions):
    out = tmp_path / "arrays"
    out.mkdir(exist_ok=True)
    return prepare(picture_set([folder]), Conditions(**conditions), out, lambda done, total: None)


def test_a_list_of_names_chooses_pictures_and_names_the_set(clean, tmp_path):
    (tmp_path / "Two.txt").write_text("sub/wild\ncalm.png\n\n")
    chosen = picture_set([clean], tmp_path / "Two.txt")
    assert chosen.name == "Two"
    assert [item.name for item in chosen.items] == ["calm.png", "sub/wild.png"]
    (tmp_path / "Two.txt").write_text("calm\nnobody\n")
    with pytest.raises(UsageError, match="nobody"):
        picture_set([clean], tmp_path / "Two.txt")


@pytest.mark.parametrize("floating", [False, True])
def test_noise_in_grey_pictures_is_as_strong_as_stated(tmp_path, floating):
    Image.fromarray(np.full((200, 200), 128, np.uint8)).save(tmp_path / "grey.png")
    (sample,) = prepared(tmp_path, tmp_path, degradation=("noise:20",), floating=floating).samples
    degraded = load(sample.degraded)
    assert degraded.shape == (200, 200, 1)
    white = 1 if floating else 255
    assert degraded.astype(float).std() * 255 / white == pytest.approx(20, rel=0.02)


def test_floats_keep_what_lies_beyond_black_and_white_and_16_bits_stay_16(tmp_path):
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    (sample,) = prepared(tmp_path, tmp_path, degradation=("noise:50",), floating=True).samples
    assert load(sample.degraded).dtype == np.float32
    assert load(sample.degraded).min() < -0.2
    assert load(sample.degraded).max() > 1.2
    (sample,) = prepared(tmp_path, tmp_path, degradation=("blur:1",)).samples
    assert load(sample.degraded).dtype == load(sample.clean).dtype == np.uint16


def test_generators_are_handed_floats_beyond_white_as_they_are():
    """The ordinary pipeline takes a brighter float picture for one whose white lies higher, and darkens it."""
    noisy = np.random.default_rng(0).normal(0.5, 0.6, (40, 50, 3)).astype(np.float32)
    chain = FloatChain([Step.parse("nearest:2")] * 2, registry(), Runtime(torch.device("cpu"), "fp32", "test"))
    restored = chain.restore("a", noisy, None, 0)
    np.testing.assert_array_equal(restored, noisy.repeat(4, axis=0).repeat(4, axis=1))


@pytest.mark.parametrize("step", ["auto", "top-hat"])
def test_steps_that_need_the_ordinary_pipeline_say_so(step):
    with pytest.raises(UsageError, match="takes no floats beyond"):
        FloatChain([Step.parse(step)], registry(), Runtime(torch.device("cpu"), "fp32", "test"))


@pytest.mark.parametrize(
    ("damage", "factor", "there", "not_there"),
    [
        (["downscale:3", "noise:5"], 3, {"bicubic:3", "lanczos:3", "nearest:3"}, {"nlmeans", "super-resolver"}),
        (["noise:5"], 1, {"nlmeans", "median"}, {"denoiser", "bicubic", "telea", "unsharp"}),
        (["holes", "noise:5"], 1, {"telea", "biharmonic"}, {"nlmeans", "context-encoder", "top-hat", "vae"}),
        (["scratches,chance=0.5"], 1, {"telea"}, {"top-hat"}),
        (["jpeg:30", "noise:3"], 1, {"deblock", "nlmeans"}, {"telea"}),
    ],
)
def test_baselines_are_the_untrained_methods_for_the_task(damage, factor, there, not_there):
    found = baselines(registry(), tasks_of(parse(damage), enlarges=factor > 1), factor, [])
    names = {competitor.name for competitor in found}
    assert there <= names
    assert not {competitor.steps[0].name for competitor in found} & not_there
    assert all(competitor.baseline for competitor in found)


def test_what_was_asked_for_is_no_baseline_again():
    asked = [Competitor.parse("bicubic"), Competitor.parse("lanczos:4")]
    names = {competitor.name for competitor in baselines(registry(), frozenset({"super-resolve"}), 4, asked)}
    assert names == {"nearest:4"}


def test_a_plus_joins_steps_unless_it_is_part_of_a_file_or_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a+b.safetensors").touch()
    assert [str(step) for step in Competitor.parse("median:3+ bicubic:2,x=1e+3").steps] == [
        "median:3",
        "bicubic:2,x=1e+3",
    ]
    assert [str(step) for step in Competitor.parse("a+b.safetensors").steps] == ["a+b.safetensors"]
    with pytest.raises(UsageError):
        Competitor.parse("median:3+")


def test_the_worst_the_median_and_the_best_picture_are_chosen():
    values = {"a": 30.0, "b": 20.0, "c": 25.0, "d": 27.0}
    assert choose(values, higher_is_better=True) == {"b": "worst", "c": "median", "a": "best"}
    assert choose(values, higher_is_better=False) == {"a": "worst", "d": "median", "b": "best"}
    assert choose({"b": 1.0, "a": 1.0}, higher_is_better=True) == {"a": "worst", "b": "best"}
    assert choose({"a": 1.0}, higher_is_better=True) == {"a": "only"}


def test_crops_show_where_methods_differ_most_and_small_pictures_whole():
    clean = np.full((300, 400, 3), 90, np.uint8)
    one, other = clean.copy(), clean.copy()
    other[180:240, 300:360] += 80
    shown = crops(
        "a", "worst", clean[::4, ::4], {"one": one, "other": other}, clean, {"one": {}, "other": {"psnr": 9.0}}
    )
    left, top, width, height = shown.box
    assert (width, height) == (96, 96)
    assert left <= 300 < 360 <= left + width
    assert top <= 180 < 240 <= top + height
    assert [crop.title for crop in shown.crops] == ["degraded", "one", "other", "reference"]
    small = crops("a", "best", clean[:40, :50, :1], {"one": one[:40, :50, :1]}, clean[:40, :50, :1], {"one": {}})
    assert small.box == (0, 0, 50, 40)


def _facts(conditions):
    return conditions.facts(conditions.fidelities(masks=False))


def test_published_conditions_state_everything_and_papers_are_found_for_them():
    facts = _facts(published_conditions("sr:3"))
    assert (facts["colour"], facts["crop_border"], facts["modcrop"], facts["degradation"]) == ("y", 3, 3, "downscale:3")
    facts = _facts(published_conditions("denoise:15", seed=4))
    assert (facts["colour"], facts["crop_border"], facts["seed"], facts["published"]) == ("rgb", 0, 4, "denoise:15")
    rows = {row["generator"]: row for row in published_rows("sr:4", "BSD100")}
    assert rows["bicubic"]["psnr"] == 25.96
    assert all(row["published"] and row["source"] for row in rows.values())
    assert published_rows("sr:4", "holiday") == published_rows("sr:2", "Set5") == []
    for name in ("sr:5", "sr", "denoise:x", "deblock:3"):
        with pytest.raises(UsageError, match="sr:2, sr:3, sr:4, denoise:15"):
            published_conditions(name)
