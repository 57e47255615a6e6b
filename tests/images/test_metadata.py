"""EXIF, XMP, profiles and resolution: kept as they are, except where they would be wrong."""

from __future__ import annotations

import io
import struct
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from restorekit.images import Metadata, decode, encode
from restorekit.images.exif import BrokenExif, orientation, resized, resolution, upright
from tests.images.samples import HEIGHT, WIDTH, XMP, colours, exif_block, into_png, look, pillow, profile, tiff
from tests.images.test_roundtrip import picture_of

KEEPS_ALL = ["jpeg", "png", "webp", "tiff", "avif"]


def block_with_thumbnail(order: str = "<") -> bytes:
    """Two directories by hand: orientation and a 30-byte MakerNote in the first, a thumbnail in the second."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", 8)
    inner_at, note_at, second_at = 8 + 2 + 24 + 4, 0, 0
    note_at = inner_at + 2 + 12 + 4
    second_at = note_at + 30
    thumbnail_at = second_at + 2 + 24 + 4
    first = struct.pack(order + "H", 2)
    first += struct.pack(order + "HHIHH", 0x0112, 3, 1, 6, 0) + struct.pack(order + "HHII", 0x8769, 4, 1, inner_at)
    first += struct.pack(order + "I", second_at)
    inner = struct.pack(order + "HHHIII", 1, 0x927C, 7, 30, note_at, 0)
    second = struct.pack(order + "H", 2)
    second += struct.pack(order + "HHII", 0x0201, 4, 1, thumbnail_at) + struct.pack(order + "HHII", 0x0202, 4, 1, 100)
    second += struct.pack(order + "I", 0)
    return head + first + inner + b"M" * 30 + second + b"T" * 100


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_goes_and_the_maker_note_stays_where_it_was(order: str):
    before = block_with_thumbnail(order)
    after = upright(before)
    assert orientation(before) == 6
    assert orientation(after) == 1
    assert b"T" not in after
    assert len(after) < len(before) - 100
    assert after.index(b"M" * 30) == before.index(b"M" * 30)
    exif = Image.Exif()
    exif.load(b"Exif\0\0" + after)
    assert exif.get_ifd(0x8769)[0x927C] == b"M" * 30
    assert not exif.get_ifd(1)


def test_a_thumbnail_that_shares_bytes_with_other_tags_takes_none_of_them_along():
    block = bytearray(block_with_thumbnail())
    note = block.index(b"M" * 30)
    start = block.index(struct.pack("<HHI", 0x0201, 4, 1)) + 8
    struct.pack_into("<I", block, start, note)  # the thumbnail claims the MakerNote's place
    assert b"M" * 30 in upright(bytes(block))


def test_directories_that_point_to_themselves_end():
    block = bytearray(block_with_thumbnail())
    at = block.index(struct.pack("<HHI", 0x8769, 4, 1)) + 8
    struct.pack_into("<I", block, at, 8)
    assert orientation(upright(bytes(block))) == 1


def test_a_size_that_does_not_fit_a_short_becomes_a_long():
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA002] = 100
    block = exif.tobytes().removeprefix(b"Exif\0\0")
    found = Image.Exif()
    found.load(b"Exif\0\0" + resized(block, 70000, 5))
    assert found.get_ifd(0x8769)[0xA002] == 70000


@pytest.mark.parametrize("block", [b"", b"II*\0", b"II*\0\xff\xff\xff\xff", b"nonsense", b"II*\0\x08\0\0\0\xff\xff"])
def test_a_block_that_cannot_be_read_states_nothing(block: bytes):
    assert orientation(block) is None
    assert resolution(block) is None
    with pytest.raises(BrokenExif):
        upright(block)


@pytest.mark.parametrize("name", KEEPS_ALL)
def test_the_stated_size_follows_an_enlargement(name: str):
    picture = decode(pillow(colours(), "JPEG", exif=b"Exif\0\0" + exif_block()), name="in")
    larger = replace(picture, pixels=np.repeat(np.repeat(picture.pixels, 2, 0), 2, 1))
    data, _ = encode(larger, name)
    inner = Image.open(io.BytesIO(data)).getexif().get_ifd(0x8769)
    assert (inner[0xA002], inner[0xA003]) == (2 * WIDTH, 2 * HEIGHT)


@pytest.mark.parametrize("source", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("name", KEEPS_ALL)
def test_exif_data_travel_between_all_formats(source: str, name: str):
    picture = decode(pillow(colours(), source, exif=b"Exif\0\0" + exif_block()), name="in")
    data, notes = encode(picture, name)
    exif = Image.open(io.BytesIO(data)).getexif()
    assert exif[0x010E] == "a picture"
    assert exif[0x010F] == "Maker"
    inner = exif.get_ifd(0x8769)
    assert inner[0x9003] == "2020:01:02 03:04:05"
    assert inner[0x927C] == bytes(range(40))
    assert exif.get_ifd(0x8825)[1] == "N"
    assert notes == ()
    assert encode(decode(data, name="again"), name)[0] is not None


@pytest.mark.parametrize("order", ["<", ">"])
def test_tiffs_of_both_byte_orders_keep_exif_data(order: str):
    block = block_with_thumbnail(order)
    block = upright(block)
    picture = replace(picture_of(colours()), metadata=Metadata(exif=block))
    data, _ = encode(picture, "tiff")
    assert data[:2] == (b"II" if order == "<" else b"MM")
    np.testing.assert_array_equal(look(data).image, colours())
    again = decode(data, name="out")
    assert Image.open(io.BytesIO(data)).getexif().get_ifd(0x8769)[0x927C] == b"M" * 30
    assert encode(again)[0] == encode(decode(encode(again)[0], name="third"))[0]


@pytest.mark.parametrize("name", KEEPS_ALL)
def test_profile_and_xmp_travel_to_every_format_that_holds_them(name: str):
    picture = replace(picture_of(colours()), metadata=Metadata(icc=profile(), xmp=XMP))
    data, notes = encode(picture, name)
    seen = look(data)
    assert (seen.icc, seen.xmp) == (profile(), XMP)
    assert notes == ()


@pytest.mark.parametrize("name", KEEPS_ALL)
@pytest.mark.parametrize(("space", "channels"), [("GRAY", 3), ("CMYK", 3), ("RGB", 1)])
def test_a_profile_for_other_pixels_is_not_written(name: str, space: str, channels: int):
    if name == "webp" and channels == 1:
        pytest.skip("WebP holds no grey: the picture becomes RGB and the profile fits")
    picture = replace(picture_of(colours()[..., :channels]), metadata=Metadata(icc=profile(space)))
    data, notes = encode(picture, name)
    assert look(data).icc == b""
    assert any("colour profile dropped: it is for" in note for note in notes)


@pytest.mark.parametrize("name", ["jpeg", "png", "tiff", "bmp"])
@pytest.mark.parametrize(
    "dpi", [(300.0, 240.0), (72.0, 72.0), (11811 * 0.0254, 5906 * 0.0254), (118 * 2.54, 118 * 2.54)]
)
def test_the_resolution_is_kept(name: str, dpi: tuple[float, float]):
    picture = replace(picture_of(colours()), metadata=Metadata(dpi=dpi))
    data, notes = encode(picture, name)
    assert decode(data, name="out").info.dpi == pytest.approx(dpi, abs=0.5 if name == "jpeg" else 0.02)
    assert notes == ()


def test_a_resolution_in_dots_per_centimetre_is_kept_exactly_in_a_jpeg():
    picture = replace(picture_of(colours()), metadata=Metadata(dpi=(118 * 2.54, 118 * 2.54)))
    assert decode(encode(picture, "jpeg")[0], name="out").info.dpi == pytest.approx((299.72, 299.72), abs=1e-6)


def test_a_jpeg_without_a_density_takes_the_resolution_from_exif():
    block = exif_block(x282=300.0, x283=300.0, x296=2)
    assert decode(pillow(colours(), "JPEG", exif=b"Exif\0\0" + block), name="in").info.dpi == (300, 300)


@pytest.mark.parametrize("name", KEEPS_ALL)
def test_stripping_takes_exif_and_xmp_but_not_the_colours(name: str):
    metadata = Metadata(exif=exif_block(), icc=profile(), xmp=XMP, dpi=(300, 300))
    data, _ = encode(replace(picture_of(colours()), metadata=metadata), name, strip_metadata=True)
    seen = look(data)
    assert (seen.exif, seen.xmp) == (b"", b"")
    assert seen.icc == profile()


def test_a_profile_too_long_for_one_jpeg_segment_is_split():
    long = profile()[:128] + struct.pack(">I", 1) + b"desc" + struct.pack(">II", 144, 200_000) + bytes(200_000)
    long = struct.pack(">I", len(long)) + long[4:]
    data, _ = encode(replace(picture_of(colours()), metadata=Metadata(icc=long)), "jpeg")
    assert look(data).icc == long
    assert decode(data, name="out").metadata.icc == long


def test_exif_data_too_long_for_a_jpeg_are_dropped_with_a_note():
    metadata = Metadata(exif=exif_block().ljust(70_000, b"x"))
    data, notes = encode(replace(picture_of(colours()), metadata=metadata), "jpeg")
    assert look(data).exif == b""
    assert notes == ("EXIF data dropped: JPEG holds at most 64 KB of them",)


def test_a_resolution_that_only_exif_can_hold_is_kept_there_or_its_loss_is_said():
    stated = Metadata(exif=exif_block(x282=300.0, x283=300.0, x296=2), dpi=(300, 300))
    data, notes = encode(replace(picture_of(colours()), metadata=stated), "webp")
    assert (decode(data, name="out").info.dpi, notes) == ((300, 300), ())
    _, notes = encode(replace(picture_of(colours()), metadata=Metadata(exif=exif_block(), dpi=(300, 300))), "webp")
    assert notes == ("webp cannot hold the resolution",)


def test_what_a_format_cannot_hold_is_said():
    metadata = Metadata(exif=exif_block(), icc=profile(), xmp=XMP, dpi=(300, 300))
    _, notes = encode(replace(picture_of(colours()), metadata=metadata), "ppm")
    assert notes == ("ppm cannot hold EXIF data, the colour profile, XMP data, the resolution",)


def test_a_png_keeps_its_gamma_and_its_texts():
    chunks = ((b"gAMA", struct.pack(">I", 100000)), (b"tEXt", b"Title\0old photo"))
    data, notes = encode(decode(into_png(pillow(colours(), "PNG"), *chunks), name="in"))
    image = Image.open(io.BytesIO(data))
    assert (image.info["gamma"], image.info["Title"]) == (1.0, "old photo")
    assert notes == ()
    stripped = Image.open(io.BytesIO(encode(decode(data, name="in"), strip_metadata=True)[0]))
    assert stripped.info["gamma"] == 1.0
    assert "Title" not in stripped.info


def test_a_software_description_of_an_old_shape_is_not_kept():
    data = tiff(colours(), photometric="rgb", metadata={})
    assert b"shape" in data
    assert b"shape" not in encode(decode(data, name="in"))[0]


def test_a_jpeg_keeps_its_iptc_texts_and_its_comment_but_no_stale_thumbnail():
    def block(kind: int, content: bytes) -> bytes:
        return b"8BIM" + struct.pack(">HHI", kind, 0, len(content)) + content + b"\0" * (len(content) % 2)

    payload = b"Photoshop 3.0\0" + block(0x040C, b"THUMB" * 9) + block(0x0404, b"\x1c\x02\x78\0\x05title")
    segments = b"\xff\xed" + struct.pack(">H", len(payload) + 2) + payload + b"\xff\xfe\0\x07hello"
    data = pillow(colours(), "JPEG")
    picture = decode(data[:2] + segments + data[2:], name="in")
    image = Image.open(io.BytesIO(encode(picture)[0]))
    assert image.info["comment"] == b"hello"
    assert image.info["photoshop"] == {0x0404: b"\x1c\x02\x78\0\x05title"}
    stripped = Image.open(io.BytesIO(encode(picture, strip_metadata=True)[0]))
    assert not {"comment", "photoshop"} & set(stripped.info)
    assert encode(picture, "png")[1] == ("png cannot hold texts and colour chunks of jpeg",)
