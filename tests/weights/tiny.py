"""A plugin with a small network, as somebody might publish it; free of torch."""

import os

from restorekit.plugin import GeneratorSpec, WeightsSource, hookimpl

BUNDLED = WeightsSource(name="plain", file="tiny_weights:plain.safetensors", summary="For tests.")
OTHER = WeightsSource(name="other", file="tiny_weights:other.safetensors")


def tiny_spec(**changes) -> GeneratorSpec:
    values = {
        "name": "tiny",
        "summary": "A small network.",
        "tasks": frozenset({"denoise"}),
        "factory": "tests.weights.tiny_network:Tiny",
        "config": "tests.weights.tiny_network:TinyConfig",
        "settings": "tests.weights.tiny_network:TinySettings",
        "converter": "tests.weights.tiny_network:recognise",
        "weights": (BUNDLED, OTHER),
    }
    return GeneratorSpec(**{**values, **changes})


@hookimpl
def restorekit_generators():
    sources = (BUNDLED, OTHER)
    if url := os.environ.get("TINY_URL"):
        sources += (WeightsSource(name="remote", url=url, sha256=os.environ["TINY_SHA256"]),)
    yield tiny_spec(weights=sources)
