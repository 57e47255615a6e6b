"""Style transfer as a restorer: the style is read once, and every picture painted by itself."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from restorekit.nn.features import SqueezeNet
from restorekit.plugin import Batch, Geometry, NotAvailable, UsageError
from restorekit_style_transfer.config import Files, Settings
from restorekit_style_transfer.painting import painted

__all__ = ["StyleTransfer"]


class StyleTransfer:
    """Paints pictures in the manner of another one.

    Parameters
    ----------
    config : Files
        The feature network and the style.

    Raises
    ------
    UsageError
        A file is not named.
    NotAvailable
        A file is not there, or is not what it should be.
    """

    geometry = Geometry(whole_image=True)

    def __init__(self, config: Files):
        if not config.features or not config.style:
            way_out = "write style-transfer,features=FILE,style=PICTURE"
            raise UsageError("style-transfer", "needs a feature network and a style picture", way_out)
        self.features = SqueezeNet.load(config.features)
        self.style = _read(Path(config.style))

    def restore(self, batch: Batch) -> Tensor:
        """Paint ``(N, 3, H, W)``; each sample is a function of its pixels alone."""
        settings = Settings(**batch.settings)  # pyright: ignore[reportArgumentType]
        device, count = batch.images.device, len(batch.images)
        features, style = self.features.to(device), self.style.to(device)
        results = []
        for number, image in enumerate(batch.images.float()):

            def progress(done: float, number: int = number) -> None:
                batch.progress((number + done) / count)

            results.append(painted(image[None].contiguous(), style, features, settings, progress))
        return torch.cat(results)


def _read(path: Path) -> Tensor:
    """Return a picture as ``(1, 3, H, W)`` RGB in [0, 1]."""
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise NotAvailable(path, f"cannot be read ({error.strerror})", "style=FILE names a picture") from error
    try:
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise NotAvailable(path, "is no picture that OpenCV reads", "style=FILE takes JPEG, PNG, WebP or TIFF")
    return torch.from_numpy(pixels[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
