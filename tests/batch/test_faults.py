"""Bad files in a folder: every good picture is restored, every bad one is named with its reason."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.batch import restore as batch
from restorekit.batch.restore import Options
from restorekit.registry import registry
from restorekit.specs import Step

from .conftest import contents, noisy_pictures


def encoded(format: str, size: tuple[int, int] = (48, 40), **options) -> bytes:
    rng = np.random.default_rng(5)
    image = Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3), np.uint8))
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_claiming(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", zlib.compress(b"\0" * 100)) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def tiff(array: np.ndarray, **options) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, array, **options)
    return buffer.getvalue()


def frames(format: str, **options) -> bytes:
    rng = np.random.default_rng(1)
    images = [Image.fromarray(rng.integers(0, 256, (20, 20, 3), np.uint8)) for _ in range(3)]
    buffer = io.BytesIO()
    images[0].save(buffer, format, save_all=True, append_images=images[1:], **options)
    return buffer.getvalue()


def flipped(data: bytes, at: float) -> bytes:
    position = int(len(data) * at)
    return data[:position] + bytes(byte ^ 0xFF for byte in data[position : position + 40]) + data[position + 40 :]


JPEG, PNG, WEBP, AVIF, BMP, PPM = (encoded(name) for name in ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "PPM"))
TIFF = tiff(np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8), compression="deflate")

#: File name -> content. Every one of these is bad.
BAD: dict[str, bytes] = {
    "empty.png": b"",
    "one-byte.jpg": b"\xff",
    "zeros.jpg": bytes(5000),
    "text.png": b"Dear diary, today I lost my photographs.\n" * 20,
    "html.jpg": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "zip.png": b"PK\x03\x04" + bytes(200),
    "signature-only.png": PNG[:8],
    "header-only.png": PNG[:33],
    "truncated-half.png": PNG[: len(PNG) // 2],
    "truncated-tail.png": PNG[:-30],
    "truncated-header.jpg": JPEG[:20],
    "truncated-half.jpg": JPEG[: len(JPEG) // 2],
    "truncated-tail.jpg": JPEG[: -len(JPEG) // 10],
    "truncated-half.webp": WEBP[: len(WEBP) // 2],
    "truncated-half.avif": AVIF[: len(AVIF) // 2],
    "truncated-half.tif": TIFF[: len(TIFF) // 2],
    "truncated-half.bmp": BMP[: len(BMP) // 2],
    "truncated-half.ppm": PPM[: len(PPM) // 2],
    "corrupt-data.png": flipped(PNG, 0.5),
    "corrupt-data.tif": flipped(TIFF, 0.5),
    "bomb-header.png": png_claiming(60_000, 60_000),
    "zero-by-zero.png": png_claiming(0, 0),
    "zero-width.ppm": b"P6\n0 10\n255\n",
    "negative.ppm": b"P6\n-5 10\n255\n" + bytes(150),
    "apple.heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100),
    "camera.cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(200),
    "camera.dng": tiff(np.zeros((8, 8), np.uint16), extratags=[(50706, 1, 4, (1, 4, 0, 0), True)]),
    "jpegxl.jxl": b"\xff\x0a" + bytes(60),
    "animated.gif": frames("GIF"),
    "animated.webp": frames("WEBP"),
    "animated.png": frames("PNG"),
    "pages.tif": tiff(np.zeros((3, 16, 16), np.uint8), photometric="minisblack"),
    "int32.tif": tiff(np.zeros((16, 16), np.int32)),
    "nan.tif": tiff(np.full((16, 16), np.nan, np.float32)),
    "five-channels.tif": tiff(np.zeros((16, 16, 5), np.uint8), photometric="minisblack", planarconfig="contig"),
    "svg.png": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "pdf.jpg": b"%PDF-1.7\n" + bytes(100),
}


def make_odd_things(folder: Path) -> list[str]:
    """Make what is no file at all, or may not be read; return the names."""
    (folder / "folder.png").mkdir()
    (folder / "broken-link.png").symlink_to(folder / "nowhere.png")
    (folder / "circle.png").symlink_to(folder / "circle.png")
    os.mkfifo(folder / "pipe.png")
    names = ["folder.png", "broken-link.png", "circle.png", "pipe.png"]
    if os.geteuid() != 0:
        (folder / "secret.png").write_bytes(PNG)
        (folder / "secret.png").chmod(0)
        names.append("secret.png")
    return names


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, list[str]]:
    folder = tmp_path / "in"
    noisy_pictures(folder, 12)
    for name, content in BAD.items():
        (folder / name).write_bytes(content)
    return folder, [*BAD, *make_odd_things(folder)]


def test_every_good_picture_is_restored_and_every_bad_one_is_named(damaged, tmp_path):
    folder, bad = damaged
    assert len(bad) >= 30
    unexpected: list[BaseException] = []
    options = Options(steps=(Step.parse("median:3"),))
    result = batch.restore([folder], tmp_path / "out", options, registry=registry(), on_unexpected=unexpected.append)
    failed = {record.input: record.reason for record in result.records if record.status == "failed"}
    assert set(failed) == set(bad)
    assert result.done == 12
    assert len(contents(tmp_path / "out")) == 12
    assert not unexpected, unexpected
    assert all("\n" not in reason and "unexpected" not in reason for reason in failed.values()), failed
    assert all(";" in reason for reason in failed.values()), "every reason names a way out"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("empty.png", "empty"),
        ("text.png", "no picture|not a picture"),
        ("bomb-header.png", "--max-pixels"),
        ("apple.heic", "HEIC"),
        ("camera.cr2", "RAW"),
        ("camera.dng", "RAW"),
        ("animated.gif", "frames"),
        ("pages.tif", "pages"),
        ("nan.tif", "NaN|finite"),
        ("truncated-half.jpg", "cut off|truncated|damaged|incomplete|ends"),
    ],
)
def test_the_reason_says_what_is_wrong(tmp_path, name, words):
    import re

    (tmp_path / name).write_bytes(BAD[name])
    result = batch.restore([tmp_path / name], tmp_path / "out", Options(report=False), registry=registry())
    assert re.search(words, result.records[0].reason), result.records[0].reason


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broken-icc.png", encoded("PNG", icc_profile=b"this is no profile at all")),
        ("garbage-after-the-end.jpg", JPEG + b"\0garbage" * 50),
        ("garbage-after-the-end.png", PNG + b"\0garbage" * 50),
        ("broken-exif.jpg", encoded("JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")),
        ("jpeg-called.png", JPEG),
        ("png-called.jpg", PNG),
        ("no-suffix.PNG", PNG),
    ],
)
def test_what_is_odd_but_whole_is_restored_all_the_same(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    steps = (Step.parse("median:3"),)
    result = batch.restore([tmp_path / name], tmp_path / "out", Options(steps=steps, report=False), registry=registry())
    assert result.done == 1, result.records[0].reason
    with Image.open(tmp_path / "out" / name) as restored:
        assert restored.size == (48, 40)
        restored.load()


def test_the_command_line_names_each_bad_file_and_ends_with_status_1(
    damaged, tmp_path, cli: Callable[..., subprocess.CompletedProcess[str]]
):
    folder, bad = damaged
    done = cli("restore", folder, "-o", tmp_path / "out", "--with", "median:3", check=1)
    for name in bad:
        assert f"failed: {name}: " in done.stderr
    assert "12 restored" in done.stderr
    assert "Traceback" not in done.stderr
    report = (tmp_path / "out/report.html").read_text(encoding="utf-8")
    assert all(name in report for name in bad)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["restore", "nowhere", "-o", "out"], 2, "does not exist"),
        (["restore", ".", "-o", "out", "--with", "telae"], 2, "did you mean telea"),
        (["restore", ".", "-o", "out", "--with", "median:4000"], 2, "not allowed"),
        (["restore", ".", "-o", "out", "--scale", "0"], 2, "--scale"),
        (["restore", ".", "-o", "out", "--size", "big"], 2, "WIDTHxHEIGHT"),
        (["restore", ".", "-o", "out", "--format", "doc"], 2, "jpeg"),
        (["restore", ".", "-o", "out", "--quality", "0"], 2, "--quality"),
        (["restore", ".", "-o", "out", "--strength", "2"], 2, "--strength"),
        (["restore", ".", "-o", "out", "--shard", "3/2"], 2, "i/n"),
        (["restore", ".", "-o", "out", "--mask-color", "pink"], 2, "hexadecimal"),
        (["restore", ".", "-o", "out", "--device", "cuda:99"], 3, "this machine has"),
        (["restore", ".", "-o", "out", "--device", "abacus"], 2, "unknown"),
        (["restore", ".", "-o", "."], 2, "both input and output"),
        (["restore", ".", "-o", "out", "--masks", "nowhere"], 2, "--masks"),
    ],
)
def test_a_wrong_request_is_one_line_and_writes_nothing(tmp_path, cli, arguments, status, words):
    (tmp_path / "a.png").write_bytes(PNG)
    done = cli(*arguments, check=status)
    assert words in done.stderr
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png"]


def test_a_broken_plugin_does_not_stop_others_from_restoring(tmp_path):
    """A third-party distribution whose import fails, found through real metadata on the path."""
    site = tmp_path / "site"
    metadata = site / "broken_kit-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-kit\nVersion: 1.2\n")
    (metadata / "entry_points.txt").write_text("[restorekit]\nbroken = broken_kit\n")
    (site / "broken_kit.py").write_text("raise RuntimeError('compiled for another torch')\n")
    (tmp_path / "a.png").write_bytes(PNG)
    environment = {**os.environ, "PYTHONPATH": str(site)}

    def restorekit(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "restorekit", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    listed = restorekit("plugins")
    assert "broken-kit 1.2" in listed.stdout
    assert "compiled for another torch" in listed.stdout
    assert restorekit("restore", "a.png", "-o", "out", "--with", "median:3").returncode == 0
