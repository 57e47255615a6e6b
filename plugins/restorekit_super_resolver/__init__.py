"""Super-resolution by convolutional networks: EDSR-style, RRDB, and Real-ESRGAN's compact one."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the super-resolver."""
    yield GeneratorSpec(
        name="super-resolver",
        summary="Enlarges 2, 3 or 4 times with a network.",
        tasks=frozenset({"super-resolve"}),
        factory="restorekit_super_resolver.generator:SuperResolver",
        config="restorekit_super_resolver.config:Network",
        trainer="restorekit_super_resolver.training:training",
        recipe="restorekit_super_resolver.config:Recipe",
        converter="restorekit_super_resolver.conversion:recognise",
        weights=(
            WeightsSource(
                name="x4",
                file="restorekit_super_resolver:weights/x4.safetensors",
                summary="Four times, for the highest PSNR on clean pictures.",
            ),
            WeightsSource(
                name="x2",
                file="restorekit_super_resolver:weights/x2.safetensors",
                summary="Twice, for the highest PSNR on clean pictures.",
            ),
            WeightsSource(
                name="x4-gan",
                file="restorekit_super_resolver:weights/x4-gan.safetensors",
                summary="Four times, sharp to the eye, of clean pictures.",
            ),
            WeightsSource(
                name="x4-real",
                file="restorekit_super_resolver:weights/x4-real.safetensors",
                summary="Four times, of noisy, blurred and compressed pictures.",
            ),
        ),
    )
