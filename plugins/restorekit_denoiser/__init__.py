"""Denoising by a convolutional network, JPEG artefacts included."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the denoiser."""
    yield GeneratorSpec(
        name="denoiser",
        summary="Removes noise and JPEG artefacts with a network.",
        tasks=frozenset({"denoise", "deblock"}),
        factory="restorekit_denoiser.generator:Denoiser",
        config="restorekit_denoiser.config:Network",
        settings="restorekit_denoiser.config:Settings",
        trainer="restorekit_denoiser.training:Training",
        recipe="restorekit_denoiser.config:Recipe",
        weights=(
            WeightsSource(
                name="photo",
                file="restorekit_denoiser:weights/photo.safetensors",
                summary="Noise and grain as photographs have them, grey ones too, and JPEG artefacts.",
            ),
            WeightsSource(
                name="blind",
                file="restorekit_denoiser:weights/blind.safetensors",
                summary="White noise up to 50 of 255, as benchmarks add it, and JPEG artefacts.",
            ),
        ),
    )
