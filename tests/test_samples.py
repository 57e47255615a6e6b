"""The sample pictures are what data/make_samples.py makes, and what data/README.md says they are."""

import importlib.util
import io
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

DATA = Path(__file__).parents[1] / "data"
SAMPLES = DATA / "samples"
LOSSY = (".jpg", ".webp")


def decoded(path):
    pixels = cv2.imdecode(
        np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION
    )
    assert pixels is not None, path
    return pixels


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.fixture(scope="module")
def make():
    spec = importlib.util.spec_from_file_location("make_samples", DATA / "make_samples.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.make


def test_the_script_makes_the_samples_that_are_here(make, tmp_path):
    made = make(tmp_path)
    assert files(tmp_path) == files(SAMPLES) == sorted(path.relative_to(tmp_path).as_posix() for path in made)
    for name in files(SAMPLES):
        here, again = decoded(SAMPLES / name), decoded(tmp_path / name)
        assert (here.shape, here.dtype) == (again.shape, again.dtype)
        np.testing.assert_array_equal(here, again, err_msg=name)


def test_the_script_makes_the_same_bytes_twice(make, tmp_path):
    make(tmp_path / "one")
    make(tmp_path / "two")
    for name in files(tmp_path / "one"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name


def test_the_readme_names_every_sample_and_the_source_of_each():
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    table, sources = readme.split("## Sources")
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| `")]
    assert sorted(name for row in rows for name in re.findall(r"`([^`]+)`", row[1])) == files(SAMPLES)
    licensed = {line.split("|")[1].strip() for line in sources.splitlines() if line.startswith("| ")}
    assert {row[4].strip() for row in rows} <= licensed


def test_the_samples_are_small():
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*") if path.is_file()) < 1_200_000


@pytest.mark.parametrize("name", ["scratched", "torn", "stamped"])
def test_masks_fit_their_pictures(name):
    picture, mask = decoded(SAMPLES / f"{name}.png"), decoded(SAMPLES / f"{name}.mask.png")
    assert mask.shape == picture.shape[:2]
    assert set(np.unique(mask)) == {0, 255}
    assert 0.01 < (mask > 0).mean() < 0.25


def test_the_hole_is_where_the_mask_says():
    picture, mask = decoded(SAMPLES / "torn.png"), decoded(SAMPLES / "torn.mask.png")
    assert (picture[mask > 0] == 255).all()
    assert (picture[mask == 0] == 255).mean() < 0.01


def test_depths_and_channels_are_those_of_the_readme():
    assert decoded(SAMPLES / "noisy-grey.png").ndim == 2
    assert decoded(SAMPLES / "noisy-16-bit.png").dtype == np.uint16
    alpha = decoded(SAMPLES / "soft-alpha.png")[..., 3]
    assert alpha.min() == 0
    assert alpha.max() == 255
    assert len(np.unique(alpha)) > 50


def test_the_rotated_photo_carries_what_a_camera_writes():
    with Image.open(SAMPLES / "rotated.jpg") as picture:
        assert picture.size == (352, 256)
        assert picture.info["dpi"] == (300, 300)
        exif = picture.getexif()
        assert exif[0x0112] == 6
        assert exif[0x0110] == "Pocket 35"
        assert exif.get_ifd(0x8769)[0x8827] == 400
        profile = ImageCms.getOpenProfile(io.BytesIO(picture.info["icc_profile"]))
        assert "sRGB" in ImageCms.getProfileDescription(profile)
