"""The picture formats by name: suffixes, what each can hold, how their files begin. Free of cv2 and Pillow."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "FORMATS",
    "PICTURE_SUFFIXES",
    "REFUSED",
    "Format",
    "RefusedFormat",
    "format_of_extension",
    "formats_with",
    "refused_of_extension",
    "sniff",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """What a picture format can hold, as restorekit reads and writes it.

    Parameters
    ----------
    name : str
        As in ``--format``.
    suffixes : tuple of str
        Lower case, the one to write first.
    bits : tuple of int
        Integer depths that can be written.
    floating : tuple of int
        Floating-point depths that can be written.
    alpha, grey, grey_alpha : bool
        Whether it holds an alpha channel, one-channel pictures, and both together.
    lossless, lossy : bool
        Which kinds of compression are written.
    exif, icc, xmp, dpi : bool
        Which metadata it carries.
    max_side : int
        Longest side in pixels.
    written : bool
        Whether restorekit writes it.
    """

    name: str
    suffixes: tuple[str, ...]
    bits: tuple[int, ...] = (8,)
    floating: tuple[int, ...] = ()
    alpha: bool = False
    grey: bool = True
    grey_alpha: bool = False
    lossless: bool = True
    lossy: bool = False
    exif: bool = False
    icc: bool = False
    xmp: bool = False
    dpi: bool = False
    max_side: int = (1 << 31) - 1
    written: bool = True


@dataclass(frozen=True, slots=True)
class RefusedFormat:
    """A picture format that is recognised, but not read; ``way_out`` says what to do instead."""

    title: str
    suffixes: tuple[str, ...]
    way_out: str


_ALL = (
    Format(
        name="jpeg",
        suffixes=(".jpg", ".jpeg", ".jpe", ".jfif"),
        lossless=False,
        lossy=True,
        exif=True,
        icc=True,
        xmp=True,
        dpi=True,
        max_side=65500,  # libjpeg's JPEG_MAX_DIMENSION
    ),
    Format(
        name="png",
        suffixes=(".png", ".apng"),
        bits=(8, 16),
        alpha=True,
        grey_alpha=True,
        exif=True,
        icc=True,
        xmp=True,
        dpi=True,
    ),
    Format(
        name="webp",
        suffixes=(".webp",),
        alpha=True,
        grey=False,
        lossy=True,
        exif=True,
        icc=True,
        xmp=True,
        max_side=16383,
    ),
    Format(
        name="tiff",
        suffixes=(".tif", ".tiff"),
        bits=(8, 16),
        floating=(16, 32, 64),
        alpha=True,
        grey_alpha=True,
        exif=True,
        icc=True,
        xmp=True,
        dpi=True,
    ),
    Format(
        name="avif",
        suffixes=(".avif",),
        bits=(8, 10, 12),
        alpha=True,
        lossless=False,
        lossy=True,
        exif=True,
        icc=True,
        xmp=True,
        max_side=65536,
    ),
    Format(name="bmp", suffixes=(".bmp", ".dib"), alpha=True, dpi=True),
    Format(name="ppm", suffixes=(".ppm", ".pgm", ".pnm", ".pbm"), bits=(8, 10, 12, 16)),
    Format(name="gif", suffixes=(".gif",), alpha=True, written=False),
)

#: Every format that is read, by name.
FORMATS: dict[str, Format] = {format_.name: format_ for format_ in _ALL}

_CONVERT = "convert it to PNG, TIFF or JPEG first"

#: Every format that is refused by name, by a short key.
REFUSED: dict[str, RefusedFormat] = {
    "heic": RefusedFormat(
        "HEIC", (".heic", ".heif", ".hif"), "convert it first, for example with `heif-convert IN.heic OUT.png`"
    ),
    "raw": RefusedFormat(
        "camera RAW",
        (
            *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf", ".pef"),
            *(".srw", ".3fr", ".fff", ".iiq", ".dcr", ".kdc", ".mrw", ".x3f", ".erf", ".mef", ".mos", ".rwl", ".gpr"),
        ),
        "develop it first (darktable, RawTherapee, Lightroom) into a 16-bit TIFF",
    ),
    "jxl": RefusedFormat("JPEG XL", (".jxl",), "convert it first, for example with `djxl IN.jxl OUT.png`"),
    "jp2": RefusedFormat("JPEG 2000", (".jp2", ".j2k", ".jpf", ".jpx"), _CONVERT),
    "jxr": RefusedFormat("JPEG XR", (".jxr", ".wdp"), _CONVERT),
    "psd": RefusedFormat("Photoshop", (".psd", ".psb"), "export it as a flat PNG or TIFF first"),
    "exr": RefusedFormat("OpenEXR", (".exr",), "convert it to a floating-point TIFF first"),
    "hdr": RefusedFormat("Radiance HDR", (".hdr",), "convert it to a floating-point TIFF first"),
    "pfm": RefusedFormat("PFM", (".pfm",), "convert it to a floating-point TIFF first"),
    "pam": RefusedFormat("PAM", (".pam",), _CONVERT),
    "pdf": RefusedFormat("PDF", (), "extract its pictures first, for example with `pdfimages -all`"),
    "svg": RefusedFormat("SVG", (), "render it as a PNG first"),
    "tga": RefusedFormat("Targa", (".tga",), _CONVERT),
    "ico": RefusedFormat("icon", (), _CONVERT),
}

#: Every suffix of a picture, those that are refused by name included.
PICTURE_SUFFIXES: frozenset[str] = frozenset(
    suffix for known in (*FORMATS.values(), *REFUSED.values()) for suffix in known.suffixes
)

_BY_SUFFIX = {suffix: format_.name for format_ in _ALL for suffix in format_.suffixes}
_REFUSED_BY_SUFFIX = {suffix: refused for refused in REFUSED.values() for suffix in refused.suffixes}

_PREFIXES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"GIF87a", "gif"),
    (b"GIF89a", "gif"),
    (b"BM", "bmp"),
    (b"IIRO", "raw"),  # Olympus
    (b"IIRS", "raw"),
    (b"MMOR", "raw"),
    (b"IIU\0", "raw"),  # Panasonic
    (b"FUJIFILMCCD-RAW", "raw"),
    (b"\0MRM", "raw"),  # Minolta
    (b"FOVb", "raw"),  # Sigma
    (b"II\xbc\x01", "jxr"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),  # BigTIFF
    (b"MM\0+", "tiff"),
    (b"\xff\x0a", "jxl"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (b"\xff\x4f\xff\x51", "jp2"),
    (b"8BPS", "psd"),
    (b"v/1\x01", "exr"),
    (b"#?RADIANCE", "hdr"),
    (b"#?RGBE", "hdr"),
    (b"PF\n", "pfm"),
    (b"Pf\n", "pfm"),
    (b"P7\n", "pam"),
    (b"%PDF-", "pdf"),
    (b"<svg", "svg"),
    (b"\0\0\x01\0", "ico"),
    (b"icns", "ico"),
)
_HEIC_BRANDS = {b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"hevm", b"hevs", b"mif1", b"msf1"}


def format_of_extension(suffix: str) -> str | None:
    """Return the name of the format that a suffix stands for, ``None`` where it is none that is read.

    >>> format_of_extension(".JPG"), format_of_extension("tif"), format_of_extension(".heic")
    ('jpeg', 'tiff', None)
    """
    return _BY_SUFFIX.get(_dotted(suffix))


def refused_of_extension(suffix: str) -> RefusedFormat | None:
    """Return the refused format that a suffix stands for."""
    return _REFUSED_BY_SUFFIX.get(_dotted(suffix))


def formats_with(**abilities: bool) -> tuple[str, ...]:
    """Return the names of the written formats that have all of the given abilities.

    >>> formats_with(alpha=True, grey_alpha=True)
    ('png', 'tiff')
    """
    return tuple(
        name
        for name, format_ in FORMATS.items()
        if format_.written and all(getattr(format_, ability) == wanted for ability, wanted in abilities.items())
    )


def sniff(head: bytes) -> str | None:
    """Tell a format from a file's first bytes.

    Parameters
    ----------
    head : bytes
        The first 64 bytes, or all where there are fewer.

    Returns
    -------
    str or None
        A key of `FORMATS` or of `REFUSED`; ``None`` for anything else.
    """
    if head[4:8] == b"ftyp":
        return _sniff_brands(head)
    if head[:4] in (b"II*\0", b"MM\0*") and head[8:10] == b"CR":
        return "raw"  # Canon's CR2 is a TIFF that says so right after its header
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "webp"
    if head[:1] == b"P" and head[1:2] in b"123456" and head[2:3] in (b" ", b"\t", b"\n", b"\r", b"#"):
        return "ppm"
    return next((name for prefix, name in _PREFIXES if head.startswith(prefix)), None)


def _sniff_brands(head: bytes) -> str | None:
    size = min(int.from_bytes(head[:4], "big"), len(head))
    # Byte 12 is the minor version, not a brand.
    brands = {head[8:12], *(head[at : at + 4] for at in range(16, size - 3, 4))}
    if brands & {b"avif", b"avis"}:
        return "avif"
    if b"crx " in brands:
        return "raw"
    return "heic" if brands & _HEIC_BRANDS else None


def _dotted(suffix: str) -> str:
    return "." + suffix.lower().lstrip(".")
