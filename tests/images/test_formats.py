"""Formats are told by content, refused by name with a way out, and cheap to know about."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from restorekit.errors import PictureError
from restorekit.images import FORMATS, PICTURE_SUFFIXES, decode, format_of_extension, probe, read
from restorekit.images.formats import sniff
from tests.images.samples import Sample, colours, pillow, samples, tiff


def test_knowing_the_formats_loads_no_image_library():
    code = (
        "import sys, restorekit.images.formats, restorekit.images; restorekit.images.FORMATS;"
        "print([m for m in ('cv2', 'PIL', 'tifffile', 'imagecodecs', 'torch') if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == "[]"


def test_every_suffix_belongs_to_one_format_and_unknown_ones_to_none():
    suffixes = [suffix for known in FORMATS.values() for suffix in known.suffixes]
    assert len(suffixes) == len(set(suffixes))
    assert all(suffix == suffix.lower() and suffix in PICTURE_SUFFIXES for suffix in suffixes)
    assert {format_of_extension(suffix) for suffix in (".txt", "", ".heic")} == {None}
    assert {".heic", ".dng", ".nef", ".cr3", ".jxl", ".psd"} <= PICTURE_SUFFIXES


@pytest.mark.parametrize("sample", samples(), ids=str)
def test_the_content_decides_the_format(sample: Sample):
    assert sniff(sample.data[:64]) == sample.format
    assert probe(sample.data, name="wrong.heic").format == sample.format


@pytest.mark.parametrize("sample", samples(), ids=str)
def test_a_file_and_its_bytes_have_the_same_header(sample: Sample, tmp_path: Path):
    file = tmp_path / "bild ä 写真.x"
    file.write_bytes(sample.data)
    assert probe(file) == probe(sample.data) == read(file).info


HEAD = {
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "camera RAW": b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(20),
    "Photoshop": b"8BPS\0\1" + bytes(20),
    "OpenEXR": b"v/1\x01" + bytes(20),
    "PDF": b"%PDF-1.7\n",
}


@pytest.mark.parametrize("title", HEAD)
def test_other_picture_formats_are_refused_by_name_with_a_way_out(title: str):
    with pytest.raises(PictureError, match=f"in.jpg: is a {title} file, which is not read; .* first"):
        probe(HEAD[title], name="in.jpg")


@pytest.mark.parametrize("raw", ["dng", "NEF", "arw", "cr2", "pef"])
def test_raw_files_that_look_like_tiffs_are_refused_by_their_suffix(raw: str):
    with pytest.raises(PictureError, match="camera RAW"):
        probe(tiff(colours(), photometric="rgb"), name=f"photo.{raw}")


def test_a_canon_raw_is_known_by_its_content():
    assert sniff(b"II*\0\x10\0\0\0CR\2\0") == "raw"


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF", "TIFF"])
def test_animations_and_pages_are_refused_with_a_way_out(kind: str):
    first = Image.fromarray(colours())
    data = pillow(first, kind, save_all=True, append_images=[first.rotate(90), first.rotate(180)])
    for action in (lambda: probe(data, name="in"), lambda: decode(data, name="in")):
        with pytest.raises(PictureError, match=r"in: holds 3 (frames|pages); .*split it into single"):
            action()


def test_a_picture_with_a_second_one_behind_it_gives_the_first():
    data = pillow(colours(), "JPEG", quality=95)
    behind = pillow(colours()[::-1].copy(), "JPEG")  # as in panoramas, gain maps and depth maps
    assert (decode(data + behind, name="in").pixels == decode(data, name="in").pixels).all()


def test_files_that_cannot_be_read_are_told_in_one_line(tmp_path: Path):
    link = tmp_path / "link.png"
    link.symlink_to(tmp_path / "nowhere.png")
    for path, problem in ((link, "broken link"), (tmp_path / "gone.png", "not there"), (tmp_path, "is a directory")):
        for action in (probe, read):
            with pytest.raises(PictureError, match=problem) as caught:
                action(path)
            assert str(path) in str(caught.value)


def test_a_header_is_read_without_the_pixels(tmp_path: Path):
    file = tmp_path / "large.png"
    data = pillow(colours(), "JPEG", quality=95)
    file.write_bytes(data[: data.index(b"\xff\xda") + 14])
    assert probe(file).width == colours().shape[1]
