"""What goes in comes out: exactly where the format is lossless, nearly where it is lossy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from restorekit.contract import PictureInfo
from restorekit.errors import PictureError, UsageError
from restorekit.images import FORMATS, Coding, Picture, decode, encode, formats_with, probe
from tests.images.samples import Sample, colours, look, samples, with_alpha


def joined(picture: Picture) -> np.ndarray:
    return picture.pixels if picture.alpha is None else np.dstack([picture.pixels, picture.alpha])


def psnr(image: np.ndarray, reference: np.ndarray) -> float:
    full = np.iinfo(reference.dtype).max if reference.dtype.kind == "u" else 1.0
    error = np.mean((image.astype(float) - reference.astype(float)) ** 2)
    return np.inf if error == 0 else 10 * np.log10(full**2 / error)


def picture_of(image: np.ndarray, format: str = "png", **info: object) -> Picture:
    alpha = image.shape[2] in (2, 4)
    pixels = image[..., :-1] if alpha else image
    height, width, channels = pixels.shape
    bits = image.dtype.itemsize * 8
    header = {"channels": channels, "alpha": alpha, "bits": bits, "floating": image.dtype.kind == "f", **info}
    return Picture(
        pixels=np.ascontiguousarray(pixels),
        alpha=np.ascontiguousarray(image[..., -1]) if alpha else None,
        info=PictureInfo(format=format, width=width, height=height, **header),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("sample", samples(), ids=str)
def test_decoding_gives_the_pixels_that_were_put_in(sample: Sample):
    picture = decode(sample.data, name="in")
    image = joined(picture)
    assert image.shape == sample.image.shape
    assert image.dtype == sample.image.dtype
    if sample.lossless or sample.format == "avif":
        assert psnr(image, sample.image) > 40
    if sample.lossless:
        np.testing.assert_array_equal(image, sample.image)
    assert (picture.info.bits, picture.info.format) == (sample.bits, sample.format)


@pytest.mark.parametrize("sample", samples(), ids=str)
def test_an_untouched_picture_survives_its_own_format(sample: Sample):
    before = decode(sample.data, name="in")
    data, notes = encode(before)
    after = decode(data, name="out")
    assert notes == ()
    if sample.lossless:
        np.testing.assert_array_equal(joined(after), joined(before))
    else:
        assert psnr(joined(after), joined(before)) > 40
    assert joined(after).dtype == joined(before).dtype
    assert after.metadata == before.metadata
    if sample.format != "gif":
        assert (after.info.bits, after.info.format, after.info.channels) == (
            sample.bits,
            sample.format,
            before.info.channels,
        )


@pytest.mark.parametrize("sample", [s for s in samples() if s.metadata], ids=str)
def test_metadata_that_others_find_in_the_input_they_find_in_the_output(sample: Sample):
    data, _ = encode(decode(sample.data, name="in"))
    before, after = look(sample.data), look(data)
    for name in sample.metadata:
        found = getattr(before, name)
        assert found, name
        if name == "dpi":
            assert after.dpi == pytest.approx(found, abs=1e-3)
        else:
            assert getattr(after, name) == found, name


@pytest.mark.parametrize("sample", [s for s in samples() if s.lossless and s.format not in ("gif", "png")], ids=str)
def test_other_libraries_read_the_written_samples(sample: Sample):
    data, _ = encode(decode(sample.data, name="in"))
    image = look(data).image
    if sample.format == "ppm":
        np.testing.assert_array_equal(image, look(sample.data).image)
    else:
        np.testing.assert_array_equal(image.astype(sample.image.dtype), sample.image)


@pytest.mark.parametrize("sample", [s for s in samples() if s.format == "png" and "bits" in s.kind], ids=str)
def test_a_png_keeps_its_kind_of_pixels_for_other_libraries(sample: Sample):
    data, _ = encode(decode(sample.data, name="in"))
    np.testing.assert_array_equal(look(data).image, sample.image)


@pytest.mark.parametrize("name", formats_with())
def test_the_same_picture_gives_the_same_bytes(name: str):
    picture = picture_of(colours())
    assert encode(picture, name) == encode(picture, name)


@pytest.mark.parametrize("name", formats_with())
def test_every_format_can_be_written_from_every_depth(name: str):
    for image in (colours(), colours().astype(np.uint16) * 257, (colours() / 255).astype(np.float32)):
        data, notes = encode(picture_of(image), name)
        after = decode(data, name="out")
        known = FORMATS[name]
        reduced = (image.dtype.itemsize * 8 if image.dtype.kind == "u" else 99) > max(known.bits)
        kept_floats = image.dtype.kind == "f" and known.floating
        assert bool(notes) == (reduced and not kept_floats), notes
        full = 1 if after.info.floating else 65535 if after.pixels.dtype == np.uint16 else 255
        got = joined(after) / full
        assert psnr(np.rint(got * 255).astype(np.uint8), colours()) > 40


def test_sixteen_bits_become_eight_by_rounding_and_it_is_said():
    image = np.array([[[0], [128], [129], [385], [386], [65535]]], np.uint16)
    data, notes = encode(picture_of(image), "bmp")
    assert decode(data, name="out").pixels.ravel().tolist() == [0, 0, 1, 1, 2, 255]
    assert notes == ("16 bits reduced to 8",)


def test_floats_above_white_are_clipped_and_it_is_said():
    data, notes = encode(picture_of(np.array([[[0.5], [2.0]]], np.float32)), "png")
    assert decode(data, name="out").pixels.ravel().tolist() == [32768, 65535]
    assert notes == ("32-bit floats reduced to 16 bits, values above 1 clipped",)


@pytest.mark.parametrize("name", ["jpeg", "ppm"])
def test_alpha_is_never_dropped_silently(name: str):
    with pytest.raises(PictureError, match=r"alpha channel, which .* cannot hold; write png, webp, tiff, avif"):
        encode(picture_of(with_alpha(colours())), name)


@pytest.mark.parametrize("name", ["webp", "avif", "tiff", "png"])
def test_grey_with_alpha_keeps_its_alpha_in_every_format_that_has_one(name: str):
    image = with_alpha(colours()[..., :1])
    data, _ = encode(picture_of(image), name)
    after = decode(data, name="out")
    assert after.alpha is not None
    assert psnr(after.alpha, image[..., -1]) > 40
    assert psnr(after.pixels[..., :1], image[..., :1]) > 38


def test_a_picture_too_large_for_its_format_is_refused_with_a_way_out():
    wide = np.zeros((1, 16384, 3), np.uint8)
    with pytest.raises(PictureError, match="16384x1; webp holds at most 16383 a side; write png or tiff"):
        encode(picture_of(wide), "webp")


@pytest.mark.parametrize(("format", "quality"), [("gif", None), ("xyz", None), ("jpeg", 0), ("jpeg", 101)])
def test_wrong_requests_are_usage_errors(format: str, quality: int | None):
    with pytest.raises(UsageError):
        encode(picture_of(colours()), format, quality=quality)


def test_a_format_may_be_named_by_its_suffix():
    assert encode(picture_of(colours()), ".jpg") == encode(picture_of(colours()), "jpeg")


shapes = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 4))
integers = st.sampled_from([np.uint8, np.uint16]).flatmap(lambda dtype: arrays(dtype, shapes))
floats = arrays(np.float32, shapes, elements=st.floats(0, 1, width=32))


@settings(max_examples=60, deadline=None)
@given(integers, st.sampled_from(["png", "tiff"]))
def test_any_integers_round_trip_exactly(image: np.ndarray, name: str):
    data, _ = encode(picture_of(image), name)
    np.testing.assert_array_equal(joined(decode(data, name="out")), image)
    assert probe(data).width == image.shape[1]


@settings(max_examples=40, deadline=None)
@given(floats, st.sampled_from([16, 32, 64]))
def test_any_floats_round_trip_exactly_at_their_depth(image: np.ndarray, bits: int):
    image = image.astype(f"f{bits // 8}").astype(np.float32)
    data, _ = encode(picture_of(image, "tiff", bits=bits))
    after = decode(data, name="out")
    assert after.info.bits == bits
    np.testing.assert_array_equal(joined(after), image)


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([3, 4]))))
def test_lossless_webp_keeps_colours_under_full_transparency(image: np.ndarray):
    data, _ = encode(replace(picture_of(image, "webp"), coding=Coding(lossless=True)))
    after = decode(data, name="out")
    np.testing.assert_array_equal(after.pixels, image[..., :3])
    if image.shape[2] == 4:
        found = after.alpha if after.alpha is not None else np.full(image.shape[:2], 255)
        np.testing.assert_array_equal(found, image[..., 3])
