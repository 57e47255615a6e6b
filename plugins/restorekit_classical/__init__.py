"""Methods that need no training: what learned models must beat."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl

# name, task, module, config class, main choice, summary
_METHODS = (
    ("nearest", "super-resolve", "upscale", "Upscale", "scale", "Enlarges by repeating pixels."),
    ("bicubic", "super-resolve", "upscale", "Upscale", "scale", "Enlarges with Keys' cubic kernel (a = -0.5)."),
    ("lanczos", "super-resolve", "upscale", "Upscale", "scale", "Enlarges with the 8-tap Lanczos kernel."),
    ("interpolation", "inpaint", "inpaint", "Interpolation", "method", "Fills holes by interpolating from their rim."),
    ("telea", "inpaint", "inpaint", "Marching", "radius", "Fills holes inwards with Telea's fast marching."),
    ("navier-stokes", "inpaint", "inpaint", "Marching", "radius", "Fills holes along lines of equal brightness."),
    ("biharmonic", "inpaint", "inpaint", "Biharmonic", "largest", "Fills holes with the smoothest thin plate."),
    ("diffusion", "inpaint", "inpaint", "Diffusion", "", "Fills holes as heat spreads from their rim."),
    ("nlmeans", "denoise", "denoise", "NLMeans", "sigma", "Averages similar patches of the neighbourhood."),
    ("bilateral", "denoise", "denoise", "Bilateral", "sigma", "Averages near pixels of similar colour."),
    ("median", "denoise", "denoise", "Median", "size", "Removes specks with a median window."),
    ("wavelet", "denoise", "denoise", "Wavelet", "sigma", "Shrinks wavelet coefficients (BayesShrink)."),
    ("tv", "denoise", "denoise", "TotalVariation", "weight", "Keeps edges and flattens the rest."),
    ("sliding-dct", "denoise", "denoise", "SlidingDCT", "sigma", "Thresholds the DCT of every 8x8 patch."),
    ("deblock", "deblock", "deblock", "Deblock", "quality", "Removes the blocks and ringing of JPEG."),
    ("unsharp", "enhance", "enhance", "Unsharp", "amount", "Sharpens lightness with an unsharp mask."),
    ("clahe", "enhance", "enhance", "CLAHE", "clip", "Evens out local contrast of lightness."),
    ("white-balance", "enhance", "enhance", "WhiteBalance", "method", "Removes a colour cast."),
    ("dehaze", "dehaze", "enhance", "Dehaze", "strength", "Removes haze by the dark-channel prior."),
    ("top-hat", "detect", "detect", "TopHat", "width", "Finds thin bright and dark scratches."),
)


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield one spec for each method."""
    for name, task, module, config, choice, summary in _METHODS:
        yield GeneratorSpec(
            name=name,
            summary=summary,
            tasks=frozenset({task}),
            factory=f"restorekit_classical.{module}:{name.replace('-', '_')}",
            config=f"restorekit_classical.config:{config}",
            choice=choice,
            concurrent=True,
        )
