"""Networks of other projects: every architecture that spandrel detects in a file of weights."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield one generator for whole pictures, and one for holes."""
    yield GeneratorSpec(
        name="spandrel",
        summary="Runs a community network: its file decides what it does (needs restorekit[spandrel]).",
        tasks=frozenset({"super-resolve", "denoise", "deblock", "deblur", "dehaze", "enhance"}),
        factory="restorekit_spandrel.generator:restorer",
        config="restorekit_spandrel.config:Network",
        weights_setting="weights",
    )
    yield GeneratorSpec(
        name="spandrel-inpaint",
        summary="Fills holes with a community network, such as LaMa (needs restorekit[spandrel]).",
        tasks=frozenset({"inpaint"}),
        factory="restorekit_spandrel.generator:inpainter",
        config="restorekit_spandrel.config:Network",
        weights_setting="weights",
    )
