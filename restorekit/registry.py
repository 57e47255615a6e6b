"""Discovers plugins, lists their generators, and loads one by name; one plugin's trouble is never another's."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import inspect
import itertools
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import pluggy

from restorekit import hookspecs
from restorekit.errors import NotAvailable, UsageError
from restorekit.specs import API, GeneratorSpec, Step

__all__ = ["FoundPlugin", "Loaded", "Plugin", "Registry", "assemble", "discover", "registry"]

#: The distribution whose plugins win a quarrel over a name.
BUNDLED = "restorekit"

#: Comma-separated entry-point names that are not loaded; ``*`` stands for everything that is not bundled.
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


@dataclass(frozen=True, slots=True)
class Loaded:
    """A generator that is ready for use.

    Parameters
    ----------
    generator : object
        What the spec's factory made: a `Restorer`, `Detector`, `Planner`, ...
    spec : GeneratorSpec
        Its description.
    plugin : Plugin
        Where it came from.
    config : object
        The validated configuration it was made with.
    settings : mapping
        The validated values for ``Batch.settings``.
    """

    generator: object
    spec: GeneratorSpec
    plugin: Plugin
    config: object
    settings: Mapping[str, object]


@dataclass(frozen=True)
class Registry:
    """The installed plugins, working or not, in a fixed order, and the generators of those that work."""

    plugins: tuple[Plugin, ...]

    @functools.cached_property
    def _owners(self) -> dict[str, Plugin]:
        return {spec.name: plugin for plugin in self.plugins for spec in plugin.generators}

    @property
    def generators(self) -> tuple[GeneratorSpec, ...]:
        """Every usable generator, by name."""
        return tuple(sorted((s for plugin in self.plugins for s in plugin.generators), key=lambda spec: spec.name))

    def owner(self, name: str) -> Plugin:
        """Return the plugin that brings generator ``name``."""
        self.spec(name)
        return self._owners[name]

    def spec(self, name: str) -> GeneratorSpec:
        """Return the description of generator ``name``.

        Raises
        ------
        UsageError
            No enabled, working plugin brings it; the message suggests the nearest names.
        """
        for spec in self.generators:
            if spec.name == name:
                return spec
        near = difflib.get_close_matches(name, [spec.name for spec in self.generators], n=2)
        way_out = f"did you mean {' or '.join(near)}?" if near else "`restorekit generators` lists what there is"
        silent = [plugin.name for plugin in self.plugins if plugin.status != "ok"]
        if silent:
            way_out += f" (plugins not in use: {', '.join(silent)}; `restorekit plugins` says why)"
        raise UsageError(repr(name), "is no generator", way_out)

    def settings(self, name: str) -> list[dict[str, str]]:
        """Describe what may be set in a step: ``name``, ``type``, ``default`` and ``help`` of each field."""
        spec = self.spec(name)
        owners = [spec.settings] if spec.weights else [spec.config, spec.settings]
        return [
            {"name": field.name, "default": str(_default(field)), **_documented(owner, field.name)}
            for owner in (_resolve(spec, reference) for reference in owners if reference)
            for field in dataclasses.fields(owner)
        ]

    def load(self, step: Step | str) -> Loaded:
        """Import and build the generator that a step names.

        Parameters
        ----------
        step : Step or str
            Such as ``"nlmeans:10,search=21"``.

        Raises
        ------
        UsageError
            Unknown generator, unknown setting, or a value that is not allowed.
        NotAvailable
            The plugin's code or something it needs cannot be imported, or its weights are not here.
        """
        step = Step.parse(step) if isinstance(step, str) else step
        spec = self.spec(step.name)
        plugin = self._owners[spec.name]
        config_class = _resolve(spec, spec.config)
        settings_class = _resolve(spec, spec.settings) if spec.settings else None
        config_values, settings_values = _split(step, spec, config_class, settings_class)
        config = _validated(step, config_class, config_values)
        settings = dataclasses.asdict(_validated(step, settings_class, settings_values)) if settings_class else {}
        factory = _resolve(spec, spec.factory)
        try:
            generator = factory(config)
        except (UsageError, NotAvailable):
            raise
        except Exception as error:
            raise NotAvailable(spec.name, f"could not be built ({_brief(error)})", _ask(plugin)) from error
        return Loaded(generator, spec, plugin, config, settings)


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


def assemble(found: Iterable[FoundPlugin], disabled: Iterable[str] = ()) -> Registry:
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
    return Registry(tuple(plugins))


@functools.cache
def registry() -> Registry:
    """Return the registry of this process, assembled on first use."""
    disabled = [name.strip() for name in os.environ.get(DISABLE_VARIABLE, "").split(",") if name.strip()]
    return assemble(discover(), disabled)


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


def _ask(plugin: Plugin) -> str:
    return f"it comes from {plugin.distribution} {plugin.version} (plugin {plugin.name})"


def _resolve(spec: GeneratorSpec, reference: str) -> Any:
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (Exception, SystemExit) as error:
        raise NotAvailable(spec.name, f"{reference} cannot be imported ({_brief(error)})") from error


def _default(field: dataclasses.Field[Any]) -> object:
    default = field.default
    return getattr(default, "default", default)  # pydantic's Field(...) wraps it


def _documented(owner: type, name: str) -> dict[str, str]:
    """Take a field's type and meaning from the numpydoc ``Parameters`` of its class."""
    lines = (inspect.getdoc(owner) or "").splitlines()
    for index, line in enumerate(lines):
        names, colon, kind = line.partition(" : ")
        if colon and name in names.split(", "):
            indented = itertools.takewhile(lambda text: text.startswith("    "), lines[index + 1 :])
            return {"type": kind, "help": " ".join(text.strip() for text in indented)}
    return {"type": "", "help": ""}


def _split(
    step: Step, spec: GeneratorSpec, config: type, settings: type | None
) -> tuple[dict[str, str], dict[str, str]]:
    """Sort a step's values into configuration and settings."""
    in_config = {field.name for field in dataclasses.fields(config)}
    in_settings = {field.name for field in dataclasses.fields(settings)} if settings else set()
    free = in_settings if spec.weights else in_config | in_settings
    values = {key.replace("-", "_"): value for key, value in step.settings.items()}
    if step.choice:
        if not spec.choice:
            raise UsageError(str(step), f"{spec.name} has no main choice to set", f"write {spec.name}{_example(free)}")
        values.setdefault(spec.choice, step.choice)
    for key in values:
        if key not in free:
            near = difflib.get_close_matches(key, free, n=1)
            hint = f"did you mean {near[0]}?" if near else f"it has {', '.join(sorted(free)) or 'none'}"
            raise UsageError(str(step), f"{spec.name} has no setting {key!r}", hint)
    return (
        {key: value for key, value in values.items() if key in in_config},
        {key: value for key, value in values.items() if key not in in_config},
    )


def _example(keys: set[str]) -> str:
    return f",{min(keys)}=..." if keys else ""


def _validated(step: Step, owner: type, values: Mapping[str, str]) -> Any:
    import pydantic

    try:
        return pydantic.TypeAdapter(owner).validate_python(dict(values))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        given = values.get(where)
        shown = f"{where}={given}" if given is not None else where
        raise UsageError(str(step), f"{shown} is not allowed", first["msg"].replace("Value error, ", "")) from error
