"""Paired translation of pictures, pix2pix: colourising, dehazing, and whatever pairs are given."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the translator."""
    yield GeneratorSpec(
        name="translate",
        summary="Translates pictures as it learned from pairs: colourises, dehazes (pix2pix).",
        tasks=frozenset({"colorize", "dehaze"}),
        factory="restorekit_translate.generator:Translator",
        config="restorekit_translate.config:Network",
        trainer="restorekit_translate.training:Training",
        recipe="restorekit_translate.config:Recipe",
    )
