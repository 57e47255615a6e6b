"""TIFF in all its layouts."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from restorekit.errors import PictureError
from restorekit.images import decode, encode, probe
from tests.images.samples import HEIGHT, WIDTH, colours, deep, pillow, profile, tiff, with_alpha

GREY = np.ascontiguousarray(colours()[..., 0])
RGB: dict[str, Any] = {"photometric": "rgb"}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"tile": (16, 32)},
        {"compression": "lzw", "predictor": True},
        {"compression": "zlib", "predictor": True, "tile": (16, 16)},
        {"compression": "zstd"},
        {"compression": "packbits"},
        {"compression": "lzma"},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"bigtiff": True, "byteorder": ">", "compression": "lzw"},
        {"rowsperstrip": 5},
        {"rowsperstrip": 5, "compression": "lzw"},
    ],
    ids=str,
)
@pytest.mark.parametrize("image", [colours(), deep()], ids=["8", "16"])
def test_strips_tiles_compressions_and_byte_orders(image: np.ndarray, settings: dict[str, Any]):
    data = tiff(image, **RGB, **settings)
    np.testing.assert_array_equal(decode(data, name="in").pixels, image)


@pytest.mark.parametrize("settings", [{}, {"tile": (16, 16), "compression": "lzw"}], ids=str)
def test_separate_planes(settings: dict[str, Any]):
    data = tiff(np.moveaxis(colours(), 2, 0), planarconfig="separate", **RGB, **settings)
    np.testing.assert_array_equal(decode(data, name="in").pixels, colours())


def test_jpeg_in_tiff():
    data = tiff(colours(), compression="jpeg", compressionargs={"level": 95}, **RGB)
    assert np.abs(decode(data, name="in").pixels.astype(int) - colours()).mean() < 3
    again, _ = encode(decode(data, name="in"))
    with tifffile.TiffFile(io.BytesIO(again)) as tif:
        assert int(tif.pages.first.compression) == 8  # not lossy again


@pytest.mark.parametrize("compression", ["none", "lzw", "zlib", "zstd", "packbits", "lzma"])
def test_a_lossless_compression_is_kept(compression: str):
    data = tiff(colours(), compression=None if compression == "none" else compression, **RGB)
    with (
        tifffile.TiffFile(io.BytesIO(data)) as before,
        tifffile.TiffFile(io.BytesIO(encode(decode(data, name="in"))[0])) as after,
    ):
        assert after.pages.first.compression == before.pages.first.compression


@pytest.mark.parametrize("compression", [None, "group4", "group3", "tiff_ccitt"])
def test_bilevel(compression: str | None):
    image = Image.fromarray(colours()).convert("1")
    picture = decode(pillow(image, "TIFF", compression=compression), name="in")
    np.testing.assert_array_equal(picture.pixels[..., 0], np.asarray(image.convert("L")))


def test_min_is_white_is_turned_into_min_is_black():
    picture = decode(tiff(255 - GREY, photometric="miniswhite"), name="in")
    np.testing.assert_array_equal(picture.pixels[..., 0], GREY)
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(encode(picture)[0])), GREY)


def test_palette():
    image = Image.fromarray(colours()).quantize(16)
    np.testing.assert_array_equal(decode(pillow(image, "TIFF"), name="in").pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize(("bits", "full"), [(2, 255), (4, 255), (12, 65535), (10, 65535)])
def test_odd_depths_fill_the_whole_range(bits: int, full: int):
    stored = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % (1 << bits)
    dtype = np.uint8 if bits < 9 else np.uint16
    data = tiff(stored.astype(dtype), photometric="minisblack", bitspersample=bits)
    picture = decode(data, name="in")
    assert picture.pixels.dtype == dtype
    np.testing.assert_array_equal(picture.pixels[..., 0], np.rint(stored * (full / ((1 << bits) - 1))))


@pytest.mark.parametrize("icc", [b"", profile("CMYK")])
def test_cmyk_becomes_rgb_and_it_is_said(icc: bytes):
    image = Image.fromarray(colours()).convert("CMYK")
    # The labelled profile is none for CMYK in truth: it can be recognised, but not applied.
    data = pillow(image, "TIFF", **({"icc_profile": icc} if icc else {}))
    if icc:
        with pytest.raises(PictureError, match="CMYK colour profile that cannot be used; convert it to RGB first"):
            decode(data, name="in")
        return
    picture = decode(data, name="in")
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))
    assert picture.notes == ("CMYK converted to RGB without a colour profile",)


def test_luma_and_chroma_without_jpeg_become_rgb():
    image = Image.fromarray(colours()).convert("YCbCr")
    picture = decode(pillow(image, "TIFF"), name="in")
    assert np.abs(picture.pixels.astype(int) - colours()).max() <= 3


def test_premultiplied_alpha_is_made_straight():
    image = with_alpha(colours())
    alpha = image[..., 3:].astype(float) / 255
    stored = np.dstack([np.rint(image[..., :3] * alpha).astype(np.uint8), image[..., 3:]])
    picture = decode(tiff(stored, extrasamples=["assocalpha"], **RGB), name="in")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, image[..., 3])
    opaque = picture.alpha > 200
    assert np.abs(picture.pixels.astype(int) - colours())[opaque].max() <= 1
    assert picture.notes == ("premultiplied alpha made straight",)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5])
def test_floats_that_are_no_brightness_are_refused(value: float):
    image = np.full((4, 4), 0.5, np.float32)
    image[1, 2] = value
    with pytest.raises(PictureError, match=r"no numbers|negative"):
        decode(tiff(image), name="in")


def test_floats_come_as_they_are_stored():
    image = np.array([[0.25, 3.5]], np.float32)
    np.testing.assert_array_equal(decode(tiff(image), name="in").pixels[..., 0], image)


@pytest.mark.parametrize("dtype", ["i1", "i2", "u4", "i4", "u8", "c8"])
def test_samples_that_are_no_brightness_are_refused_clearly(dtype: str):
    with pytest.raises(PictureError, match=r"is a TIFF of \d+-bit .*; convert it to 8 or 16 bits"):
        probe(tiff(np.ones((8, 8), dtype), photometric="minisblack"))


def test_several_pages_are_refused_with_a_way_out():
    with pytest.raises(PictureError, match=r"holds 3 pages; split it .*tiffsplit"):
        probe(tiff(np.stack([colours()] * 3), **RGB))
    stack = io.BytesIO()
    tifffile.imwrite(stack, np.stack([GREY] * 3), imagej=True)
    with pytest.raises(PictureError, match="holds 3 pages"):
        probe(stack.getvalue())


def test_a_thumbnail_page_does_not_count():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(colours()[::4, ::4], subfiletype=1, metadata=None, **RGB)
        writer.write(colours(), metadata=None, **RGB)
    np.testing.assert_array_equal(decode(buffer.getvalue(), name="in").pixels, colours())


def test_raw_and_other_colour_spaces_are_refused():
    with pytest.raises(PictureError, match="camera RAW"):
        probe(tiff(deep()[..., 0], photometric="cfa", extratags=[(33422, 1, 4, bytes(4), True)]))
    with pytest.raises(PictureError, match="camera RAW"):
        probe(tiff(colours(), extratags=[(50706, 1, 4, b"\1\4\0\0", True)], **RGB))
    with pytest.raises(PictureError, match="CIELAB; convert it to RGB first"):
        probe(pillow(Image.fromarray(colours()).convert("LAB"), "TIFF"))
    with pytest.raises(PictureError, match="2 channels besides its colours"):
        probe(tiff(np.dstack([colours(), GREY, GREY]), **RGB))


def test_strips_beyond_the_end_of_the_file_are_refused():
    data = tiff(colours(), compression="jpeg", **RGB)
    with pytest.raises(PictureError, match="cut off"):
        decode(data[: len(data) - 300], name="in")
