"""Every picture comes out as a viewer shows it, and is never turned again."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from restorekit.images import decode, encode, probe
from tests.images.samples import HEIGHT, WIDTH, colours, deep, exif_block, into_png, pillow, tiff

KINDS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"]
ORIENTATIONS = range(1, 9)
SETTINGS = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95, "dpi": (300, 240)}}


def turned_file(kind: str, orientation: int) -> bytes:
    return pillow(
        Image.fromarray(colours()), kind, exif=b"Exif\0\0" + exif_block(orientation), **SETTINGS.get(kind, {})
    )


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_as_displayed(kind: str, orientation: int):
    data = turned_file(kind, orientation)
    shown = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    picture = decode(data, name="in")
    np.testing.assert_array_equal(picture.pixels, np.asarray(shown))
    assert (picture.info.width, picture.info.height) == shown.size
    assert picture.info.orientation == orientation
    assert probe(data) == picture.info


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", [None, "png", "jpeg", "tiff", "webp", "avif"])
def test_the_output_is_upright_and_says_so(kind: str, orientation: int, target: str | None):
    picture = decode(turned_file(kind, orientation), name="in")
    data, _ = encode(picture, target)
    again = decode(data, name="out")
    assert again.info.orientation == 1
    assert again.pixels.shape == picture.pixels.shape
    assert np.abs(again.pixels.astype(int) - picture.pixels).mean() < 4
    exif = Image.open(io.BytesIO(data)).getexif()
    assert exif.get(0x0112, 1) == 1
    inner = exif.get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (picture.info.width, picture.info.height)


def test_sixteen_bit_pictures_are_turned_too():
    image = deep()
    data = tiff(image, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(decode(data, name="in").pixels, np.rot90(image, -1))


@pytest.mark.parametrize("packet", [b'<d tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"])
def test_an_orientation_that_only_xmp_states_is_applied_and_reset(packet: bytes):
    data = into_png(pillow(colours(), "PNG"), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + packet))
    picture = decode(data, name="in")
    np.testing.assert_array_equal(picture.pixels, np.rot90(colours(), -1))
    assert picture.metadata.xmp == packet.replace(b"6", b"1")


def test_an_avif_is_turned_by_its_boxes_and_not_by_its_exif_data():
    # Pillow writes the orientation as irot and imir boxes and takes it out of the EXIF data.
    data = turned_file("AVIF", 6)
    assert b"irot" in data
    assert decode(data, name="in").pixels.shape == (WIDTH, HEIGHT, 3)


def test_the_resolution_turns_with_the_picture():
    picture = decode(turned_file("JPEG", 6), name="in")
    assert picture.info.dpi == picture.metadata.dpi == (240, 300)
    assert decode(turned_file("JPEG", 3), name="in").info.dpi == (300, 240)
