"""Picture files of every kind, written and read by other libraries than the code under test."""

from __future__ import annotations

import functools
import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from PIL import Image, ImageCms

WIDTH, HEIGHT = 61, 47
DPI = (300.0, 240.0)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'


@functools.cache
def colours() -> np.ndarray:
    """A smooth RGB picture, as lossy formats are made for: ``(HEIGHT, WIDTH, 3)`` uint8."""
    coarse = np.random.default_rng(0).integers(40, 216, (2, 3, 3), dtype=np.uint8)
    return cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)


def deep(full: int = 65535, channels: int = 3) -> np.ndarray:
    """Noise up to ``full`` in uint16, with the ends of the range in it."""
    noise = np.random.default_rng(1).integers(0, full + 1, (HEIGHT, WIDTH, channels), dtype=np.uint16)
    noise[0, 0], noise[0, 1] = 0, full
    return noise


def with_alpha(image: np.ndarray) -> np.ndarray:
    ramp = np.linspace(0, np.iinfo(image.dtype).max, WIDTH).astype(image.dtype)
    return np.dstack([image, np.broadcast_to(ramp, (HEIGHT, WIDTH))])


@functools.cache
def profile(space: str = "RGB") -> bytes:
    """A valid profile; other spaces than RGB are the sRGB one with another label."""
    data = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return data[:16] + space.encode().ljust(4) + data[20:]


def exif_block(orientation: int = 1, **more: Any) -> bytes:
    exif = Image.Exif()
    exif[0x010E] = "a picture"
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    inner = exif.get_ifd(0x8769)
    inner[0x9003] = "2020:01:02 03:04:05"
    inner[0x927C] = bytes(range(40))  # a MakerNote
    inner[0xA002], inner[0xA003] = WIDTH, HEIGHT
    exif.get_ifd(0x8825)[1] = "N"
    for tag, value in more.items():
        exif[int(tag[1:])] = value
    return exif.tobytes().removeprefix(b"Exif\0\0")


def pillow(image: np.ndarray | Image.Image, format: str, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image.squeeze())).save(buffer, format, **settings)
    return buffer.getvalue()


def tiff(image: np.ndarray, **settings: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image.squeeze(), **{"metadata": None, "software": False, **settings})
    return buffer.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def into_png(data: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    """Put chunks right behind a PNG's header chunk."""
    return data[:33] + b"".join(png_chunk(*chunk) for chunk in chunks) + data[33:]


def png_metadata(data: bytes, space: str) -> bytes:
    return into_png(
        data,
        (b"iCCP", b"p\0\0" + zlib.compress(profile(space))),
        (b"pHYs", struct.pack(">IIB", *(round(dpi / 0.0254) for dpi in DPI), 1)),
        (b"eXIf", exif_block()),
        (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    )


def raw_tag(code: int, content: bytes) -> tuple[int, int, int, bytes, bool]:
    return code, 1, len(content), content, True


@dataclass(frozen=True)
class Sample:
    """A file and what it holds.

    ``image`` is ``(H, W, C)``, alpha last, in the whole range of its dtype; ``metadata`` names what is in the file.
    """

    format: str
    kind: str
    data: bytes
    image: np.ndarray
    lossless: bool = True
    bits: int = 8
    metadata: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.format} {self.kind}"

    @property
    def channels(self) -> str:
        return {1: "grey", 2: "grey + alpha", 3: "RGB", 4: "RGB + alpha"}[self.image.shape[2]]


def _grey(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[..., :1])


def _jpegs() -> list[Sample]:
    everything = {"exif": b"Exif\0\0" + exif_block(), "xmp": XMP, "dpi": (300, 240)}
    colour, grey = colours(), _grey(colours())
    told = ("exif", "icc", "xmp", "dpi")
    return [
        Sample("jpeg", "RGB", pillow(colour, "JPEG", quality=95, subsampling=0), colour, False),
        Sample("jpeg", "grey", pillow(grey, "JPEG", quality=95), grey, False),
        Sample(
            "jpeg", "progressive", pillow(colour, "JPEG", quality=95, subsampling=0, progressive=True), colour, False
        ),
        Sample(
            "jpeg",
            "RGB, all metadata",
            pillow(colour, "JPEG", quality=95, subsampling=0, icc_profile=profile(), **everything),
            colour,
            False,
            metadata=told,
        ),
        Sample(
            "jpeg",
            "grey, all metadata",
            pillow(grey, "JPEG", quality=95, icc_profile=profile("GRAY"), **everything),
            grey,
            False,
            metadata=told,
        ),
    ]


def _pngs() -> list[Sample]:
    samples = []
    for image in (colours(), deep()):
        for part in (_grey(image), with_alpha(_grey(image)), image, with_alpha(image)):
            bits, space = part.dtype.itemsize * 8, "GRAY" if part.shape[2] < 3 else "RGB"
            data = bytes(imagecodecs.png_encode(part))
            samples.append(Sample("png", f"{bits} bits", data, part, bits=bits))
            told = ("exif", "icc", "xmp", "dpi")
            full = png_metadata(data, space)
            samples.append(Sample("png", f"{bits} bits, all metadata", full, part, bits=bits, metadata=told))
    reduced = Image.fromarray(colours()).quantize(16)
    clear = reduced.copy()
    clear.info["transparency"] = 3
    bilevel = Image.fromarray(colours()).convert("1")
    samples += [
        Sample("png", "palette", pillow(reduced, "PNG"), np.asarray(reduced.convert("RGB"))),
        Sample("png", "palette with tRNS", pillow(clear, "PNG"), np.asarray(clear.convert("RGBA"))),
        Sample("png", "1 bit", pillow(bilevel, "PNG"), np.asarray(bilevel.convert("L"))[..., None]),
    ]
    return samples


def _webps() -> list[Sample]:
    told = ("exif", "icc", "xmp")
    everything = {"exif": exif_block(), "icc_profile": profile(), "xmp": XMP}
    samples = []
    for image in (colours(), with_alpha(colours())):
        for lossless in (True, False):
            kind = "lossless" if lossless else "lossy"
            data = pillow(image, "WEBP", lossless=lossless, exact=True, quality=95)
            samples.append(Sample("webp", kind, data, image, lossless))
            data = pillow(image, "WEBP", lossless=lossless, exact=True, quality=95, **everything)
            samples.append(Sample("webp", f"{kind}, all metadata", data, image, lossless, metadata=told))
    return samples


def _tiffs() -> list[Sample]:
    samples = []
    floats = (colours() / np.float32(255)).astype(np.float32)
    kinds: list[tuple[str, np.ndarray, int]] = [("8 bits", colours(), 8), ("16 bits", deep(), 16)]
    for kind, image, bits in kinds:
        for part in (_grey(image), with_alpha(_grey(image)), image, with_alpha(image)):
            settings: dict[str, Any] = {"photometric": "rgb" if part.shape[2] > 2 else "minisblack"}
            settings |= {"planarconfig": "contig"} if part.shape[2] > 1 else {}
            settings |= {"extrasamples": ["unassalpha"]} if part.shape[2] in (2, 4) else {}
            samples.append(Sample("tiff", f"{kind}, LZW", tiff(part, compression="lzw", **settings), part, bits=bits))
            full = tiff(
                part,
                iccprofile=profile("GRAY" if part.shape[2] < 3 else "RGB"),
                resolution=DPI,
                resolutionunit=2,
                extratags=[raw_tag(700, XMP), (0x010F, 2, 6, "Maker", True)],
                **settings,
            )
            told = ("exif", "icc", "xmp", "dpi")
            samples.append(Sample("tiff", f"{kind}, all metadata", full, part, bits=bits, metadata=told))
    for bits in (16, 32, 64):
        for part in (_grey(floats), floats):
            data = tiff(part.astype(f"f{bits // 8}"), photometric="rgb" if part.shape[2] > 2 else "minisblack")
            stored = part.astype(f"f{bits // 8}").astype(np.float32)
            samples.append(Sample("tiff", f"{bits}-bit floats", data, stored, bits=bits))
    return samples


def _avifs() -> list[Sample]:
    samples = []
    everything = {"exif": exif_block(), "icc_profile": profile(), "xmp": XMP}
    told = ("exif", "icc", "xmp")
    data = pillow(colours(), "AVIF", quality=95, subsampling="4:4:4", **everything)
    samples.append(Sample("avif", "8 bits, all metadata", data, colours(), False, metadata=told))
    for bits in (8, 10, 12):
        full = (1 << bits) - 1
        for part in (_grey(colours()), colours(), with_alpha(colours())):
            # The values a decoder should give: these bits, spread over the whole range.
            stored = np.rint(part * (full / 255)).astype(np.uint8 if bits == 8 else np.uint16)
            wide = part if bits == 8 else np.rint(stored * (65535 / full)).astype(np.uint16)
            data = imagecodecs.avif_encode(stored.squeeze(), level=100, bitspersample=bits)
            samples.append(Sample("avif", f"{bits} bits", bytes(data), wide, False, bits))
    return samples


def _bmps() -> list[Sample]:
    colour, clear = colours(), with_alpha(colours())
    bgra = np.ascontiguousarray(clear[..., [2, 1, 0, 3]])
    return [
        Sample("bmp", "RGB", pillow(colour, "BMP", dpi=(300, 240)), colour, metadata=("dpi",)),
        Sample("bmp", "grey", pillow(_grey(colour), "BMP"), _grey(colour)),
        Sample("bmp", "RGB + alpha", cv2.imencode(".bmp", bgra)[1].tobytes(), clear),
    ]


def ppm(image: np.ndarray, maxval: int) -> bytes:
    head = f"P{6 if image.shape[2] == 3 else 5} {WIDTH} {HEIGHT}\n# a comment\n{maxval}\n".encode()
    return head + image.astype(">u2" if maxval > 255 else "u1").tobytes()


def _ppms() -> list[Sample]:
    samples = []
    for maxval, bits in ((255, 8), (100, 8), (1023, 10), (4095, 12), (65535, 16)):
        for channels in (1, 3):
            stored = deep(maxval, channels)
            full, dtype = (255, np.uint8) if maxval < 256 else (65535, np.uint16)
            wide = ((2 * stored.astype(np.int64) * full + maxval) // (2 * maxval)).astype(dtype)
            samples.append(Sample("ppm", f"white = {maxval}", ppm(stored, maxval), wide, bits=bits))
    return samples


def _gifs() -> list[Sample]:
    reduced = Image.fromarray(colours()).quantize(16)
    return [Sample("gif", "still", pillow(reduced, "GIF"), np.asarray(reduced.convert("RGB")))]


@functools.cache
def samples() -> tuple[Sample, ...]:
    """Every format x depth x channels x metadata case."""
    makers: tuple[Callable[[], list[Sample]], ...] = (_jpegs, _pngs, _webps, _tiffs, _avifs, _bmps, _ppms, _gifs)
    return tuple(sample for maker in makers for sample in maker())


@dataclass(frozen=True)
class Seen:
    """What another library finds in a file."""

    image: np.ndarray
    exif: bytes
    icc: bytes
    xmp: bytes
    dpi: tuple[float, float] | None


def look(data: bytes) -> Seen:
    """Read a file without the code under test; samples as stored."""
    if data[:2] in (b"II", b"MM"):
        return _look_at_tiff(data)
    image = Image.open(io.BytesIO(data))
    info, kind = dict(image.info), image.format
    match kind:
        case "PNG":
            pixels = imagecodecs.png_decode(data)
        case "AVIF":
            pixels = imagecodecs.avif_decode(data)
        case "PPM":
            pixels = _read_ppm(data)
        case _:
            pixels = np.asarray(image)
    image.load()
    info |= image.info
    exif = info.get("exif", b"").removeprefix(b"Exif\0\0")
    xmp = info.get("xmp") or info.get("XML:com.adobe.xmp") or b""
    xmp = xmp.encode() if isinstance(xmp, str) else xmp
    dpi = info.get("dpi")
    if kind == "JPEG" and not info.get("jfif_unit"):
        dpi = None
    return Seen(pixels if pixels.ndim == 3 else pixels[..., None], exif, info.get("icc_profile", b""), xmp, dpi)


def _look_at_tiff(data: bytes) -> Seen:
    with tifffile.TiffFile(io.BytesIO(data)) as tif:
        page: Any = tif.pages.first
        pixels = page.asarray()
        tags = page.tags
        unit = int(tags.valueof(296, 1))
        dpi = tuple(a / b for a, b in (tags.valueof(282), tags.valueof(283))) if unit == 2 else None
        exif = repr(sorted((code, tags.valueof(code)) for code in (0x010E, 0x010F, 34665, 34853) if code in tags))
        return Seen(
            pixels if pixels.ndim == 3 else pixels[..., None],
            exif.encode() if exif != "[]" else b"",
            bytes(tags.valueof(34675, b"")),
            bytes(tags.valueof(700, b"")),
            dpi,  # type: ignore[arg-type]
        )


def _read_ppm(data: bytes) -> np.ndarray:
    """Read a binary PGM or PPM without comments, but the one that `ppm` writes."""
    data = data.replace(b"# a comment\n", b"", 1)
    found = re.match(rb"P([56])\s(\d+)\s(\d+)\s(\d+)\s", data)
    assert found
    kind, width, height, maxval = map(int, found.groups())
    samples = np.frombuffer(data[found.end() :], ">u2" if maxval > 255 else "u1")
    return samples.reshape(height, width, 3 if kind == 6 else 1)
