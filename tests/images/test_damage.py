"""Damaged, cut-off and hostile files raise PictureError: never anything else, and never half a picture."""

from __future__ import annotations

import contextlib
import io
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from restorekit.errors import PictureError
from restorekit.images import decode, encode, probe
from tests.images.samples import (
    HEIGHT,
    WIDTH,
    Sample,
    colours,
    into_png,
    pillow,
    png_chunk,
    profile,
    samples,
    tiff,
    with_alpha,
)

#: One of each way to code pixels.
CODINGS = {
    "jpeg": pillow(colours(), "JPEG", quality=90),
    "jpeg progressive": pillow(colours(), "JPEG", quality=90, progressive=True),
    "jpeg cmyk": pillow(Image.fromarray(colours()).convert("CMYK"), "JPEG", quality=90),
    "png": pillow(colours(), "PNG"),
    "webp lossless": pillow(colours(), "WEBP", lossless=True),
    "webp": pillow(with_alpha(colours()), "WEBP", quality=90),
    "tiff": tiff(colours(), photometric="rgb"),
    "tiff lzw": tiff(colours(), photometric="rgb", compression="lzw", predictor=True),
    "tiff deflate tiles": tiff(colours(), photometric="rgb", compression="zlib", tile=(16, 16)),
    "tiff jpeg": tiff(colours(), photometric="rgb", compression="jpeg"),
    "avif": pillow(colours(), "AVIF", quality=90),
    "bmp": pillow(colours(), "BMP"),
    "ppm": pillow(colours(), "PPM"),
}


@pytest.mark.parametrize("name", CODINGS)
def test_a_file_cut_off_anywhere_is_refused(name: str):
    data = CODINGS[name]
    decode(data, name="whole")
    # Every length near the ends, and some between them.
    for length in {
        *range(1, 80),
        *range(80, len(data) - 40, max(len(data) // 60, 1)),
        *range(len(data) - 40, len(data)),
    }:
        if name.startswith("tiff") and length > _tiff_pixels_end(data):
            continue
        with pytest.raises(PictureError):
            decode(data[:length], name="cut")


def _tiff_pixels_end(data: bytes) -> int:
    """Return where a TIFF's last pixel lies; padding may follow."""
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        page = tif.pages.first
        return max(a + b for a, b in zip(page.dataoffsets, page.databytecounts, strict=True)) - 1


@pytest.mark.parametrize("name", CODINGS)
def test_bytes_after_a_complete_picture_do_no_harm(name: str):
    data = CODINGS[name]
    whole, more = decode(data, name="whole"), decode(data + bytes(range(256)), name="more")
    np.testing.assert_array_equal(more.pixels, whole.pixels)


@pytest.mark.parametrize("name", ["jpeg", "jpeg progressive", "png"])
def test_a_download_that_was_padded_with_zeros_is_refused(name: str):
    data = CODINGS[name]
    with pytest.raises(PictureError):
        decode(data[: len(data) // 2].ljust(len(data), b"\0"), name="padded")


everything = st.sampled_from([sample.data for sample in samples()] + list(CODINGS.values()))


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
@given(everything, st.data())
def test_random_changes_raise_nothing_but_picture_errors(data: bytes, draw: st.DataObject):
    changed = bytearray(data)
    # Headers are where parsers break: half of the changes go there.
    near = st.integers(0, min(len(data), 400) - 1) | st.integers(0, len(data) - 1)
    for place, value in draw.draw(st.lists(st.tuples(near, st.integers(0, 255)), min_size=1, max_size=8)):
        changed[place] = value
    content = bytes(changed)
    for action in (lambda: probe(content), lambda: decode(content, name="changed")):
        with contextlib.suppress(PictureError):
            action()


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300), st.sampled_from([sample.data[:16] for sample in samples()]))
def test_nonsense_behind_a_true_signature_raises_nothing_but_picture_errors(tail: bytes, head: bytes):
    with pytest.raises(PictureError):
        decode(head + tail, name="nonsense")


def test_an_empty_file_is_refused():
    with pytest.raises(PictureError, match="in: is empty"):
        decode(b"", name="in")


@pytest.mark.parametrize("content", [b"hello world", b"\0" * 100, b"BM", b"P6", b"RIFF\0\0\0\0WAVE"])
def test_what_is_no_picture_is_refused(content: bytes):
    with pytest.raises(PictureError):
        decode(content, name="in")


def test_a_picture_without_pixels_is_refused():
    empty = (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 0, 5, 8, 2, 0, 0, 0))
        + png_chunk(b"IEND", b"")
    )
    with pytest.raises(PictureError, match="has no pixels"):
        probe(empty)


def test_a_bomb_is_refused_by_its_header_and_the_limit_can_be_raised(recwarn: pytest.WarningsRecorder):
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0))
    bomb = b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", b"") + png_chunk(b"IEND", b"")
    with pytest.raises(PictureError, match="raise it with --max-pixels 3600000000"):
        probe(bomb)
    assert probe(bomb, max_pixels=10**10).width == 60000
    for sample in samples():
        with pytest.raises(PictureError, match=f"{WIDTH}x{HEIGHT} = 2,867 pixels, more than the limit of 2,866"):
            decode(sample.data, name="in", max_pixels=2866)
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "BMP", "AVIF", "JPEG", "PNG", "WEBP", "PPM"])
def test_our_limit_rules_above_pillows_own(
    kind: str, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    data = pillow(Image.fromarray(colours()), kind)
    assert decode(data, name="in").info.width == WIDTH
    assert not recwarn.list


def test_a_wrong_checksum_in_a_png_is_refused():
    data = bytearray(CODINGS["png"])
    data[data.index(b"IDAT") + 30] ^= 1
    with pytest.raises(PictureError, match="checksum"):
        decode(bytes(data), name="in")


def test_a_broken_chunk_that_is_not_the_picture_does_no_harm():
    data = bytearray(into_png(CODINGS["png"], (b"tEXt", b"Title\0x"), (b"iCCP", b"p\0\0garbage")))
    picture = decode(bytes(data), name="in")
    np.testing.assert_array_equal(picture.pixels, colours())
    assert picture.notes == ("broken colour profile dropped",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("icc", [b"not a profile" * 20, profile()[:200], profile()[:-9]])
def test_a_broken_colour_profile_is_dropped_with_a_note(kind: str, icc: bytes):
    if kind == "AVIF":
        pytest.importorskip("PIL._avif")
    picture = decode(pillow(Image.fromarray(colours()), kind, icc_profile=icc), name="in")
    assert picture.metadata.icc == b""
    assert picture.notes == ("broken colour profile dropped",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_broken_exif_data_do_not_fail_the_picture(kind: str):
    picture = decode(pillow(Image.fromarray(colours()), kind, exif=b"Exif\0\0rubbish that is no TIFF"), name="in")
    assert picture.metadata.exif == b""
    assert picture.notes == ("broken EXIF data dropped",)
    assert picture.info.orientation == 1


def test_half_a_jpeg_with_an_end_marker_inside_its_tables_is_refused():
    data = CODINGS["jpeg"]
    with pytest.raises(PictureError):
        decode(data[:100] + b"\xff\xd9", name="in")


def test_many_threads_at_once_get_what_one_thread_gets():
    def again(sample: Sample) -> bytes:
        return encode(decode(sample.data, name="in"))[0]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(again, samples())) == [again(sample) for sample in samples()]
