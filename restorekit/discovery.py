"""Finds the installed plugins and imports each by itself; what is wrong with one is its own trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import pluggy

from restorekit import hookspecs
from restorekit.specs import API, GeneratorSpec

__all__ = ["DISABLE_VARIABLE", "FoundPlugin", "Plugin", "discover", "import_plugins"]

#: The distribution whose plugins win a quarrel over a name.
BUNDLED = "restorekit"

#: Comma-separatedentry-point names that are not loaded; ``*`` stands for everything that is not bundled.
DISABLE_VARIABLE = "RESTOREKIT_DISABLE_PLUGINS"


@dataclass(frozen=True, slots=True)
class FoundPlugin:
    """A plugin before its import: an entry point and the distribution that brought it."""

    name: str
    distribution: str
    version: str
    load: Callable[[], object]

    @property
    def bundled(self) -> bool:
        """Whether it comes with restorekit itself."""
        return self.distribution == BUNDLED


@dataclass(frozen=True, slots=True)
class Plugin:
    """A plugin after the attempt to import it."""

    name: str
    distribution: str
    version: str
    status: Literal["ok", "disabled", "broken"]
    reason: str = ""
    generators: tuple[GeneratorSpec, ...] = ()


def discover() -> list[FoundPlugin]:
    """Find the installed plugins without importing them: bundled ones first, then by name."""
    found = [
        FoundPlugin(
            name=point.name,
            distribution=point.dist.name if point.dist else "?",
            version=point.dist.version if point.dist else "?",
            load=point.load,
        )
        for point in metadata.entry_points(group=hookspecs.PROJECT)
    ]
    return sorted(found, key=lambda plugin: (not plugin.bundled, plugin.name, plugin.distribution))


def import_plugins(found: Iterable[FoundPlugin], disabled: Iterable[str] = ()) -> tuple[Plugin, ...]:
    """Import each plugin by itself and keep what works.

    Parameters
    ----------
    found : iterable of FoundPlugin
        Earlier ones keep a generator name that a later one claims too.
    disabled : iterable of str
        Entry-point names to leave alone; ``*`` stands for every plugin that is not bundled.
    """
    names = set(disabled)
    plugins: list[Plugin] = []
    taken: dict[str, Plugin] = {}
    for candidate in found:
        if candidate.name in names or ("*" in names and not candidate.bundled):
            plugins.append(_outcome(candidate, "disabled", f"named in {DISABLE_VARIABLE}"))
            continue
        try:
            specs = _specs(candidate)
            _refuse_duplicates(candidate, specs, taken)
        except (Exception, SystemExit) as error:  # an import may raise anything
            plugins.append(_outcome(candidate, "broken", _brief(error)))
            continue
        plugin = _outcome(candidate, "ok", generators=specs)
        plugins.append(plugin)
        taken.update({spec.name: plugin for spec in specs})
    return tuple(plugins)


class _ContractError(Exception):
    """A plugin does not follow the contract; the text says how."""


def _specs(candidate: FoundPlugin) -> tuple[GeneratorSpec, ...]:
    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(candidate.load(), name=candidate.name)
    try:
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        raise _ContractError(f"{error}; the hook is called restorekit_generators") from error
    answers = manager.hook.restorekit_generators()
    if not answers:
        raise _ContractError("implements no hook; decorate restorekit_generators with restorekit.plugin.hookimpl")
    specs = tuple(spec for answer in answers for spec in answer)
    for spec in specs:
        if not isinstance(spec, GeneratorSpec):
            raise _ContractError(f"yields a {type(spec).__name__} where a GeneratorSpec is wanted")
        if spec.api != API:
            newer = "a newer" if spec.api > API else "an older"
            raise _ContractError(
                f"generator {spec.name!r} is written for api {spec.api}, {newer} contract than this restorekit's "
                f"(api {API}); install a release of the plugin or of restorekit that fits"
            )
    return specs


def _refuse_duplicates(candidate: FoundPlugin, specs: Iterable[GeneratorSpec], taken: Mapping[str, Plugin]) -> None:
    seen: set[str] = set()
    for spec in specs:
        if spec.name in seen:
            raise _ContractError(f"yields generator {spec.name!r} twice")
        seen.add(spec.name)
        if spec.name in taken:
            first = taken[spec.name]
            raise _ContractError(
                f"generator {spec.name!r} is already brought by {first.distribution} {first.version} "
                f"(plugin {first.name}); {candidate.distribution} {candidate.version} brings it again: "
                f"uninstall or disable one of them"
            )


def _outcome(
    candidate: FoundPlugin,
    status: Literal["ok", "disabled", "broken"],
    reason: str = "",
    generators: tuple[GeneratorSpec, ...] = (),
) -> Plugin:
    return Plugin(candidate.name, candidate.distribution, candidate.version, status, reason, generators)


def _brief(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, _ContractError) else f"{type(error).__name__}: {text}"
