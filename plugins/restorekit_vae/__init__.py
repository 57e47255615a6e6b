"""Variational autoencoders, convolutional, residual and fully connected."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the VAE."""
    yield GeneratorSpec(
        name="vae",
        summary="Makes pictures with a variational autoencoder; reconstructs, and completes what is masked.",
        tasks=frozenset({"generate", "reconstruct", "inpaint"}),
        factory="restorekit_vae.generator:VAE",
        config="restorekit_vae.config:VAEConfig",
        settings="restorekit_vae.config:Settings",
        trainer="restorekit_vae.training:Training",
        recipe="restorekit_vae.config:Recipe",
        weights=(
            WeightsSource(
                name="mnist",
                file="restorekit_vae:weights/mnist.safetensors",
                summary="Handwritten digits, 28x28.",
            ),
            WeightsSource(
                name="cifar10",
                file="restorekit_vae:weights/cifar10.safetensors",
                summary="Photos of ten kinds of things, 32x32.",
            ),
        ),
    )
