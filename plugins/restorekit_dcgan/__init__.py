"""Generative adversarial networks: DCGAN, its modern form, and the original perceptrons."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the GAN."""
    yield GeneratorSpec(
        name="dcgan",
        summary="Makes pictures with a GAN; restores by searching its latents for what fits the known pixels.",
        tasks=frozenset({"generate", "reconstruct", "inpaint"}),
        factory="restorekit_dcgan.generator:DCGAN",
        config="restorekit_dcgan.config:DCGANConfig",
        settings="restorekit_dcgan.config:Settings",
        trainer="restorekit_dcgan.training:Training",
        recipe="restorekit_dcgan.config:Recipe",
        weights=(
            WeightsSource(
                name="cifar10",
                file="restorekit_dcgan:weights/cifar10.safetensors",
                summary="Pictures of 32x32 pixels of the ten classes of CIFAR-10.",
            ),
        ),
    )
