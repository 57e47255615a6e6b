"""``restorekit degrade``: seeded damage, masks that restore finds, and repair that measures better."""

import json

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from restorekit.batch.degrade import degrade
from restorekit.batch.options import BatchOptions
from restorekit.batch.results import Result
from restorekit.degradations import parse
from restorekit.registry import registry

from .test_restore import here, written

__all__ = ["here"]


@pytest.fixture
def clean(photo, tmp_path, monkeypatch):
    """A folder with three clean pictures: RGB, grey with 16 bits, and one with alpha."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "clean"
    (folder / "sub").mkdir(parents=True)
    Image.fromarray(photo).save(folder / "photo.png")
    Image.fromarray(photo[:60, :70, 0].astype(np.uint16) * 257).save(folder / "sub/grey.png")
    alpha = np.full((60, 70), 255, np.uint8)
    alpha[:, :20] = 0
    Image.fromarray(np.dstack([photo[:60, :70], alpha])).save(folder / "cutout.png")
    return folder


def damage(folder, output, *steps: str, **options) -> Result:
    result = degrade([folder], output, parse(list(steps)), BatchOptions(report=False, **options), registry=registry())
    assert result.failed == 0, [record.reason for record in result.records]
    return result


def contents(folder) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in written(folder) if name.endswith(".png")}


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path)).astype(float)


def test_holes_are_cut_found_again_and_repaired_for_the_better(cli, here, clean):
    """Damaged in a process of its own and in this one, with the same seed; restore finds the masks."""
    steps = ["holes:irregular,coverage=0.05-0.15", "noise:8"]
    options = [option for step in steps for option in ("--with", step)]
    done = cli("degrade", "clean", "-o", "damaged", *options, "--seed", 3, "--json", "--no-report")
    summary = json.loads(done.stdout)
    assert set(summary) == {"done", "skipped", "failed", "ignored", "seconds", "output", "manifest", "report"}
    assert (summary["done"], summary["failed"], summary["report"]) == (3, 0, None)
    damage(clean, clean.parent / "again", *steps, seed=3, workers=1)
    pictures = {"photo.png", "sub/grey.png", "cutout.png"}
    masks = {name.replace(".png", ".mask.png") for name in pictures}
    assert set(contents(clean.parent / "damaged")) == pictures | masks
    assert contents(clean.parent / "damaged") == contents(clean.parent / "again")
    assert here("restore", "damaged", "-o", "restored", "--no-report")[0] == 0
    folder = clean.parent
    for name in ("photo.png", "sub/grey.png"):
        before, broken, after = (pixels(folder / each / name) for each in ("clean", "damaged", "restored"))
        gained = [peak_signal_noise_ratio(before, each, data_range=before.max()) for each in (broken, after)]
        assert gained[1] > gained[0] + 6
        record = next(
            json.loads(line)
            for line in (folder / "restored/manifest.jsonl").read_text().splitlines()
            if json.loads(line).get("output") == name and json.loads(line)["kind"] == "result"
        )
        assert record["mask_sha256"]


@pytest.mark.parametrize("steps", [["holes:random"], ["scratches", "dust"], ["text"], ["real"], ["noise:5-50"]])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(clean, steps, tmp_path):
    damage(clean, tmp_path / "a", *steps)
    damage(clean, tmp_path / "b", *steps, workers=1)
    damage(clean, tmp_path / "c", *steps, seed=1)
    first, second, third = (contents(tmp_path / name) for name in "abc")
    assert first == second
    assert set(first) == set(third)
    assert first["photo.png"] != third["photo.png"]


def test_a_mask_is_written_exactly_where_pixels_were_lost(clean, tmp_path):
    damage(clean, tmp_path / "out", "holes:irregular,fill=black")
    for name in ("photo", "sub/grey", "cutout"):
        before, after = pixels(clean / f"{name}.png"), pixels(tmp_path / f"out/{name}.png")
        mask = pixels(tmp_path / f"out/{name}.mask.png") > 127
        np.testing.assert_array_equal(after[~mask][..., :3], before[~mask][..., :3])
        seen = after[..., 3] > 0 if after.shape[2:] == (4,) else np.ones(mask.shape, bool)
        assert (after[mask & seen][..., :3] == 0).all()
        assert 0.02 < mask.mean() < 0.6


def test_a_grey_picture_gets_the_noise_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flat").mkdir()
    Image.fromarray(np.full((128, 128), 128, np.uint8)).save(tmp_path / "flat/a.png")
    damage(tmp_path / "flat", tmp_path / "out", "noise:25", "poisson:30,chance=0")
    assert np.std(pixels(tmp_path / "out/a.png")) == pytest.approx(25, rel=0.05)


def test_masks_follow_a_change_of_size_and_damage_without_holes_has_none(clean, tmp_path):
    damage(clean, tmp_path / "small", "holes:center", "downscale:2")
    mask = pixels(tmp_path / "small/photo.mask.png")
    assert mask.shape == pixels(tmp_path / "small/photo.png").shape[:2] == (80, 100)
    assert pixels(tmp_path / "small/cutout.png").shape == (30, 35, 4)
    damage(clean, tmp_path / "noisy", "noise:20", "jpeg:40")
    assert set(contents(tmp_path / "noisy")) == {"photo.png", "sub/grey.png", "cutout.png"}


def test_depth_grey_and_alpha_survive_damage(clean, tmp_path):
    damage(clean, tmp_path / "out", "noise:10", "blur:1")
    grey = Image.open(tmp_path / "out/sub/grey.png")
    assert grey.mode == "I;16"
    assert len(np.unique(np.asarray(grey))) > 300
    before, after = (np.asarray(Image.open(folder / "cutout.png")) for folder in (clean, tmp_path / "out"))
    assert after.shape == before.shape
    np.testing.assert_array_equal(after[..., 3], before[..., 3])


def test_colours_that_cannot_be_seen_do_not_bleed_into_damage(clean, tmp_path):
    cutout = np.array(Image.open(clean / "cutout.png"))
    other = cutout.copy()
    other[:, :20, :3] = (255, 0, 255)
    results = []
    for name, image in (("black", cutout), ("magenta", other)):
        (tmp_path / name).mkdir()
        Image.fromarray(image).save(tmp_path / name / "a.png")
        damage(tmp_path / name, tmp_path / f"{name}-out", "blur:2", "downscale:2")
        results.append(np.asarray(Image.open(tmp_path / f"{name}-out/a.png")))
    visible = results[0][..., 3] > 0
    np.testing.assert_array_equal(results[0][visible], results[1][visible])


def test_inputs_are_left_as_they_are_floats_brighter_than_1_too(tmp_path):
    import tifffile

    (tmp_path / "in").mkdir()
    light = (np.random.default_rng(0).random((30, 30, 3)) * 5).astype(np.float32)
    tifffile.imwrite(tmp_path / "in/light.tif", light, photometric="rgb")
    before = (tmp_path / "in/light.tif").read_bytes()
    damage(tmp_path / "in", tmp_path / "out", "holes:center,fill=black")
    after = tifffile.imread(tmp_path / "out/light.tif")
    kept = after.any(axis=2)
    assert (tmp_path / "in/light.tif").read_bytes() == before
    assert 0.6 < kept.mean() < 0.9
    np.testing.assert_allclose(after[kept], light[kept], rtol=1e-6)


def test_a_second_run_goes_on_where_the_first_was_interrupted(clean, tmp_path):
    damage(clean, tmp_path / "out", "holes:irregular")
    first = contents(tmp_path / "out")
    (tmp_path / "out/photo.png").unlink()
    (tmp_path / "out/photo.mask.png").unlink()
    again = damage(clean, tmp_path / "out", "holes:irregular")
    assert (again.done, again.skipped) == (1, 2)
    assert contents(tmp_path / "out") == first


def test_damage_from_an_earlier_mask_is_united_with_the_new(clean, tmp_path):
    earlier = np.zeros((160, 200), np.uint8)
    earlier[:4] = 255
    Image.fromarray(earlier).save(clean / "photo.mask.png")
    damage(clean, tmp_path / "out", "holes:center")
    mask = pixels(tmp_path / "out/photo.mask.png") > 127
    assert mask[:4].all()
    assert mask[80, 100]
    assert not mask[10, 10]


def test_what_degrade_will_not_do_is_one_line_and_status_2(here, clean):
    for options, problem in [
        (["--with", "rust"], "'rust': is no degradation"),
        (["--with", "nose:5"], "did you mean noise"),
        (["--with", "noise:-3"], "noise:-3"),
        (["--with", "holes:heart"], "holes:heart"),
        (["--with", "noise:5,colour=1"], "has no setting 'colour'"),
        (["--with", "noise:5", "--format", "docx"], "--format"),
        (["--with", "noise:5", "--quality", "101"], "--quality"),
    ]:
        for dry in ([], ["--dry-run"]):
            status, out, err = here("degrade", "clean", "-o", "out", *options, *dry)
            assert (status, out, err.count("\n")) == (2, "", 1), err
            assert problem in err
    assert not (clean.parent / "out").exists()


def test_a_dry_run_damages_nothing(here, clean):
    status, out, _ = here("degrade", "clean", "-o", "out", "--with", "noise:5", "--dry-run", "--json")
    assert status == 0
    assert [row["output"] for row in json.loads(out)["pictures"]] == [
        "out/cutout.png",
        "out/photo.png",
        "out/sub/grey.png",
    ]
    assert not (clean.parent / "out").exists()
