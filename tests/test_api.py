"""The Python interface: arrays, files and pictures in, the same kind out, nothing of the caller's ever changed."""

import doctest
import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

import restorekit
from restorekit import api, images
from restorekit.batch.restore import Options
from restorekit.contract import Restorer
from restorekit.errors import NotAvailable, PictureError, UsageError
from restorekit.images import Picture
from restorekit.specs import Step

DTYPES = ["uint8", "uint16", "float16", "float32", "float64", ">f4"]


def array(shape: tuple[int, ...], dtype: str = "uint8") -> np.ndarray:
    rng = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return rng.random(shape).astype(dtype)
    return rng.integers(0, np.iinfo(dtype).max, shape, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 1), (20, 24, 3), (20, 24, 4), (1, 1), (1, 1, 3)])
def test_an_array_comes_back_with_its_dtype_and_channels(shape, dtype):
    given = array(shape, dtype)
    before = given.copy()
    result = restorekit.restore(given, "median:3")
    assert (result.shape, result.dtype) == (given.shape, given.dtype)
    assert shape[:2] == (1, 1) or not np.array_equal(result, given)
    doubled = restorekit.restore(given, "bicubic", scale=2)
    assert doubled.shape == (shape[0] * 2, shape[1] * 2, *shape[2:])
    assert doubled.dtype == given.dtype
    np.testing.assert_array_equal(given, before)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(20, 24), (20, 24, 3), (20, 24, 4)])
@pytest.mark.parametrize("steps", [[], "auto"])
def test_what_needs_nothing_comes_back_equal_in_memory_of_its_own(shape, dtype, steps):
    given = array(shape, dtype)
    given[...] = given.flat[0]
    before = given.copy()
    result = restorekit.restore(given, steps)
    np.testing.assert_array_equal(result, given)
    result[...] = 0
    np.testing.assert_array_equal(given, before)


VIEWS = {
    "columns": lambda a: a[:, ::2],
    "upside down": lambda a: a[::-1, ::-1],
    "turned": lambda a: a.transpose(1, 0, 2),
    "bgr": lambda a: a[..., ::-1],
    "planes": lambda a: np.ascontiguousarray(a.transpose(2, 0, 1)).transpose(1, 2, 0),
    "fortran": np.asfortranarray,
}


@pytest.mark.parametrize("view", sorted(VIEWS))
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_how_an_array_lies_in_memory_makes_no_difference(view, dtype):
    given = VIEWS[view](array((20, 24, 3), dtype))
    given.flags.writeable = False
    mask = np.zeros(given.shape[:2], bool)
    mask[4:8, 3:9] = True
    mask = mask[:, ::-1][:, ::-1]
    mask.flags.writeable = False
    for steps in ("median:3", ["telea", "bicubic:2"]):
        expected = restorekit.restore(np.ascontiguousarray(given), steps, mask=mask.copy())
        np.testing.assert_array_equal(restorekit.restore(given, steps, mask=mask), expected)


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        (np.zeros((4, 4, 2), np.uint8), r"has shape \(4, 4, 2\)"),
        (np.zeros((4, 4, 5), np.uint8), "has shape"),
        (np.zeros((2, 4, 4, 3), np.uint8), "has shape"),
        (np.zeros(4, np.uint8), "has shape"),
        (np.zeros((0, 4, 3), np.uint8), "has shape"),
        (np.zeros((0, 4), np.uint8), "has shape"),
        (np.zeros((4, 4), bool), "has dtype bool; give uint8, uint16 or float"),
        (np.zeros((4, 4), np.int64), "has dtype int64"),
        (np.zeros((4, 4), complex), "has dtype complex128"),
        (np.zeros((4, 4), object), "has dtype object"),
        (np.full((4, 4), np.nan), "negative or non-finite"),
        (np.full((4, 4), np.inf, np.float32), "negative or non-finite"),
        (np.full((4, 4), 1e300), "negative or non-finite"),
        (np.full((4, 4), -0.1), "negative or non-finite"),
        ([[0, 1], [2, 3]], "is a list; give a NumPy array, a path or a Picture"),
        (None, "is a NoneType"),
    ],
)
def test_what_is_no_picture_is_refused_in_one_line(image, problem):
    with pytest.raises(UsageError, match=f"^image: .*{problem}") as raised:
        restorekit.restore(image, "median")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "error", "problem"),
    [
        ({"steps": "medain"}, UsageError, "did you mean median"),
        ({"steps": "median:4"}, UsageError, "median:4"),
        ({"steps": ["median", "bicubic,size=3"]}, UsageError, "no setting 'size'"),
        ({"steps": "median:"}, UsageError, "is no step"),
        ({"scale": 0}, UsageError, "--scale: 0 is out of range"),
        ({"scale": float("nan")}, UsageError, "--scale"),
        ({"size": (0, 5)}, UsageError, "--size: 0x5"),
        ({"strength": 1.5}, UsageError, "--strength"),
        ({"tile": 3}, UsageError, "--tile"),
        ({"device": "gpu"}, UsageError, "--device"),
        ({"device": "cuda:99"}, NotAvailable, "--device"),
        ({"precision": "fp8"}, UsageError, "--precision"),
        ({"mask": np.zeros((4, 5, 3))}, UsageError, "mask: has shape"),
        ({"mask": np.zeros((5, 4))}, PictureError, "mask has 4 x 5 pixels, the picture 5 x 4"),
        ({"mask": "missing.png"}, PictureError, "missing.png"),
        ({"steps": "telea"}, PictureError, "needs a mask"),
    ],
)
def test_a_wrong_request_is_told_in_one_line(options, error, problem):
    others: Any = {key: value for key, value in options.items() if key != "steps"}
    with pytest.raises(error, match=problem) as raised:
        restorekit.restore(np.zeros((4, 5, 3), np.uint8), options.get("steps", "median"), **others)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("steps", ["median:3", Step("median", "3"), ["median:3"], (Step.parse("median:3"),)])
def test_steps_may_be_written_in_every_way(steps, photo):
    np.testing.assert_array_equal(restorekit.restore(photo, steps), restorekit.restore(photo, "median,size=3"))


@pytest.fixture
def damaged(photo, tmp_path):
    """A photo with a white bar: its path, its mask, and the mask's path."""
    mask = np.zeros(photo.shape[:2], bool)
    mask[60:66, 40:160] = True
    Image.fromarray(np.where(mask[..., None], 255, photo).astype(np.uint8)).save(tmp_path / "a.png", dpi=(300, 300))
    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(tmp_path / "marked.png")
    return tmp_path / "a.png", mask, tmp_path / "marked.png"


def test_arrays_paths_and_pictures_are_restored_alike(damaged):
    path, mask, mask_path = damaged
    pixels = np.asarray(Image.open(path))
    expected = restorekit.restore(pixels, "diffusion", mask=mask)
    assert not np.array_equal(expected, pixels)
    opened = images.read(path)
    for image in (path, str(path), opened):
        for marked in (mask, mask.astype(float), mask.tolist(), mask_path, str(mask_path)):
            result = restorekit.restore(image, "diffusion", mask=marked)
            assert isinstance(result, Picture)
            np.testing.assert_array_equal(result.pixels, expected)
            assert result.metadata == opened.metadata
    assert opened.metadata.dpi == pytest.approx((300, 300), abs=0.1)
    np.testing.assert_array_equal(opened.pixels, pixels)


def test_a_picture_that_needs_nothing_is_the_very_same():
    flat = images.decode(_png(np.full((40, 40, 3), 90, np.uint8)), name="flat.png")
    assert restorekit.restore(flat) is flat


def _png(pixels: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "png")
    return buffer.getvalue()


def test_a_path_that_is_no_picture_is_named(tmp_path):
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(PictureError, match=r"a\.png"):
        restorekit.restore(tmp_path / "a.png")
    with pytest.raises(PictureError, match=r"gone\.png"):
        restorekit.restore(str(tmp_path / "gone.png"))


def test_auto_repairs_a_marked_hole_and_reaches_the_size(damaged, photo):
    path, mask, _ = damaged
    result = restorekit.restore(path, mask=mask)
    broken = np.asarray(Image.open(path)).astype(float)
    assert np.square(result.pixels[mask] - photo[mask].astype(float)).mean() < (
        np.square(broken[mask] - photo[mask]).mean() / 10
    )
    assert restorekit.restore(path, mask=mask, scale=1.5).pixels.shape == (240, 300, 3)
    assert restorekit.restore(path, mask=mask, size=(77, 33)).pixels.shape == (33, 77, 3)


def test_the_same_call_twice_gives_the_same_bytes_whatever_the_seed_is_given_as(photo):
    for seed in (0, -1, 2**70):
        first, second = (restorekit.restore(photo, ["nlmeans", "bicubic"], scale=2, seed=seed) for _ in range(2))
        assert first.tobytes() == second.tobytes()


def test_strength_tile_and_precision_reach_the_restoration(photo):
    full = restorekit.restore(photo, "median:5").astype(int)
    half = restorekit.restore(photo, "median:5", strength=0.5).astype(int)
    assert np.abs(half - (photo + full) / 2).max() <= 0.5
    np.testing.assert_array_equal(restorekit.restore(photo, "median:5", tile=32), full)
    np.testing.assert_array_equal(restorekit.restore(photo, "median:5", precision="bf16", device="cpu"), full)


def test_load_returns_the_generator_itself():
    generator = restorekit.load("bicubic:3")
    assert isinstance(generator, Restorer)
    assert generator.geometry.scale == 3
    with pytest.raises(UsageError, match="is no generator"):
        restorekit.load("nothing")


def test_a_folder_is_restored_with_what_auto_finds(damaged, tmp_path):
    path, mask, mask_path = damaged
    mask_path.rename(tmp_path / "a.mask.png")
    for inputs, output in (([path], "one"), (str(path), "two"), (path, tmp_path / "three")):
        result = restorekit.restore_folder(inputs, tmp_path / output)
        assert (result.done, result.failed) == (1, 0)
        assert result.report == tmp_path / output / "report.html"
        after = np.asarray(Image.open(tmp_path / output / "a.png"))
        np.testing.assert_array_equal(after, restorekit.restore(np.asarray(Image.open(path)), mask=mask))
    lines = [json.loads(line) for line in result.manifest.read_text().splitlines()]
    assert lines[0]["settings"]["steps"] == ["auto"]
    assert "% of the picture" in lines[-1]["steps"][0]["reason"]


def test_a_folder_takes_options_and_tells_a_listener(damaged, tmp_path):
    told = []

    class Listener:
        def planned(self, plan):
            told.append(len(plan.items))

        def finished(self, record):
            told.append(record.status)

    options = Options(steps=(Step("median"),), format="webp", report=False)
    result = restorekit.restore_folder([damaged[0]], tmp_path / "out", options, listener=Listener())
    assert told == [1, "done"]
    assert [record.output for record in result.records] == ["a.webp"]
    assert result.report is None


def test_the_examples_in_the_documentation_run():
    results = doctest.testmod(api)
    assert results.attempted >= 4
    assert results.failed == 0


def test_a_signal_during_restore_folder_reaches_the_caller_after_everything_begun_is_safe(tmp_path):
    code = (
        "import os, signal, threading, numpy as np, restorekit\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background of a shell it is ignored\n"
        "from PIL import Image\n"
        "from restorekit.batch.restore import Options\n"
        "from restorekit.specs import Step\n"
        "os.mkdir('in')\n"
        "noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)\n"
        "for n in range(200): Image.fromarray(noise).save(f'in/{n}.png')\n"
        "threading.Timer(1.0, lambda: os.kill(os.getpid(), signal.SIGINT)).start()\n"
        "try: restorekit.restore_folder('in', 'out', Options(steps=(Step('nlmeans', '15'),), report=False))\n"
        "except KeyboardInterrupt: print('heard')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.stdout == "heard\n", done.stderr
    assert not list((tmp_path / "out").glob(".restorekit*.partial"))
