"""Turns CMYK into RGB: through the embedded colour profile where there is one, else the plain way."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image, ImageCms
from PIL.JpegImagePlugin import JpegImageFile

from restorekit.images.header import Unreadable
from restorekit.images.metadata import icc_space

__all__ = ["CMYK_NOTE", "CMYK_PLAIN_NOTE", "cmyk_note", "rgb_from_cmyk", "rgb_from_cmyk_jpeg"]

CMYK_NOTE = "CMYK converted to sRGB through its colour profile, the profile dropped"
CMYK_PLAIN_NOTE = "CMYK converted to RGB without a colour profile"


def cmyk_note(icc: bytes) -> str:
    """Say how a CMYK picture with this profile is converted."""
    return CMYK_NOTE if icc_space(icc) == "CMYK" else CMYK_PLAIN_NOTE


def rgb_from_cmyk_jpeg(data: bytes, icc: bytes) -> np.ndarray:
    """Decode a CMYK or YCCK JPEG, Adobe's inverted values included, to ``(H, W, 3)`` uint8."""
    try:
        # The plugin's class itself, as `Image.open` applies Pillow's own limit of pixels.
        image = JpegImageFile(BytesIO(data))
        image.load()
    except Exception as error:
        raise Unreadable("is a damaged JPEG") from error
    return _converted(image, icc)


def rgb_from_cmyk(inks: np.ndarray, icc: bytes) -> np.ndarray:
    """Convert ``(H, W, 4)`` uint8, 255 = full ink, to ``(H, W, 3)`` uint8."""
    return _converted(Image.fromarray(np.ascontiguousarray(inks), "CMYK"), icc)


def _converted(image: Image.Image, icc: bytes) -> np.ndarray:
    if icc_space(icc) == "CMYK":
        try:
            converted = ImageCms.profileToProfile(
                image,
                ImageCms.ImageCmsProfile(BytesIO(icc)),
                ImageCms.createProfile("sRGB"),
                renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
                outputMode="RGB",
                flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
            )
        except (ImageCms.PyCMSError, OSError) as error:
            raise Unreadable("has a CMYK colour profile that cannot be used", "convert it to RGB first") from error
        assert converted is not None
        return np.asarray(converted)
    return np.asarray(image.convert("RGB"))
