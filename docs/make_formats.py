"""Writes formats.md from what real round trips do: ``python docs/make_formats.py``."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from restorekit.errors import PictureError  # noqa: E402
from restorekit.images import FORMATS, Metadata, Picture, decode, encode, formats_with  # noqa: E402
from restorekit.images.formats import REFUSED  # noqa: E402
from tests.images.samples import XMP, Sample, deep, exif_block, look, pillow, profile, samples, with_alpha  # noqa: E402

PAGE = ROOT / "docs" / "formats.md"

INTRODUCTION = """\
# Formats

What goes in comes out: same format, depth, channels, colour profile, EXIF, XMP and resolution, in displayed
orientation. What a format cannot hold is written into the manifest as a note, or refused where it would be a loss
(alpha into JPEG). Damaged and cut-off files, animations and multi-page files are refused with one line. This page is
written by `python docs/make_formats.py`, which makes each file with another library, decodes it, encodes it again and
compares what other libraries find in both.
"""

HOW = """\
A lossy file is encoded once more, so its pixels are nearly equal: 40 dB PSNR or more here. By default a JPEG keeps the
quality of its input, estimated from its quantisation tables, but has at least 90; a lossless WebP stays lossless, and
other lossy files have quality 95. From quality 90 on a JPEG keeps the full resolution of colours (4:4:4). TIFF keeps
its compression where it is lossless, else deflate. Palettes and CMYK become RGB, one to four bits become eight, a still
GIF becomes a PNG. EXIF keeps all its tags and MakerNotes; the orientation becomes 1, the stated size follows the
picture, and the thumbnail is dropped.
"""


def page() -> str:
    """Return the page."""
    parts = [
        INTRODUCTION,
        "## What each format holds\n",
        _table(("format", "suffixes", "bits", "floats", "alpha", "grey", "metadata", "written"), _abilities()),
        "## What comes out again\n",
        HOW,
        _table(
            ("format", "input", "channels", "comes out as", "pixels", "EXIF", "profile", "XMP", "resolution"), _trips()
        ),
        "## Changing the format\n",
        "A 16-bit RGB picture with EXIF, profile, XMP and resolution, first without and then with alpha:\n",
        _table(("to", "comes out as", "notes"), _conversions()),
        "## Refused by name\n",
        _table(("format", "suffixes", "way out"), _refused()),
    ]
    return "\n".join(parts)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _abilities() -> Iterable[tuple[str, ...]]:
    for known in FORMATS.values():
        kept = [name for name in ("exif", "icc", "xmp", "dpi") if getattr(known, name)]
        yield (
            known.name,
            " ".join(known.suffixes),
            ", ".join(map(str, known.bits)),
            ", ".join(map(str, known.floating)) or "-",
            _yes(known.alpha),
            _yes(known.grey),
            ", ".join(kept) or "-",
            "as png"
            if not known.written
            else "lossless and lossy"
            if known.lossy and known.lossless
            else _one(known.lossy),
        )


def _trips() -> Iterable[tuple[str, ...]]:
    for sample in samples():
        before = decode(sample.data, name=str(sample))
        data, notes = encode(before)
        assert not notes, (sample, notes)
        after = decode(data, name=f"{sample} again")
        seen, found = look(sample.data), look(data)
        metadata = (
            _kept(name in sample.metadata, getattr(seen, name), getattr(found, name))
            for name in ("exif", "icc", "xmp", "dpi")
        )
        yield (
            sample.format,
            sample.kind,
            sample.channels,
            _described(after),
            _pixels(sample, before, after),
            *metadata,
        )


def _conversions() -> Iterable[tuple[str, ...]]:
    metadata = Metadata(exif=exif_block(), icc=profile(), xmp=XMP, dpi=(300, 300))
    for clear in (False, True):
        image = deep()
        png = decode(pillow((image >> 8).astype(np.uint8), "PNG"), name="in")
        info = replace(png.info, bits=16, alpha=clear)
        alpha = with_alpha(image)[..., 3] if clear else None
        picture = replace(png, pixels=image, alpha=alpha, info=info, metadata=metadata)
        for name in formats_with():
            title = f"{name}, with alpha" if clear else name
            try:
                data, notes = encode(picture, name)
            except PictureError as error:
                yield title, "refused", error.reason
            else:
                yield title, _described(decode(data, name=name)), "; ".join(notes) or "-"


def _refused() -> Iterable[tuple[str, ...]]:
    for refused in REFUSED.values():
        yield refused.title, " ".join(refused.suffixes) or "-", refused.way_out


def _described(picture: Picture) -> str:
    info = picture.info
    kind = "grey" if info.channels == 1 else "RGB"
    alpha = " + alpha" if info.alpha else ""
    floats = "-bit floats" if info.floating else " bits"
    return f"{info.format}, {kind}{alpha}, {info.bits}{floats}"


def _pixels(sample: Sample, before: Picture, after: Picture) -> str:
    pairs = [(before.pixels, after.pixels)]
    if before.alpha is not None and after.alpha is not None:
        pairs.append((before.alpha, after.alpha))
    if all(np.array_equal(first, second) for first, second in pairs):
        return "equal" if sample.lossless else "nearly equal"
    white = 255 if before.pixels.dtype == np.uint8 else 65535
    errors = [np.mean((first.astype(float) - second) ** 2) for first, second in pairs]
    assert all(10 * np.log10(white**2 / error) > 40 for error in errors if error), sample
    return "nearly equal"


def _kept(stated: bool, before: object, after: object) -> str:
    if not stated:
        return ""
    same = np.allclose(before, after, atol=1e-3) if isinstance(before, tuple) else before == after  # pyright: ignore
    return "equal" if same else "CHANGED"


def _yes(value: bool) -> str:
    return "yes" if value else "-"


def _one(lossy: bool) -> str:
    return "lossy" if lossy else "lossless"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
