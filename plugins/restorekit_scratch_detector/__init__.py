"""Finding scratches and dust on old photographs by a convolutional network."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the detector."""
    yield GeneratorSpec(
        name="scratch-detector",
        summary="Marks scratches, cracks and dust, so that an inpainter can repair them.",
        tasks=frozenset({"detect"}),
        factory="restorekit_scratch_detector.generator:ScratchDetector",
        config="restorekit_scratch_detector.config:Network",
        settings="restorekit_scratch_detector.config:Settings",
        trainer="restorekit_scratch_detector.training:Training",
        recipe="restorekit_scratch_detector.config:Recipe",
        weights=(
            WeightsSource(
                name="photo",
                file="restorekit_scratch_detector:weights/photo.safetensors",
                summary="Old photographs; takes thin bright things in sound ones for damage.",
            ),
        ),
    )
