"""JPEG, WebP, AVIF, PNG and netpbm: the traps of their decoders, and how they are written."""

from __future__ import annotations

import io
import struct
import time
import zlib
from collections.abc import Callable
from dataclasses import replace

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image, ImageCms, JpegImagePlugin

from restorekit.errors import PictureError
from restorekit.images import Metadata, decode, encode
from restorekit.images.codecs.cmyk import rgb_from_cmyk
from tests.images.samples import HEIGHT, WIDTH, colours, deep, look, pillow, png_chunk, profile, samples, with_alpha
from tests.images.test_roundtrip import picture_of, psnr


def quality_and_sampling(data: bytes) -> tuple[int | None, int]:
    image = Image.open(io.BytesIO(data))
    assert isinstance(image, JpegImagePlugin.JpegImageFile)
    return decode(data, name="out").coding.quality, JpegImagePlugin.get_sampling(image)


@pytest.mark.parametrize("quality", [1, 10, 30, 49, 50, 51, 75, 80, 90, 92, 95, 99, 100])
def test_the_quality_of_a_jpeg_is_estimated_from_its_tables(quality: int):
    assert decode(pillow(colours(), "JPEG", quality=quality), name="in").coding.quality == quality
    progressive = pillow(colours(), "JPEG", quality=quality, progressive=True)
    assert decode(progressive, name="in").coding.quality == quality


@pytest.mark.parametrize(("before", "after"), [(30, 90), (75, 90), (90, 90), (93, 93), (98, 98)])
def test_a_jpeg_keeps_its_quality_but_is_not_damaged_again(before: int, after: int):
    data, _ = encode(decode(pillow(colours(), "JPEG", quality=before), name="in"))
    assert quality_and_sampling(data) == (after, 0)  # 0 is 4:4:4


@pytest.mark.parametrize(("quality", "sampling"), [(None, 0), (95, 0), (90, 0), (89, 2), (60, 2)])
def test_colours_keep_their_resolution_from_quality_90_on(quality: int | None, sampling: int):
    assert quality_and_sampling(encode(picture_of(colours()), "jpeg", quality=quality)[0]) == (quality or 95, sampling)


@pytest.mark.parametrize("adobe", [True, False])
def test_a_cmyk_jpeg_becomes_rgb_as_pillow_shows_it(adobe: bool):
    data = pillow(Image.fromarray(colours()).convert("CMYK"), "JPEG", quality=95)
    if not adobe:
        at = data.index(b"\xff\xee")
        data = data[:at] + data[at + 16 :]
    picture = decode(data, name="in")
    np.testing.assert_array_equal(picture.pixels, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))
    assert picture.notes == ("CMYK converted to RGB without a colour profile",)
    assert (picture.info.channels, picture.metadata.icc) == (3, b"")


def test_inks_go_through_the_profile_they_come_with(monkeypatch: pytest.MonkeyPatch):
    asked = {}

    def transform(image: Image.Image, source: object, target: object, **settings: object) -> Image.Image:
        asked.update(mode=image.mode, **settings)
        return Image.new("RGB", image.size, (1, 2, 3))

    monkeypatch.setattr(ImageCms, "profileToProfile", transform)
    result = rgb_from_cmyk(np.zeros((2, 3, 4), np.uint8), profile("CMYK"))
    assert asked["mode"] == "CMYK"
    assert asked["outputMode"] == "RGB"
    assert (result == (1, 2, 3)).all()


def test_a_jpeg_of_twelve_bits_is_refused():
    data = bytearray(pillow(colours(), "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    with pytest.raises(PictureError, match="JPEG of 12 bits"):
        decode(bytes(data), name="in")


def test_a_jpeg_that_stores_rgb_is_not_taken_for_luma_and_chroma():
    data = bytes(imagecodecs.jpeg8_encode(colours(), level=98, colorspace="RGB", outcolorspace="RGB"))
    assert psnr(decode(data, name="in").pixels, colours()) > 40


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_stays_of_its_kind(lossless: bool):
    picture = decode(pillow(colours(), "WEBP", lossless=lossless, quality=90), name="in")
    assert picture.coding.lossless == lossless
    data, _ = encode(picture)
    assert (b"VP8L" in data[:64]) == lossless
    assert b"VP8L" not in encode(picture, quality=80)[0][:64]  # who asks for a quality asks for lossy


def test_an_opaque_alpha_channel_is_still_there():
    image = np.dstack([colours(), np.full((HEIGHT, WIDTH), 255, np.uint8)])
    for sample in (picture_of(image, "webp"), picture_of(image, "png"), picture_of(image, "avif")):
        after = decode(encode(sample)[0], name="out")
        if after.info.alpha:
            assert after.alpha is not None
            assert (after.alpha == 255).all()


@pytest.mark.parametrize(("bits", "full"), [(8, 255), (10, 1023), (12, 4095)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_avif_samples_come_back_in_their_own_bits(bits: int, full: int, channels: int):
    stored = np.ascontiguousarray(deep(full, channels) if bits > 8 else deep(full, channels).astype(np.uint8))
    data = bytes(imagecodecs.avif_encode(stored.squeeze(), level=100, bitspersample=bits))
    picture = decode(data, name="in")
    assert picture.info.bits == bits
    assert picture.pixels.max() == (255 if bits == 8 else 65535)
    again, _ = encode(picture, quality=100)
    np.testing.assert_array_equal(look(again).image, look(data).image)


def test_a_grey_avif_with_alpha_is_read():
    image = with_alpha(colours()[..., :1])
    data = bytes(imagecodecs.avif_encode(image, level=100))
    picture = decode(data, name="in")
    assert picture.pixels.shape == (HEIGHT, WIDTH, 1)
    assert picture.alpha is not None
    assert psnr(picture.alpha, image[..., 1]) > 40


def test_an_avif_keeps_its_colour_description():
    data = bytes(imagecodecs.avif_encode(colours(), level=95, primaries=9, transfer=16, matrix=9))
    picture = decode(data, name="in")
    assert picture.coding.cicp == (9, 16)
    assert decode(encode(picture)[0], name="out").coding.cicp == (9, 16)
    assert encode(picture, "png")[1] == ("png cannot hold colour primaries and transfer function",)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_a_transparent_grey_of_a_png_becomes_alpha(bits: int):
    values = np.arange(16).reshape(1, 16) % (1 << min(bits, 8))
    packed = np.packbits((values[..., None] >> np.arange(bits)[::-1]) & 1) if bits < 16 else values.astype(">u2")
    data = b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 16, 1, bits, 0, 0, 0, 0))
    data += png_chunk(b"tRNS", struct.pack(">H", 1))
    data += png_chunk(b"IDAT", zlib.compress(b"\0" + packed.tobytes())) + png_chunk(b"IEND", b"")
    picture = decode(data, name="in")
    full = 65535 if bits == 16 else 255
    np.testing.assert_array_equal(picture.pixels[..., 0], values * (1 if bits >= 8 else full // ((1 << bits) - 1)))
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha, np.where(values == 1, 0, full))


def test_a_transparent_colour_of_a_png_becomes_alpha():
    image = colours().copy()
    image[3:9, 4:20] = (1, 2, 3)
    data = pillow(image, "PNG", transparency=(1, 2, 3))
    picture = decode(data, name="in")
    assert picture.alpha is not None
    np.testing.assert_array_equal(picture.alpha == 0, (image == (1, 2, 3)).all(axis=2))
    np.testing.assert_array_equal(picture.pixels, image)


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_with_alpha_of_a_png_keeps_its_metadata(bits: int):
    sample = next(s for s in samples() if s.format == "png" and s.image.shape[2] == 2 and s.bits == bits and s.metadata)
    picture = decode(sample.data, name="in")
    seen = look(encode(picture)[0])
    assert seen.image.shape[2] == 2
    assert seen.exif
    assert seen.icc
    assert seen.xmp


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"P1 3 1\n1 0 1\n", [0, 255, 0]),
        (b"P2\n# comment\n3 1\n# another\n15\n0 5 15\n", [0, 85, 255]),
        (b"P4 9 1\n\xaa\x80", [0, 255, 0, 255, 0, 255, 0, 255, 0]),
        (b"P5 2 1 3\n\x00\x02", [0, 170]),
        (b"P2 2 1 1000\n0 1000\n", [0, 65535]),
    ],
)
def test_all_kinds_of_netpbm_fill_the_whole_range(content: bytes, expected: list[int]):
    assert decode(content, name="in").pixels.ravel().tolist() == expected


def test_values_above_white_are_refused():
    with pytest.raises(PictureError, match="values above its white, 3"):
        decode(b"P5 2 1 3\n\x00\x09", name="in")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_of_every_mode(mode: str):
    image = Image.fromarray(colours()).convert(mode)
    picture = decode(pillow(image, "BMP"), name="in")
    wanted = np.asarray(image.convert("L" if mode in "1L" else "RGB")).reshape(HEIGHT, WIDTH, -1)
    np.testing.assert_array_equal(picture.pixels, wanted)


def test_a_still_gif_becomes_a_png_with_its_transparency():
    image = Image.fromarray(colours()).quantize(16)
    picture = decode(pillow(image, "GIF", transparency=3), name="in")
    data, _ = encode(picture)
    seen = look(data)
    assert data.startswith(b"\x89PNG")
    np.testing.assert_array_equal(seen.image[..., 3] == 0, np.asarray(image) == 3)


def test_opencv_says_nothing_on_a_damaged_file(capfd: pytest.CaptureFixture[str]):
    with pytest.raises(PictureError):
        decode(pillow(colours(), "BMP")[:-50], name="in")
    assert capfd.readouterr().err == ""


def test_decoding_a_jpeg_costs_little_more_than_opencv_alone():
    large = cv2.resize(colours(), (2000, 1500), interpolation=cv2.INTER_CUBIC)
    data = pillow(large, "JPEG", quality=95)

    def least(action: Callable[[], object], rounds: int = 5) -> float:
        def once() -> float:
            start = time.perf_counter()
            action()
            return time.perf_counter() - start

        return min(once() for _ in range(rounds))

    plain = least(lambda: cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED))
    assert least(lambda: decode(data, name="in")) < 2 * plain + 0.02  # aim: 1.3; the rest is for busy machines


def test_a_profile_is_dropped_where_grey_must_become_rgb():
    picture = replace(picture_of(colours()[..., :1]), metadata=Metadata(icc=profile("GRAY")))
    data, notes = encode(picture, "webp")
    assert look(data).icc == b""
    assert notes == (
        "grey written as RGB: webp is written without grey",
        "colour profile dropped: it is for GRAY pixels, the picture is RGB",
    )
