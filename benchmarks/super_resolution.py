"""Measures super-resolution weights beside bicubic by the published protocol.

    python benchmarks/super_resolution.py runs/x4/weights.safetensors Set5/ Set14/

The low resolution is MATLAB-compatible bicubic, rounded to 8 bits; PSNR is of Y (BT.601, 16 to 235), the border of
``scale`` pixels cropped, the result rounded to 8 bits.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from common import print_rows

from restorekit import images
from restorekit.contract import Batch
from restorekit.images.resize import resize
from restorekit.registry import registry

LUMA = torch.tensor([65.481, 128.553, 24.966]).view(3, 1, 1) / 255


def rounded(image: torch.Tensor) -> torch.Tensor:
    """Round to 8 bits, as files are."""
    return image.clamp(0, 1).mul(255).round().div(255)


def psnr_y(restored: torch.Tensor, sharp: torch.Tensor, border: int) -> float:
    """PSNR of the luma in dB."""
    crop = (slice(None), slice(border, -border), slice(border, -border))
    difference = ((rounded(restored)[crop] - sharp[crop]).double() * LUMA).sum(0)
    return float(-10 * torch.log10((difference**2).mean()))


@torch.no_grad()
def main() -> None:
    """Print one row a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a .safetensors file or a step such as super-resolver:x4")
    parser.add_argument("folders", nargs="+", type=Path)
    arguments = parser.parse_args()
    generator = registry().load(arguments.weights).generator
    scale = generator.geometry.scale  # pyright: ignore[reportAttributeAccessIssue]
    rows = []
    for folder in arguments.folders:
        ours, bicubic = [], []
        for path in sorted(folder.iterdir()):
            pixels = images.read(path).pixels
            sharp = torch.from_numpy(np.array(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))).permute(2, 0, 1) / 255
            height, width = (side // scale * scale for side in sharp.shape[1:])
            sharp = sharp[:, :height, :width]
            small = rounded(resize(sharp[None], (height // scale, width // scale)))
            restored = generator.restore(Batch(small))[0].float()  # pyright: ignore[reportAttributeAccessIssue]
            ours.append(psnr_y(restored, sharp, scale))
            bicubic.append(psnr_y(resize(small, (height, width))[0], sharp, scale))
        rows.append([folder.name, len(ours), float(np.mean(bicubic)), float(np.mean(ours))])
    print_rows(["set", "pictures", "bicubic", "network"], rows)


if __name__ == "__main__":
    main()
