"""Pictures from words, and holes filled as words say: Stable Diffusion pipelines, run by diffusers from a folder."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the generator."""
    yield GeneratorSpec(
        name="diffusers",
        summary="Fills holes, and makes pictures, as a prompt says (needs restorekit[diffusers] and a pipeline).",
        tasks=frozenset({"generate", "inpaint"}),
        factory="restorekit_diffusers.generator:Diffusion",
        config="restorekit_diffusers.config:Pipeline",
        weights_setting="pipeline",
    )
