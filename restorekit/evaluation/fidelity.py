"""PSNR, SSIM and pixel errors of a restored picture against its reference, by a stated protocol."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from skimage.metrics import structural_similarity

from restorekit.errors import PictureError, UsageError
from restorekit.evaluation.protocol import Facts
from restorekit.images.depth import white_of

__all__ = ["FIDELITY_METRICS", "HIGHER_IS_BETTER", "Colour", "Fidelity", "Region", "luma"]

Colour = Literal["rgb", "y"]
Region = Literal["whole", "mask"]

FIDELITY_METRICS = ("psnr", "ssim", "mse", "rmse", "mae")
#: The paired metrics that grow with quality; the others are distances.
HIGHER_IS_BETTER = frozenset({"psnr", "ssim"})

#: White of the scale on which errors are measured, whatever the depth of the files.
_WHITE = 255.0
#: ITU-R BT.601 studio swing: black is 16 and white is 235.
_LUMA = (65.481 / _WHITE, 128.553 / _WHITE, 24.966 / _WHITE)
_LUMA_BLACK = 16.0
#: A reference that is larger by less than this is taken for one that was not cropped to a multiple of the scale.
_REMAINDER = 16
#: Side of the Gaussian window of SSIM (Wang et al. 2004): 3.5 times a sigma of 1.5 on each side.
_WINDOW = 11
_SSIM = "gaussian 11x11 sigma 1.5, population covariance"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """The protocol of the paired metrics.

    Parameters
    ----------
    metrics : tuple of str
        Of ``psnr``, ``ssim``, ``mse``, ``rmse`` and ``mae``; none where only the other facts are wanted.
    colour : str
        ``"rgb"``: all channels together; SSIM is the mean over the channels. ``"y"``: the luma of ITU-R BT.601 in
        studio swing (16 to 235), unrounded, as MATLAB's ``rgb2ycbcr`` and papers on super-resolution have it. Grey
        pictures count as R = G = B, so under ``"y"`` their PSNR is 1.3 dB above the one of their grey values.
    crop_border : int
        Pixels that are left out on each side, before anything else.
    region : str
        ``"whole"``: all pixels. ``"mask"``: the pixels of the hole alone; SSIM is then the mean over the hole of the
        map of the whole picture, whose windows reach 5 pixels beyond the hole.
    """

    metrics: tuple[str, ...] = ("psnr", "ssim")
    colour: Colour = "rgb"
    crop_border: int = 0
    region: Region = "whole"

    def __post_init__(self) -> None:
        for name in self.metrics:
            if name not in FIDELITY_METRICS:
                raise UsageError(repr(name), "is no paired metric", f"choose from {', '.join(FIDELITY_METRICS)}")
        for option, value, choices in (
            ("protocol", self.colour, get_args(Colour)),
            ("region", self.region, get_args(Region)),
        ):
            if value not in choices:
                raise UsageError(option, f"{value!r} is not known", f"choose {' or '.join(choices)}")
        if self.crop_border < 0:
            raise UsageError("crop border", f"{self.crop_border} is negative", "give 0 or more pixels")

    def facts(self) -> Facts:
        """Return the protocol for the record; what concerns one metric alone has its name."""
        facts: dict[str, str | int | float | bool | None] = {
            "metrics": ", ".join(self.metrics),
            "colour": self.colour,
            "crop_border": self.crop_border,
            "region": self.region,
        }
        if "ssim" in self.metrics:
            facts["ssim"] = _SSIM
        facts |= {name: "on 0..255" for name in self.metrics if name in ("mse", "rmse", "mae")}
        return facts

    def measure(
        self, restored: NDArray[Any], reference: NDArray[Any], mask: NDArray[np.bool_] | None = None
    ) -> dict[str, float]:
        """Measure one restored picture.

        Parameters
        ----------
        restored, reference : ndarray
            ``(H, W)``, ``(H, W, 1)`` or ``(H, W, 3)`` RGB of one size: uint8, uint16 or float in [0, 1], which need
            not be the same; a grey picture beside a colour one counts as three equal channels.
        mask : ndarray, optional
            ``(H, W)``, true in the hole; only looked at where the region is ``"mask"``.

        Returns
        -------
        dict of str to float
            By metric, in the order of ``metrics``. PSNR is in dB, infinite for equal pictures; MSE, RMSE and MAE
            are on the scale 0 to 255 whatever the depth.

        Raises
        ------
        PictureError
            The pictures differ in size, or nothing is left to measure.
        """
        if restored.shape[:2] != reference.shape[:2]:
            raise PictureError(
                "picture", f"{_size(restored)} restored, {_size(reference)} reference", _fitting(restored, reference)
            )
        ours, theirs = self._planes(restored), self._planes(reference)
        hole = self._hole(mask, reference)
        scores = _errors(ours, theirs, hole, self.metrics)
        if "ssim" in self.metrics:
            scores["ssim"] = _similarity(ours, theirs, hole)
        return {name: scores[name] for name in self.metrics}

    def _planes(self, picture: NDArray[Any]) -> Floats:
        """Return ``(H, W, C)`` on the scale 0 to 255, without the border, of the chosen colour."""
        cropped = self.cropped(picture if picture.ndim == 3 else picture[..., None])
        values = cropped.astype(np.float64)
        white = white_of(picture)
        if white != _WHITE:
            values *= _WHITE / white
        return luma(values)[..., None] if self.colour == "y" else values

    def cropped(self, picture: NDArray[Any]) -> NDArray[Any]:
        """Cut the border off ``(H, W, ...)``.

        Raises
        ------
        PictureError
            Nothing would be left.
        """
        border = self.crop_border
        height, width = picture.shape[:2]
        if min(height, width) <= 2 * border:
            problem = f"nothing is left of {width}x{height} without a border of {border} px"
            raise PictureError("picture", problem, "choose a smaller --crop-border")
        return picture[border : height - border, border : width - border]

    def _hole(self, mask: NDArray[np.bool_] | None, reference: NDArray[Any]) -> NDArray[np.bool_] | None:
        if self.region == "whole":
            return None
        if mask is None:
            raise PictureError("picture", "has no mask", "give one for each picture, or measure the whole picture")
        if mask.shape != reference.shape[:2]:
            problem = f"the mask is {_size(mask)}, the picture {_size(reference)}"
            raise PictureError("picture", problem, "give a mask of the picture's size")
        hole = self.cropped(mask)
        if not hole.any():
            raise PictureError("picture", "its mask marks nothing", "measure the whole picture")
        return hole


def luma(picture: Floats) -> Floats:
    """Return the unrounded luma of ITU-R BT.601 in studio swing.

    Parameters
    ----------
    picture : ndarray
        ``(H, W, 3)`` RGB or ``(H, W, 1)`` grey, which counts as R = G = B; 0 to 255.

    Returns
    -------
    ndarray
        ``(H, W)`` from 16 to 235: ``65.481 R + 128.553 G + 24.966 B + 16`` for R, G and B in [0, 1].
    """
    if picture.shape[2] == 1:
        return picture[..., 0] * sum(_LUMA) + _LUMA_BLACK
    # Not a matrix product: BLAS rounds as the arrays happen to lie in memory, and equal calls give equal bytes here.
    red, green, blue = (picture[..., channel] * weight for channel, weight in enumerate(_LUMA))
    return red + green + blue + _LUMA_BLACK


def _errors(ours: Floats, theirs: Floats, hole: NDArray[np.bool_] | None, metrics: tuple[str, ...]) -> dict[str, float]:
    """Return PSNR and the pixel errors from one difference."""
    if not set(metrics) - {"ssim"}:
        return {}
    difference = ours - theirs
    if hole is not None:
        difference = difference[hole]
    mse = float(np.square(difference).mean())
    return {
        "mse": mse,
        "rmse": math.sqrt(mse),
        "psnr": 10 * math.log10(_WHITE**2 / mse) if mse else math.inf,
        "mae": float(np.abs(difference, out=difference).mean()) if "mae" in metrics else math.nan,
    }


def _similarity(ours: Floats, theirs: Floats, hole: NDArray[np.bool_] | None) -> float:
    height, width, channels = ours.shape
    if min(height, width) < _WINDOW:
        raise PictureError(
            "picture",
            f"{width}x{height} is too small for the {_WINDOW} px window of SSIM",
            "measure psnr alone, or crop less of the border",
        )
    theirs = np.broadcast_to(theirs, (height, width, max(channels, theirs.shape[2])))
    ours = np.broadcast_to(ours, theirs.shape)
    values = [_channel_similarity(ours[..., i], theirs[..., i], hole) for i in range(theirs.shape[2])]
    return float(np.mean(values))


def _channel_similarity(ours: Floats, theirs: Floats, hole: NDArray[np.bool_] | None) -> float:
    settings: dict[str, Any] = {
        "gaussian_weights": True,
        "sigma": 1.5,
        "use_sample_covariance": False,
        "data_range": _WHITE,
    }
    result: Any = structural_similarity(ours, theirs, full=hole is not None, **settings)
    return float(result if hole is None else result[1][hole].mean())


def _fitting(restored: NDArray[Any], reference: NDArray[Any]) -> str:
    """Say how two pictures of different sizes can be made to fit."""
    surplus = np.subtract(reference.shape[:2], restored.shape[:2])
    if surplus.min() >= 0 and surplus.max() < _REMAINDER:
        return "crop the reference to a multiple of the scale with --modcrop"
    return "restore to the reference's size"


def _size(picture: NDArray[Any]) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
