"""The deep image prior: a network that is fitted to each picture itself, and has seen no other."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the deep image prior."""
    yield GeneratorSpec(
        name="deep-image-prior",
        summary="Fits a network to each picture itself: denoises, fills holes, enlarges. Takes minutes.",
        tasks=frozenset({"denoise", "inpaint", "super-resolve"}),
        factory="restorekit_deep_image_prior.generator:DeepImagePrior",
        config="restorekit_deep_image_prior.config:Network",
        settings="restorekit_deep_image_prior.config:Settings",
        choice="steps",
        slow=True,
    )
