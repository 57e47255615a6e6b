"""Finds the installed plugins and imports each by itself; what is wrong with one is its own trouble."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

import pluggy

from restorekit import __version__, hookspecs
from restorekit.specs import API, GeneratorSpec

__all__ = ["DISABLE_VARIABLE", "ONLY_VARIABLE", "FoundPlugin", "Plugin", "discover", "import_plugins"]

#: The distribution whose plugins win a quarrel over a name.
BUNDLED = "restorekit"

#: Comma-separated entry-point names that are not loaded; ``*`` stands for everything that is not bundled.
DISABLE_VARIABLE = "RESTOREKIT_DISABLE_PLUGINS"
#: Comma-separated entry-point names besides which none is loaded; unset or empty: all are. ``--only-plugins`` sets it.
ONLY_VARIABLE = "RESTOREKIT_ONLY_PLUGINS"


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


def import_plugins(
    found: Iterable[FoundPlugin], disabled: Iterable[str] = (), only: Iterable[str] = ()
) -> tuple[Plugin, ...]:
    """Import each plugin by itself and keep what works.

    Parameters
    ----------
    found : iterable of FoundPlugin
        Earlier ones keep a generator name that a later one claims too.
    disabled : iterable of str
        Entry-point names to leave alone; ``*`` stands for every plugin that is not bundled.
    only : iterable of str
        Entry-point names to leave all others alone for; none for no such choice.
    """
    names, chosen = set(disabled), set(only)
    plugins: list[Plugin] = []
    taken: dict[str, Plugin] = {}
    for candidate in found:
        if candidate.name in names or ("*" in names and not candidate.bundled):
            plugins.append(_outcome(candidate, "disabled", f"named in {DISABLE_VARIABLE}"))
            continue
        if chosen and candidate.name not in chosen:
            plugins.append(_outcome(candidate, "disabled", "not among --only-plugins"))
            continue
        try:
            specs = _specs(candidate)
            _refuse_duplicates(candidate, specs, taken)
        except (Exception, SystemExit) as error:  # an import may raise anything
            plugins.append(_outcome(candidate, "broken", _brief(error, candidate)))
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
            raise _ContractError(_other_api(spec, candidate))
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


def _other_api(spec: GeneratorSpec, candidate: FoundPlugin) -> str:
    newer = spec.api > API
    told = f"generator {spec.name!r} is written for api {spec.api}, {'a newer' if newer else 'an older'} contract"
    wanted = (_unmet(candidate) or hookspecs.PROJECT) if newer else candidate.distribution
    return f"{told} than this restorekit's (api {API}): pip install --upgrade '{wanted}'"


def _unmet(candidate: FoundPlugin) -> str:
    """Return the restorekit that the plugin's metadata asks for, such as ``restorekit>=2``, where this is another."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        asked = [Requirement(text) for text in metadata.requires(candidate.distribution) or ()]
    except (metadata.PackageNotFoundError, InvalidRequirement):
        return ""
    ours = [requirement for requirement in asked if requirement.name == BUNDLED]
    return next((str(each) for each in ours if not each.specifier.contains(__version__, prereleases=True)), "")


def _brief(error: BaseException, candidate: FoundPlugin) -> str:
    text = " ".join(str(error).split())
    if isinstance(error, _ContractError):
        return text
    told = f"{type(error).__name__}: {text}"
    # A name or a field of a later restorekit is the likely cause.
    wanted = _unmet(candidate)
    return f"{told}; it asks for {wanted}, and this is {__version__}: pip install '{wanted}'" if wanted else told
