"""Plans each picture's restoration from what is measured in it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from restorekit.nn.estimate import jpeg_quality, noise_sigma
from restorekit.plugin import GeneratorSpec, Request, Step
from restorekit_auto.config import Auto

__all__ = ["Planner"]

# Each task's methods, the one that measured best first (PSNR on photographs; `{}` is the amount). What is a network
# counts where weights of this name come with it. Never `denoiser:photo`: what it takes for grain may be fine texture.
_INPAINT_THIN = ("context-encoder", "biharmonic", "diffusion", "navier-stokes", "telea", "interpolation")
_INPAINT_LARGE = ("context-encoder", "diffusion", "interpolation", "navier-stokes", "telea", "biharmonic")
_DENOISE = ("sliding-dct:{}", "denoiser:blind", "nlmeans:{}", "wavelet:{}", "bilateral:{}", "tv")
_DENOISE_STRONG = ("denoiser:blind", "sliding-dct:{}", "nlmeans:{}", "wavelet:{}", "bilateral:{}", "tv")
_DEBLOCK = ("denoiser:blind", "deblock:{}")
_ENLARGE = ("super-resolver:x{}", "super-resolver:x4", "lanczos:{}", "bicubic:{}", "nearest:{}")

#: Removes artefacts and noise together, and better than one after the other.
_BOTH = "denoiser"
#: Marks damage, so that an inpainter can repair it.
_DETECT = "scratch-detector"
#: Largest `colourfulness` of a picture of one tone: grey, sepia, faded. Scratched prints measured 0.01 to 0.03, nine
#: tenths of today's photos more than 0.03.
_ONE_TONE = 0.03
#: Longer side of the picture that colours are measured on.
_SMALL = 512

#: Noise in units of 1/255 from which on the network measured better than the classical methods.
_STRONG = 5.0
#: Distance from a hole's rim, in pixels, up to which a smooth continuation beats a membrane.
_THIN = 5.0
#: The methods' largest enlargement; the core resizes to what is asked for.
_LARGEST_SCALE = 8


class Planner:
    """Repairs holes, then JPEG artefacts, then noise, and enlarges at last; leaves the rest alone.

    Parameters
    ----------
    config : Auto
        From where on it acts.
    """

    def __init__(self, config: Auto):
        self.config = config

    def plan(self, request: Request) -> Sequence[Step]:
        """Return the steps that the picture needs; none for a picture that is fine."""
        image = request.image.detach().cpu().permute(1, 2, 0).contiguous().float().numpy()
        mask = None if request.mask is None else request.mask[0].detach().cpu().numpy() >= 0.5
        holes = [self._inpaint(request, mask)] if request.mask is not None else self._find_damage(request, image)
        clean = [self._deblock(request, image), self._denoise(request, image, mask)]
        if clean[0] is not None and clean[1] is not None and clean[0].name == _BOTH:
            clean = [clean[0].because(f"{clean[0].reason}, {clean[1].reason}")]
        steps = [*holes, *clean, self._enlarge(request)]
        return [step for step in steps if step is not None]

    def _inpaint(self, request: Request, mask: NDArray[np.bool_] | None) -> Step | None:
        if mask is None or not mask.any() or mask.all():
            return None
        depth = hole_depth(mask)
        wanted = _INPAINT_THIN if depth <= _THIN else _INPAINT_LARGE
        share = 100 * mask.mean()
        return _step(request, "inpaint", wanted, "", f"a mask on {share:.2g} % of the picture, {depth:.0f} px deep")

    def _find_damage(self, request: Request, image: NDArray[np.float32]) -> list[Step | None]:
        """Look for scratches by a network, which alone tells them from what the picture shows."""
        trained = any(spec.name == _DETECT and spec.weights for spec in request.generators)
        if not trained or self.config.scratches == "never":
            return []
        if self.config.scratches == "prints" and colourfulness(image) > _ONE_TONE:
            return []
        repair = _step(request, "inpaint", _INPAINT_THIN, "", "what was found is repaired")
        return [] if repair is None else [Step(_DETECT).because("it may be a scratched print"), repair]

    def _deblock(self, request: Request, image: NDArray[np.float32]) -> Step | None:
        quality = jpeg_quality(image) if self.config.quality else None
        if quality is None or quality > self.config.quality:
            return None
        return _step(request, "deblock", _DEBLOCK, f"{quality}", f"JPEG artefacts of about quality {quality}")

    def _denoise(self, request: Request, image: NDArray[np.float32], mask: NDArray[np.bool_] | None) -> Step | None:
        if mask is not None:
            image = np.where(mask[..., None], np.float32(0), image)  # black counts as clipped: it is passed over
        sigma = noise_sigma(image)
        if sigma < self.config.noise:
            return None
        wanted = _DENOISE if sigma < _STRONG else _DENOISE_STRONG
        return _step(request, "denoise", wanted, f"{sigma:.1f}", f"noise of about {sigma:.0f} of 255")

    def _enlarge(self, request: Request) -> Step | None:
        if request.scale <= 1:
            return None
        scale = min(_LARGEST_SCALE, max(2, math.ceil(request.scale)))
        return _step(
            request, "super-resolve", _ENLARGE, f"{scale}", f"an enlargement by {request.scale:g} is asked for"
        )


def hole_depth(mask: NDArray[np.bool_]) -> float:
    """Return the distance to the rim, in pixels, that nine tenths of the unknown pixels stay within."""
    return float(np.percentile(np.asarray(ndimage.distance_transform_edt(mask))[mask], 90))


def colourfulness(image: NDArray[np.float32]) -> float:
    """Return how much colour a picture has that its brightness does not explain, in units of 1.

    Parameters
    ----------
    image : ndarray
        ``(H, W, 3)`` RGB in [0, 1].

    Returns
    -------
    float
        Standard deviation of the more colourful of blue and red minus luma, once a parabola of the luma is taken away:
        0 for grey pictures and evenly toned ones.
    """
    step = max(1, max(image.shape[:2]) // _SMALL)
    pixels = image[::step, ::step].reshape(-1, 3).astype(np.float64)
    luma = (pixels * (0.299, 0.587, 0.114)).sum(axis=1)
    tones = np.stack([np.ones_like(luma), luma, luma**2], axis=1)
    spreads = []
    for channel in (0, 2):
        chroma = pixels[:, channel] - luma
        spreads.append(float(np.std(chroma - (tones * np.linalg.lstsq(tones, chroma)[0]).sum(axis=1))))
    return max(spreads)


def _step(request: Request, task: str, wanted: Sequence[str], amount: str, reason: str) -> Step | None:
    """Return the first wanted step that is installed, else any generator of the task, else none."""
    installed = {spec.name: spec for spec in request.generators if task in spec.tasks and _is_ready(spec)}
    for text in wanted:
        step = Step.parse(text.format(amount))
        spec = installed.get(step.name)
        if spec is not None and (not spec.weights or step.choice in ("", *(each.name for each in spec.weights))):
            return step.because(reason)
    others = sorted(installed)
    return Step(others[0]).because(reason) if others else None


def _is_ready(spec: GeneratorSpec) -> bool:
    """Return whether a generator works quickly and as it is: a network that nobody has taught yet does only harm."""
    return not spec.slow and bool(spec.weights or not (spec.trainer or spec.weights_setting))
