"""``restorekit restore`` from the command line: options, output and exit status."""

import json
import os
import sys

import numpy as np
import pytest
from PIL import Image

from restorekit.cli import main

#: The folder of a test run: three photos, one of them in a folder, and something that is no picture.
NAMES = ("a.png", "b.jpg", "sub/c.png")


@pytest.fixture
def folder(photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    noisy = np.clip(photo[:64, :80] + np.random.default_rng(0).normal(0, 12, (64, 80, 3)), 0, 255).astype(np.uint8)
    (tmp_path / "in/sub").mkdir(parents=True)
    for name in NAMES:
        exif = Image.Exif()
        exif[0x013B] = "somebody"  # artist
        Image.fromarray(noisy).save(tmp_path / "in" / name, dpi=(300, 300), exif=exif)
    (tmp_path / "in/notes.txt").write_text("no picture")
    return tmp_path


@pytest.fixture
def here(monkeypatch, capsys):
    """Run the command line in this process: exit status, stdout, stderr."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["restorekit", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
        except SystemExit as end:
            status = int(end.code or 0)
        else:
            status = 0
        return status, *capsys.readouterr()

    return run


def written(folder) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def size(path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_a_folder_is_restored_and_json_stands_alone_on_stdout(cli, folder):
    done = cli("restore", "in", "-o", "out", "--with", "median:3", "--json")
    summary = json.loads(done.stdout)
    assert set(summary) == {"done", "skipped", "failed", "ignored", "seconds", "output", "manifest", "report"}
    assert [summary[key] for key in ("done", "skipped", "failed", "ignored")] == [3, 0, 0, 1]
    assert written(folder / "out") - {".restorekit.lock"} == {*NAMES, "manifest.jsonl", "report.html"}
    assert "3 restored, 1 other files ignored" in done.stderr
    assert "Warning" not in done.stderr


def test_a_dry_run_lists_everything_and_writes_nothing(here, folder):
    before = written(folder)
    status, out, _ = here("restore", "in", "-o", "out", "--dry-run")
    assert status == 0
    assert all(f"out/{name}" in out for name in NAMES)
    assert "ignored: in/notes.txt" in out
    status, out, _ = here("restore", "in", "-o", "out", "--dry-run", "--json")
    assert [row["output"] for row in json.loads(out)["pictures"]] == [f"out/{name}" for name in NAMES]
    assert json.loads(out)["ignored"] == ["in/notes.txt"]
    assert written(folder) == before
    assert not (folder / "out").exists()


@pytest.mark.parametrize(
    ("options", "status", "problem"),
    [
        (["--with", "medain"], 2, "did you mean median"),
        (["--with", "median:4"], 2, "median:4"),
        (["--strength", "2"], 2, "--strength: 2.0 is out of range"),
        (["--tile", "3"], 2, "--tile"),
        (["--scale", "0"], 2, "--scale: 0 is out of range"),
        (["--scale", "nan"], 2, "--scale"),
        (["--size", "0x9"], 2, "--size: 0x9"),
        (["--size", "9"], 2, "--size: '9' is no size"),
        (["--size", "9x9x9"], 2, "is no size"),
        (["--format", "docx"], 2, "--format: 'docx' is no format that can be written"),
        (["--quality", "0"], 2, "--quality"),
        (["--mask-color", "pink"], 2, "--mask-color"),
        (["--masks", "nowhere"], 2, "nowhere: is no folder"),
        (["--shard", "3/2"], 2, "--shard"),
        (["--workers", "0"], 2, "--workers"),
        (["--device", "gpu"], 2, "--device: 'gpu' is unknown"),
        (["--device", "cuda:99"], 3, "--device: cuda:99 is not here"),
        (["--precision", "fp8"], 2, "--precision"),
        (["--device", "cpu,gpu"], 2, "--device: 'gpu' is unknown"),
        (["--device", "cpu,cpu,cpu", "--processes", "2"], 2, "--processes: 2 are too few for 3 devices"),
        (["--processes", "0"], 2, "--processes: 0 is out of range"),
        (["--engine", "dask"], 2, "--engine: 'dask' is unknown"),
    ],
)
def test_a_wrong_request_is_one_line_and_a_status_in_a_dry_run_too(here, folder, options, status, problem):
    for dry in ([], ["--dry-run"]):
        ended, out, err = here("restore", "in", "-o", "out", *options, *dry)
        assert (ended, out, err.count("\n")) == (status, "", 1)
        assert err.startswith("restorekit: ")
        assert problem in err
    assert not (folder / "out").exists()


def test_what_is_not_there_is_named(here, folder):
    for name in ("nothing", "in/*.gif"):
        status, _, err = here("restore", name, "-o", "out")
        assert (status, err) == (
            2,
            f"restorekit: {name}: does not exist; check the spelling, or quote the pattern\n",
        )


def test_a_failure_is_status_1_named_on_stderr_and_the_rest_is_done(here, folder):
    (folder / "in/broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing")
    status, out, err = here("restore", "in", "-o", "out", "--with", "median", "--json", "--no-report")
    assert status == 1
    summary = json.loads(out)
    assert (summary["done"], summary["failed"], summary["report"]) == (3, 1, None)
    assert "failed: broken.png: " in err


def test_a_pattern_takes_what_it_matches(here, folder):
    assert here("restore", "in/*.png", "in/**/c.png", "-o", "out", "--with", "median", "--no-report")[0] == 0
    assert {name for name in written(folder / "out") if name.endswith(("png", "jpg"))} == {"a.png", "c.png"}


@pytest.mark.parametrize(
    ("options", "pixels"),
    [
        (["--size", "100X50"], (100, 50)),
        (["--scale", "0.5"], (40, 32)),
        (["--scale", "2", "--with", "bicubic"], (160, 128)),
        (["--scale", "1.5", "--with", "median", "--with", "nearest"], (120, 96)),
    ],
)
def test_size_and_scale_are_reached_whatever_the_steps_do(here, folder, options, pixels):
    assert here("restore", "in", "-o", "out", "--no-report", *options)[0] == 0
    assert {size(folder / "out" / name) for name in NAMES} == {pixels}


def test_a_scale_is_handed_to_a_step_that_can_enlarge(here, folder):
    here("restore", "in/a.png", "-o", "out", "--with", "bicubic", "--scale", "4")
    record = json.loads((folder / "out/manifest.jsonl").read_text().splitlines()[-1])
    assert [step["step"] for step in record["steps"]] == ["bicubic,scale=4"]


def test_format_and_quality_decide_how_a_picture_is_written(here, folder):
    for quality in ("30", "95"):
        options = ["--format", "jpg", "--quality", quality, "--with", "median", "--no-report"]
        assert here("restore", "in/a.png", "-o", f"q{quality}", *options)[0] == 0
        with Image.open(folder / f"q{quality}/a.jpg") as image:
            assert image.format == "JPEG"
    assert (folder / "q30/a.jpg").stat().st_size < (folder / "q95/a.jpg").stat().st_size / 2


def test_metadata_is_kept_or_stripped(here, folder):
    here("restore", "in/a.png", "-o", "kept", "--with", "median", "--no-report")
    here("restore", "in/a.png", "-o", "stripped", "--with", "median", "--strip-metadata", "--no-report")
    kept, stripped = (Image.open(folder / name / "a.png") for name in ("kept", "stripped"))
    assert kept.getexif()[0x013B] == "somebody"
    assert 0x013B not in stripped.getexif()
    for image in (kept, stripped):
        assert image.info["dpi"] == pytest.approx((300, 300), abs=0.1)


def test_strength_blends_with_the_input(here, folder):
    for strength in ("0", "0.5", "1"):
        options = ["--with", "median:5", "--strength", strength, "--no-report"]
        assert here("restore", "in/a.png", "-o", strength, *options)[0] == 0
    before, none, half, full = (
        np.asarray(Image.open(folder / path)).astype(int) for path in ("in/a.png", "0/a.png", "0.5/a.png", "1/a.png")
    )
    np.testing.assert_array_equal(none, before)
    assert np.abs(half - (before + full) / 2).max() <= 0.5
    assert (full != before).any()


def test_a_name_that_is_no_text_is_listed_restored_and_told(here, folder, monkeypatch):
    raw = os.fsencode(folder / "in") + b"/caf\xe9.png"
    try:
        (folder / "in/a.png").rename(os.fsdecode(raw))
    except OSError:
        pytest.skip("this file system takes only text for names")
    broken = os.fsencode(folder / "in") + b"/br\xf6ken.png"
    with open(broken, "wb") as file:  # noqa: PTH123 - the name is bytes
        file.write(b"no picture")
    for options in (["--dry-run"], ["--dry-run", "--json"], ["--with", "median", "--json"]):
        status, out, _ = here("restore", "in", "-o", "out", *options)
        assert status == ("--with" in options)
        assert "caf" in out or json.loads(out)["done"] == 3
    assert os.path.exists(os.fsencode(folder / "out") + b"/caf\xe9.png")  # noqa: PTH110
