"""``restorekit benchmark`` from the command line: tables, files, comparison, failures and exit status."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from restorekit.evaluation.benchmarking import Competitor, Conditions, benchmark, picture_set, processes
from restorekit.evaluation.benchmarking.result import Benchmark, Row
from restorekit.registry import registry

BASIC = ("--degradation", "downscale:2", "--no-baselines")


def test_a_command_in_processes_of_its_own_has_the_documented_json(cli, clean, tmp_path):
    """One competitor's weights are missing: its row says so, the others go on, and the exit status is 1."""
    arguments = ("bicubic:2", "lost.safetensors", "lanczos", "--data", clean, *BASIC, "--json", "-o", "r.html")
    done = cli("benchmark", *arguments, check=1)
    found = json.loads(done.stdout)
    assert {"protocol", "data", "degradation", "rows"} <= set(found)
    assert (found["data"], found["degradation"]) == (clean.name, "downscale:2")
    assert found["protocol"]["pictures"] == 3
    assert found["protocol"]["threads"] >= 1
    first, lost, last = found["rows"]
    assert (first["generator"], last["generator"]) == ("bicubic:2", "lanczos")
    for row in (first, last):
        assert row["intervals"]["psnr"][0] < row["psnr"] < row["intervals"]["psnr"][1]
        assert row["psnr"] == pytest.approx(np.mean([picture["psnr"] for picture in row["pictures"]]))
        assert row["seconds_per_megapixel"] > 0
        assert 0 < row["peak_bytes"] < 500e6
        assert row["error"] is None
    assert last["steps"] == ["lanczos,scale=2"]
    assert (lost["error"] or "").startswith("lost.safetensors: ")
    assert "psnr" not in lost
    assert "lost.safetensors" in done.stderr
    page = (tmp_path / "r.html").read_text()
    assert page.count("data:image/png;base64,") == 3 * 4
    assert not re.search(r"""(src|href)=["']?(?!data:)[^"' >]""", page)
    assert all(word in page for word in ("worst", "median", "best", "lost.safetensors"))


@pytest.mark.parametrize(
    ("start", "reason"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "ended by SIGKILL; it may have run out of memory"),
        ("import sys; sys.exit('no more handles')", "ended with status 1 (no more handles)"),
    ],
)
def test_a_process_that_is_killed_is_a_row_with_its_reason(clean, monkeypatch, start, reason):
    monkeypatch.setattr(processes, "_START", start)
    found = benchmark(
        [Competitor.parse("median:3")],
        picture_set([clean]),
        Conditions(degradation=("noise:9",)),
        registry=registry(),
        with_baselines=False,
    )
    assert reason in found.rows[0].error
    assert not found.complete


def test_baselines_and_the_damaged_picture_itself_take_part(here, together, clean, tmp_path):
    status, out, err = here("benchmark", "median:5", "--data", clean, "--degradation", "noise:20", "--metric", "psnr")
    assert status == 0
    head, *lines = out.splitlines()
    assert head.split()[:2] == ["generator", "psnr"]
    assert lines[0].startswith("median:5")
    assert {"nlmeans", "median", "tv", "wavelet"} <= {line.split()[0] for line in lines}
    assert any(line.startswith("(as degraded)") for line in lines)
    assert "protocol: metrics psnr; colour rgb" in lines[-1]
    assert "median:5: psnr" in err


def test_markdown_has_a_row_for_each_method_and_for_papers(here, together, clean, tmp_path):
    shutil.copytree(clean, tmp_path / "Set5")
    options = ("--published", "sr:4", "--show-published", "--no-baselines", "--markdown")
    status, out, _ = here("benchmark", "bicubic:4", "--baseline", "nearest", "--data", tmp_path / "Set5", *options)
    assert status == 0
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines() if line.startswith("|")]
    assert lines[0] == ["generator", "psnr", "ssim", "s/megapixel", "peak memory"]
    assert [line[0] for line in lines[2:5]] == ["bicubic:4", "nearest", "bicubic (published)"]
    assert lines[4][1:3] == ["28.42", "0.8104"]
    assert {len(line) for line in lines} == {5}


def test_a_saved_benchmark_is_compared_pairwise_and_another_protocol_is_refused(here, together, clean, tmp_path):
    common = ("benchmark", "median:3", "--data", clean, "--no-baselines", "--metric", "psnr")
    saved, other = tmp_path / "saved.json", tmp_path / "other.json"
    assert here(*common, "--degradation", "noise:20", "--save", saved)[0] == 0
    assert here(*common, "--degradation", "noise:20", "--seed", 1, "--save", other, "--json")[0] == 0
    status, out, _ = here(*common, "--degradation", "noise:20", "--compare", saved, "--metric", "ssim")
    assert status == 0
    assert re.search(r"median:3\s+psnr\s+\S+\s+\S+\s+\+0.00\s+\+0.00 .. \+0.00", out)
    for options in (
        ("noise:20", "--seed", 1),
        ("noise:19",),
        ("noise:20", "--protocol", "y"),
        ("noise:20", "--crop-border", 2),
    ):
        status, out, err = here(*common, "--degradation", *options, "--compare", saved)
        assert (status, out) == (2, "")
        assert err.count("\n") == 1
        assert "the protocols differ" in err
    (tmp_path / "less").mkdir()
    shutil.copy(clean / "photo.png", tmp_path / "less")
    arguments = ("benchmark", "median:3", "--data", tmp_path / "less", "--no-baselines", "--degradation", "noise:20")
    assert "pictures_sha256" in here(*arguments, "--compare", saved)[2]
    status, out, err = here(*common, "--degradation", "noise:19", "--compare", saved, "--force", "--json")
    assert status == 0
    (difference,) = json.loads(out)["compared"]["median:3"]["differences"]
    assert difference["difference"] > 0
    assert difference["pictures"] == 3
    assert (
        "no row in common"
        in here("benchmark", "median:5", *common[2:], "--degradation", "noise:20", "--compare", saved)[2]
    )


def test_pictures_that_cannot_be_used_are_named_and_the_others_measured(here, together, clean, tmp_path):
    folder = tmp_path / "some"
    shutil.copytree(clean, folder)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / "tiny.png")
    status, out, err = here("benchmark", "bicubic", "--data", folder, *BASIC, "--json")
    found = json.loads(out)
    assert status == 1
    assert [failure["name"] for failure in found["failed"]] == ["broken.png"]
    (row,) = found["rows"]
    assert [picture["name"] for picture in row["pictures"]] == ["calm.png", "photo.png", "sub/wild.png"]
    assert [failure["name"] for failure in row["failed"]] == ["tiny.png"]
    assert "too small for the 11 px window" in row["failed"][0]["reason"]
    assert "failed: broken.png" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["bicubic"], "--data: is not given"),
        (["bicubic", "--data", "CLEAN"], "--degradation: is not given"),
        (["bicubic", "--data", "nowhere", *BASIC], "nowhere: does not exist"),
        (["bicubic", "--data", "EMPTY", *BASIC], "no picture"),
        (["bicubik", "--data", "CLEAN", *BASIC], "did you mean bicubic"),
        (["--data", "CLEAN", *BASIC], "nobody takes part"),
        (["bicubic", "--data", "CLEAN", "--degradation", "nose:3"], "did you mean noise"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--metric", "fid"], "'fid' measures no restored picture"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--metric", "squeezenet"], "no paired metric"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--protocol", "lab"], "'lab' is not known"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--region", "mask"], "leaves no holes"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--modcrop", 0], "--modcrop: 0 is less than 1"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--compare", "EMPTY"], "cannot be read"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--json", "--markdown"], "exclude each other"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--show-published"], "goes with --published"),
        (["bicubic", "--data", "CLEAN", "--published", "sr:7"], "is no published protocol"),
        (["bicubic", "--data", "CLEAN", "--published", "sr:2", "--crop-border", 4], "is fixed by --published sr:2"),
        (["bicubic", "--data", "CLEAN", *BASIC, "--only", "nothing.txt"], "nothing.txt: cannot be read"),
    ],
)
def test_bad_usage_is_one_line_and_status_2(here, together, clean, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    places = {"CLEAN": clean, "EMPTY": tmp_path / "empty"}
    status, out, err = here("benchmark", *(places.get(argument, argument) for argument in arguments))
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert words in err


def test_equal_pictures_are_identical_not_infinite(measure, tmp_path):
    Image.fromarray(np.full((20, 30, 3), 77, np.uint8)).save(tmp_path / "flat.png")
    found = measure("median:3", folder=tmp_path, degradation=("downscale:1",), metrics=("psnr",))
    (row,) = found.record()["rows"]
    assert row["psnr"] is None
    assert all(picture["identical"] for picture in row["pictures"])
    assert found.cells()[0][1] == "identical"
    json.dumps(found.record(), allow_nan=False)


def test_a_row_without_some_pictures_says_so():
    row = Row(generator="a|b", scores={"x": {"psnr": 30.0}}, failed=[("y", "is broken")])
    found = Benchmark(protocol={"metrics": "psnr"}, data="d", degradation="noise:3", rows=[row])
    assert found.cells() == [["a|b", "30.00", "-", "-", "without 1 of 2 pictures: y: is broken"]]
    assert "| a\\|b | 30.00 |" in found.markdown()
