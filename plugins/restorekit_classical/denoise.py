"""Removing noise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
import torch
from scipy import ndimage
from skimage.restoration import denoise_nl_means, denoise_tv_chambolle, denoise_wavelet
from torch import Tensor

from restorekit.nn import to_float, to_integers
from restorekit.nn.estimate import noise_sigma
from restorekit.plugin import Batch, Geometry, Restorer
from restorekit_classical.config import Bilateral, Median, NLMeans, SlidingDCT, TotalVariation, Wavelet
from restorekit_classical.picturewise import Image, Mask, Picturewise
from restorekit_classical.sliding_dct import HALO, shrink

__all__ = ["bilateral", "median", "nlmeans", "sliding_dct", "tv", "wavelet"]

#: Estimates below this, in units of 1/255, are rounding: there is nothing to remove.
_SILENT = 0.3
# The factors between a noise's standard deviation and a filter's own parameter are those that gave the highest PSNR
# on photographs with sigma 15, 25 and 50 (clipped to the picture's range).
_NLMEANS_H = 0.55
_BILATERAL_RANGE = 4.0
_TV_WEIGHT = 0.7
_DCT_THRESHOLD = 2.7
#: Differences between channels that are below any 8-bit one.
_COLOURLESS = 1e-4

#: Orthonormal opponent colours: lightness, red against blue, green against both.
_OPPONENT = torch.nn.functional.normalize(torch.tensor([[1.0, 1, 1], [1, 0, -1], [1, -2, 1]], dtype=torch.float64))


def nlmeans(config: NLMeans) -> Restorer:
    """Average similar patches (Buades et al., CVPR 2005), with scikit-image's float implementation.

    OpenCV's takes no 16-bit colour, and lost 1 to 4 dB against it.
    """

    def denoised(image: Image, sigma: float) -> Image:
        smooth = denoise_nl_means(
            image,
            patch_size=config.patch,
            patch_distance=config.search // 2,
            h=_NLMEANS_H * sigma,
            sigma=sigma,
            fast_mode=True,
            channel_axis=-1,
        )
        return smooth.reshape(image.shape)  # it drops axes of length 1

    return _denoiser(denoised, config.sigma, halo=config.search // 2 + config.patch // 2 + 1)


def bilateral(config: Bilateral) -> Restorer:
    """Average pixels that are near in space and in colour (Tomasi and Manduchi, ICCV 1998)."""
    reach = int(np.ceil(2 * config.space))

    def denoised(image: Image, sigma: float) -> Image:
        return cv2.bilateralFilter(image, 2 * reach + 1, _BILATERAL_RANGE * sigma, config.space)

    return _denoiser(denoised, config.sigma, halo=reach)


def median(config: Median) -> Restorer:
    """Replace each value by the median of its window."""
    return Picturewise(Geometry(halo=config.size // 2), partial(_median, config.size))


def wavelet(config: Wavelet) -> Restorer:
    """Shrink wavelet coefficients by BayesShrink (Chang et al., IEEE TIP 9(9), 2000), averaged over shifts."""

    def denoised(image: Image, sigma: float) -> Image:
        if min(image.shape[:2]) < 16:  # no level of the transform fits
            return image
        shifts = list(np.ndindex(config.shifts + 1, config.shifts + 1))
        return np.asarray(np.mean([_shifted_wavelet(image, sigma, shift) for shift in shifts], axis=0))

    return _denoiser(denoised, config.sigma, halo=None)


def tv(config: TotalVariation) -> Restorer:
    """Minimise total variation (Chambolle, Journal of Mathematical Imaging and Vision 20, 2004)."""

    def denoised(image: Image, sigma: float) -> Image:
        weight = _TV_WEIGHT * sigma if config.weight == "auto" else config.weight
        # eps=0: a stopping rule would look at the whole picture, and a tile would come out differently.
        return denoise_tv_chambolle(image, weight=weight, eps=0, max_num_iter=config.iterations, channel_axis=-1)

    # Measured: a change reaches further with more iterations, by less than 1/255 beyond this, whatever the weight.
    reach = 20 + config.iterations // 20
    sigma = "auto" if config.weight == "auto" else config.weight * 255 / _TV_WEIGHT
    return _denoiser(denoised, sigma, halo=min(config.iterations, reach))


def sliding_dct(config: SlidingDCT) -> Restorer:
    """Threshold the DCT of every 8x8 block at every offset (Yaroslavsky et al., SPIE 4304, 2001)."""
    return _SlidingDCT(config)


@dataclass(frozen=True, slots=True)
class _SlidingDCT:
    config: SlidingDCT

    @property
    def geometry(self) -> Geometry:
        automatic = self.config.sigma == "auto"
        return Geometry(whole_image=True) if automatic else Geometry(halo=HALO)

    def restore(self, batch: Batch) -> Tensor:
        return torch.cat([self._one(image[None].float()) for image in batch.images]).clamp_(0, 1)

    def _one(self, image: Tensor) -> Tensor:
        sigma = self.config.sigma
        if sigma == "auto":
            sigma = noise_sigma(image[0].permute(1, 2, 0).cpu().numpy())
            if sigma < _SILENT:
                return image
        opponent = _OPPONENT.to(image)
        threshold = torch.full((64,), _DCT_THRESHOLD * sigma / 255)
        luma, *chroma = torch.einsum("ij,njhw->nihw", opponent, image).split(1, dim=1)
        # Where a picture is grey its channels have the same noise, which adds up in the luma instead of averaging out.
        grey = torch.cat(chroma, dim=1).abs().amax(dim=1, keepdim=True) < _COLOURLESS
        gain = torch.where(grey, math.sqrt(3.0), 1.0).to(luma) if grey.any() else None
        smooth = torch.cat([shrink(luma, threshold, gain), *(shrink(plane, threshold) for plane in chroma)], dim=1)
        return torch.einsum("ij,nihw->njhw", opponent, smooth)


def _denoiser(denoised: Callable[[Image, float], Image], sigma: float | str, halo: int | None) -> Picturewise:
    """Return a restorer; with an estimated sigma it must see the whole picture, or tiles would differ in strength."""

    def repair(image: Image, mask: Mask | None) -> Image:
        level = noise_sigma(image) if isinstance(sigma, str) else sigma
        return denoised(image, level / 255) if level >= _SILENT else image

    whole = isinstance(sigma, str) or halo is None
    return Picturewise(Geometry(whole_image=True) if whole else Geometry(halo=halo), repair)


def _shifted_wavelet(image: Image, sigma: float, shift: tuple[int, ...]) -> Image:
    moved = np.roll(image, shift, axis=(0, 1))
    smooth = denoise_wavelet(moved, sigma=sigma, wavelet="db2", convert2ycbcr=True, channel_axis=-1)
    return np.roll(smooth, (-shift[0], -shift[1]), axis=(0, 1))


def _median(size: int, image: Image, mask: Mask | None) -> Image:
    if size <= 5:
        return cv2.medianBlur(image, size)
    eight = to_integers(image, 8)
    if np.allclose(to_float(eight), image, rtol=0, atol=1e-6):  # OpenCV's large windows take 8 bit only
        return to_float(cv2.medianBlur(eight, size))
    return ndimage.median_filter(image, size=(size, size, 1), mode="nearest")
