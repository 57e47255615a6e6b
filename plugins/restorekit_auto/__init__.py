"""Decides what each picture needs."""

from __future__ import annotations

from collections.abc import Iterator

from restorekit.plugin import GeneratorSpec, hookimpl


@hookimpl
def restorekit_generators() -> Iterator[GeneratorSpec]:
    """Yield the planner."""
    yield GeneratorSpec(
        name="auto",
        summary="Looks at each picture and repairs what it finds: holes, JPEG artefacts, noise, small size.",
        tasks=frozenset({"plan"}),
        factory="restorekit_auto.planner:Planner",
        config="restorekit_auto.config:Auto",
        concurrent=True,
    )
