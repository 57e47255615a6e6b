"""Denoising by a convolutional network, JPEG artefacts included."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the denoiser."""
    yield GeneratorSpec(
        name="denoiser",
        summary="Removes noise and JPEG artefacts with a network that it can be taught.",
        tasks=frozenset({"denoise", "deblock"}),
        factory="restorekit_denoiser.generator:Denoiser",
        config="restorekit_denoiser.config:Network",
        settings="restorekit_denoiser.config:Settings",
        trainer="restorekit_denoiser.training:Training",
        recipe="restorekit_denoiser.config:Recipe",
    )
