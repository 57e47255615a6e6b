"""Pictures in and out: what a file is, its pixels and metadata, and the same again as bytes."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from restorekit.images.decoding import decode, read
    from restorekit.images.encoding import encode
    from restorekit.images.formats import FORMATS, PICTURE_SUFFIXES, Format, format_of_extension, formats_with
    from restorekit.images.picture import Coding, Metadata, Picture
    from restorekit.images.probing import DEFAULT_MAX_PIXELS, probe

__all__ = [
    "DEFAULT_MAX_PIXELS",
    "FORMATS",
    "PICTURE_SUFFIXES",
    "Coding",
    "Format",
    "Metadata",
    "Picture",
    "decode",
    "encode",
    "format_of_extension",
    "formats_with",
    "probe",
    "read",
]

# Loaded on first use: whoever only needs the names of the formats does not pay for OpenCV and Pillow.
_HOMES = {
    "decoding": ("decode", "read"),
    "encoding": ("encode",),
    "formats": ("FORMATS", "PICTURE_SUFFIXES", "Format", "format_of_extension", "formats_with"),
    "picture": ("Coding", "Metadata", "Picture"),
    "probing": ("DEFAULT_MAX_PIXELS", "probe"),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    globals()[name] = value
    return value
