"""The one hook that a plugin implements."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

if TYPE_CHECKING:
    from restorekit.specs import GeneratorSpec

__all__ = ["PROJECT", "hookimpl", "hookspec"]

#: The pluggy project name, and the entry-point group that plugins are found by.
PROJECT = "restorekit"

#: Marks a hook's declaration, here alone.
hookspec = pluggy.HookspecMarker(PROJECT)
#: Marks the function in a plugin that implements a hook.
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def restorekit_generators() -> Iterable[GeneratorSpec]:
    """Yield one spec for each generator of the plugin.

    Called once when generators are listed, so it must not import torch. A whole plugin is one module:

        from restorekit.plugin import GeneratorSpec, hookimpl

        @hookimpl
        def restorekit_generators():
            yield GeneratorSpec(
                name="my-denoiser",
                summary="Removes the noise of my microscope.",
                tasks=frozenset({"denoise"}),
                factory="my_package.denoiser:MyDenoiser",
                config="my_package.denoiser:MyConfig",
            )
    """
    return ()
