"""Inpainting by networks: a fully convolutional one for any picture, and Pathak's context encoder."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the context encoder."""
    yield GeneratorSpec(
        name="context-encoder",
        summary="Fills holes, scratches and text with a network.",
        tasks=frozenset({"inpaint"}),
        factory="restorekit_context_encoder.generator:ContextEncoder",
        config="restorekit_context_encoder.config:Network",
        trainer="restorekit_context_encoder.training:Training",
        recipe="restorekit_context_encoder.config:Recipe",
        weights=(
            WeightsSource(
                name="photo",
                file="restorekit_context_encoder:weights/photo.safetensors",
                summary="Scratches, cracks, dust, text and small holes in photographs.",
            ),
        ),
    )
