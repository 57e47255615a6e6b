"""Style transfer: pictures painted in the manner of another one."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the painter."""
    yield GeneratorSpec(
        name="style-transfer",
        summary="Paints pictures in the manner of another one (Gatys); takes a feature network and a style.",
        tasks=frozenset({"stylize"}),
        factory="restorekit_style_transfer.generator:StyleTransfer",
        config="restorekit_style_transfer.config:Files",
        settings="restorekit_style_transfer.config:Settings",
        choice="style",
        weights_setting="features",
        files=("style",),
        slow=True,
    )
