"""Makes the sample pictures in data/samples from photos that scikit-image brings (CC0 or public domain).

Run ``python data/make_samples.py [FOLDER]``. The same versions of the libraries give the same bytes.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms
from skimage import data
from torch import Tensor

from restorekit.degradations import Degraded, parse
from restorekit.images.resize import resize

__all__ = ["SAMPLES", "make"]

Levels = NDArray[np.uint8]


def make(folder: Path) -> list[Path]:
    """Write all samples below ``folder`` and return their paths."""
    written = []
    for name, encoded in SAMPLES.items():
        for suffix, content in encoded().items():
            path = folder / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written.append(path)
    return written


def photo(name: str, width: int, height: int) -> Tensor:
    """Return ``(1, 3, height, width)`` of a photo of `skimage.data`, reduced and cut to these proportions."""
    pixels = np.atleast_3d(getattr(data, name)())
    full = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].double() / 255
    scale = max(width / full.shape[-1], height / full.shape[-2])
    reduced = resize(full, scale=scale).clamp(0, 1).float().expand(-1, 3, -1, -1)
    top, left = (reduced.shape[-2] - height) // 2, (reduced.shape[-1] - width) // 2
    return reduced[..., top : top + height, left : left + width].contiguous()


def damaged(image: Tensor, *steps: str, seed: int) -> Degraded:
    """Damage one picture."""
    return parse(steps)(image, torch.tensor([seed]))


def levels(image: Tensor) -> Levels:
    """Return ``(H, W, C)`` uint8 of a ``(1, C, H, W)`` picture."""
    return image[0].clamp(0, 1).mul(255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()


def encode(pixels: Levels, format: str, **options: object) -> bytes:
    """Encode ``(H, W)`` grey, ``(H, W, 3)`` RGB or ``(H, W, 4)`` RGBA."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def png(pixels: Levels) -> bytes:
    """Encode losslessly, as small as PNG allows."""
    return encode(pixels, "PNG", optimize=True)


def with_mask(result: Degraded) -> dict[str, bytes]:
    """Encode a picture and, beside it, the mask of its damage: 255 is damaged."""
    assert result.masks is not None
    return {".png": png(levels(result.images)), ".mask.png": png(levels(result.masks)[..., 0])}


def clean() -> dict[str, bytes]:
    """Nothing is wrong with this one."""
    return {".jpg": encode(levels(photo("coffee", 384, 256)), "JPEG", quality=95, subsampling=0)}


def small() -> dict[str, bytes]:
    """Too few pixels."""
    return {".png": png(levels(damaged(photo("astronaut", 512, 512), "downscale:4", seed=1).images))}


def noisy() -> dict[str, bytes]:
    """Gaussian noise in colour."""
    return {".png": png(levels(damaged(photo("coffee", 256, 176), "noise:20", seed=2).images))}


def compressed() -> dict[str, bytes]:
    """Blocks of a JPEG of low quality."""
    return {".jpg": encode(levels(photo("chelsea", 384, 256)), "JPEG", quality=12)}


def scratched() -> dict[str, bytes]:
    """A faded print that is scratched and dusty."""
    old = damaged(photo("astronaut", 256, 256), "fade:0.4,cast=warm", seed=4).images
    return with_mask(damaged(old, "scratches:9,tone=light", "dust:40,hairs=3", seed=4))


def torn() -> dict[str, bytes]:
    """Parts are missing."""
    return with_mask(damaged(photo("chelsea", 256, 176), "holes:irregular,coverage=0.12-0.16", seed=12))


def stamped() -> dict[str, bytes]:
    """Text lies over the picture."""
    return with_mask(damaged(photo("astronaut", 256, 256), "text:4,size=0.05-0.09", seed=16))


def noisy_grey() -> dict[str, bytes]:
    """Grey, 8 bits, with photon noise."""
    return {".png": png(levels(damaged(photo("camera", 256, 256), "poisson:40,gray=true", seed=7).images)[..., 0])}


def noisy_16_bit() -> dict[str, bytes]:
    """Sixteen bits a channel, dark, with noise."""
    image = damaged(photo("coffee", 240, 160) * 0.4, "noise:8", seed=8).images
    pixels = image[0].clamp(0, 1).mul(65535).round().permute(1, 2, 0).contiguous().numpy().astype(np.uint16)
    return {".png": bytes(imagecodecs.png_encode(pixels, level=9))}


def soft_alpha() -> dict[str, bytes]:
    """A cut-out with a soft edge, and noise."""
    image = levels(damaged(photo("chelsea", 240, 176), "noise:15", seed=9).images)
    y, x = np.mgrid[-1:1:176j, -1:1:240j]
    alpha = np.clip((1 - np.hypot(x, y)) / 0.25, 0, 1)
    # Programs that cut out leave nothing where nothing is seen.
    image[alpha == 0] = 0
    return {".png": png(np.dstack([image, np.rint(alpha * 255).astype(np.uint8)]))}


def rotated() -> dict[str, bytes]:
    """Stored lying on its side, as cameras do, with EXIF, a colour profile and a little noise."""
    upright = levels(damaged(photo("astronaut", 256, 352), "noise:10", seed=10).images)
    exif = Image.Exif()
    exif.update({0x010F: "Example", 0x0110: "Pocket 35", 0x0112: 6, 0x0132: "2003:07:19 15:42:10"})
    exif.update({0x010E: "A portrait, held upright", 0x8298: "Public domain (NASA)"})
    exif.get_ifd(0x8769).update({0x829A: (1, 60), 0x829D: (28, 10), 0x8827: 400, 0x9003: "2003:07:19 15:42:10"})
    # Orientation 6: shown after a quarter turn clockwise, so it is stored after one anticlockwise.
    stored = np.ascontiguousarray(np.rot90(upright))
    options = {"quality": 88, "exif": exif.tobytes(), "icc_profile": srgb_profile(), "dpi": (300, 300)}
    return {".jpg": encode(stored, "JPEG", **options)}


def holiday() -> dict[str, bytes]:
    """In a folder of its own, under a name that is not ASCII."""
    image = damaged(photo("rocket", 320, 208), "noise:14", seed=11).images
    return {".webp": encode(levels(image), "WEBP", quality=88, method=6)}


def srgb_profile() -> bytes:
    """Return an sRGB profile whose date of creation (bytes 24 to 35) is always the same."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = np.array([2000, 1, 1, 0, 0, 0], dtype=">u2").tobytes()
    return bytes(profile)


#: What is written, by name; each function returns contents by suffix.
SAMPLES: dict[str, Callable[[], dict[str, bytes]]] = {
    "clean": clean,
    "small": small,
    "noisy": noisy,
    "compressed": compressed,
    "scratched": scratched,
    "torn": torn,
    "stamped": stamped,
    "noisy-grey": noisy_grey,
    "noisy-16-bit": noisy_16_bit,
    "soft-alpha": soft_alpha,
    "rotated": rotated,
    "Été 1987/fusée": holiday,
}


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "samples"
    for made in make(target):
        print(f"{made.stat().st_size:>8} {made.relative_to(target)}")
