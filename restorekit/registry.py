"""Lists the generators of the installed plugins, and loads one by name, with its weights."""

from __future__ import annotations

import dataclasses
import difflib
import functools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from restorekit.discovery import DISABLE_VARIABLE, ONLY_VARIABLE, FoundPlugin, Plugin, discover, import_plugins
from restorekit.errors import NotAvailable, UsageError
from restorekit.specs import GeneratorSpec, Step
from restorekit.values import described, resolve, split, split_ensemble, validated

if TYPE_CHECKING:
    from restorekit.weights.files import WeightsFile

__all__ = ["FoundPlugin", "Loaded", "Plugin", "Registry", "assemble", "discover", "registry"]


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
    weights_sha256 : str
        Of the weights file it runs with; ``""`` for none.
    ensemble : int
        Over how many mirrored and turned views its results are averaged.
    """

    generator: object
    spec: GeneratorSpec
    plugin: Plugin
    config: object
    settings: Mapping[str, object]
    weights_sha256: str = ""
    ensemble: int = 1


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
        # The configuration of a network is fixed by its weights.
        owners = [spec.settings] if spec.weights or spec.trainer else [spec.config, spec.settings]
        return [field for reference in owners if reference for field in described(resolve(spec, reference))]

    def training_settings(self, name: str) -> list[dict[str, str]]:
        """Describe what may be set when a generator is taught, as ``network.NAME`` and ``recipe.NAME``."""
        spec = self.spec(name)
        owners = {"network": spec.config, "recipe": spec.recipe} if spec.trainer else {}
        return [
            {**field, "name": f"{table}.{field['name']}"}
            for table, reference in owners.items()
            if reference
            for field in described(resolve(spec, reference))
        ]

    def spec_of(self, step: Step) -> GeneratorSpec:
        """Return the description of the generator that a step names, or that its weights file is for.

        Raises
        ------
        UsageError
            There is no such generator.
        NotAvailable
            The weights file cannot be used, or its generator is not installed.
        """
        if not step.is_file:
            return self.spec(step.name)
        from restorekit.weights.files import WeightsFile

        with WeightsFile(step.name) as file:
            return self._spec_for(file)

    def weights_path(self, step: Step) -> Path | None:
        """Return the weights file (or folder) that a step runs with, ``None`` where its generator has none.

        Raises
        ------
        UsageError
            There is no such generator or variant, or the step does not name the weights that it needs.
        NotAvailable
            The file is not here.
        """
        if step.is_file:
            return Path(step.name)
        spec = self.spec(step.name)
        if not (spec.weights or spec.weights_setting):
            return None
        from restorekit.weights.sources import brought, locate

        return locate(spec, step.choice) if spec.weights else brought(spec, step)[spec.weights_setting]

    def weights_sha256(self, step: Step) -> str:
        """Return the checksum that `load` would record of the weights and files of a step as they are now.

        Raises
        ------
        UsageError, NotAvailable
            See `weights_path`.
        """
        path = self.weights_path(step)
        if path is None:
            return ""
        from restorekit.weights.checksums import content_sha256
        from restorekit.weights.sources import brought

        if step.is_file or not (spec := self.spec(step.name)).weights_setting:
            return content_sha256(path)
        return content_sha256(*brought(spec, step).values())

    def load(self, step: Step | str) -> Loaded:
        """Import and build the generator that a step names, with its weights where it has some.

        Parameters
        ----------
        step : Step or str
            Such as ``"nlmeans:10,search=21"``, ``"super-resolver:x4"`` or ``"my.safetensors"``.

        Returns
        -------
        Loaded
            On the CPU; networks with weights in evaluation mode.

        Raises
        ------
        UsageError
            Unknown generator or variant, unknown setting, or a value that is not allowed.
        NotAvailable
            The plugin's code or something it needs cannot be imported, or its weights are not here or not sound.
        """
        step = Step.parse(step) if isinstance(step, str) else step
        path = self.weights_path(step)
        if path is not None and (step.is_file or self.spec(step.name).weights):
            return self._load_weights(step, path)
        spec = self.spec(step.name)
        if path is not None:
            return self._load_brought(step, spec)
        if spec.trainer:
            way_out = f"teach it with `restorekit train {spec.name}`, and name the weights file instead"
            raise NotAvailable(str(step), "has not learned anything yet: no weights come with it", way_out)
        config_class = resolve(spec, spec.config)
        config_values, settings_values = split(step, spec, config_class, _settings_class(spec))
        config = validated(step, config_class, config_values)
        settings = _settings(step, spec, settings_values)
        return Loaded(self.construct(spec, config), spec, self._owners[spec.name], config, settings)

    def build(self, name: str, config: Mapping[str, Any] | None = None) -> Loaded:
        """Build a generator without weights, to be trained.

        Parameters
        ----------
        name : str
            The generator's.
        config : mapping, optional
            Values of its configuration that are not the defaults, typed or as text.

        Raises
        ------
        UsageError
            Unknown generator or setting, or a value that is not allowed.
        NotAvailable
            The plugin's code or something it needs cannot be imported.
        """
        spec = self.spec(name)
        step = Step(name, settings=dict(config or {}))
        config_class = resolve(spec, spec.config)
        values, _ = split(step, spec, config_class, None)
        chosen = validated(step, config_class, values)
        return Loaded(self.construct(spec, chosen), spec, self._owners[name], chosen, _settings(step, spec, {}))

    def construct(self, spec: GeneratorSpec, config: object) -> object:
        """Call a spec's factory.

        Raises
        ------
        NotAvailable
            It cannot be imported, or fails.
        """
        factory = resolve(spec, spec.factory)
        try:
            return factory(config)
        except (UsageError, NotAvailable):
            raise
        except Exception as error:
            plugin = self._owners[spec.name]
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            way_out = f"it comes from {plugin.distribution} {plugin.version} (plugin {plugin.name})"
            raise NotAvailable(spec.name, f"could not be built ({text})", way_out) from error

    def _load_weights(self, step: Step, path: Path) -> Loaded:
        from restorekit.weights.files import WeightsFile
        from restorekit.weights.loading import build_from
        from restorekit.weights.sources import variant

        with WeightsFile(path) as file:
            spec = self._spec_for(file)
            if not step.is_file and spec.name != step.name:
                raise file.problem(f"is for generator {spec.name}, not for {step.name}")
            chosen, ensemble = split_ensemble(step)
            chosen = dataclasses.replace(chosen, choice="")  # it has named the file; what is left are settings
            settings = _settings(step, spec, split(chosen, spec, None, _settings_class(spec))[1])
            config_class = resolve(spec, spec.config)
            generator, config, sha256 = build_from(file, config_class, lambda config: self.construct(spec, config))
        if not step.is_file:
            variant(spec, step.choice).require_sha256(sha256)
        return Loaded(generator, spec, self._owners[spec.name], config, settings, sha256, ensemble)

    def _load_brought(self, step: Step, spec: GeneratorSpec) -> Loaded:
        from restorekit.weights.checksums import content_sha256
        from restorekit.weights.sources import brought

        paths = brought(spec, step)
        chosen, ensemble = split_ensemble(step)
        config_class = resolve(spec, spec.config)
        values, settings = split(chosen, spec, config_class, _settings_class(spec))
        config = validated(step, config_class, {**values, **{field: str(path) for field, path in paths.items()}})
        sha256 = content_sha256(*paths.values())
        generator = self.construct(spec, config)
        if content_sha256(*paths.values()) != sha256:
            raise NotAvailable(paths[spec.weights_setting], "was changed while it was read", "try again")
        plugin = self._owners[spec.name]
        return Loaded(generator, spec, plugin, config, _settings(step, spec, settings), sha256, ensemble)

    def _spec_for(self, file: WeightsFile) -> GeneratorSpec:
        name = file.header.generator
        if name not in self._owners:
            way_out = "install the plugin that brings it; `restorekit plugins` shows what there is"
            raise file.problem(f"is for generator {name}, which is not installed", way_out)
        return self.spec(name)


def assemble(found: Iterable[FoundPlugin], disabled: Iterable[str] = (), only: Iterable[str] = ()) -> Registry:
    """Import plugins, see `restorekit.discovery.import_plugins`, and make a registry of them."""
    return Registry(import_plugins(found, disabled, only))


@functools.cache
def registry() -> Registry:
    """Return the registry of this process, assembled on first use."""
    return assemble(discover(), _names(DISABLE_VARIABLE), _names(ONLY_VARIABLE))


def _names(variable: str) -> list[str]:
    return [name.strip() for name in os.environ.get(variable, "").split(",") if name.strip()]


def _settings_class(spec: GeneratorSpec) -> type | None:
    return resolve(spec, spec.settings) if spec.settings else None


def _settings(step: Step, spec: GeneratorSpec, values: Mapping[str, str]) -> dict[str, object]:
    owner = _settings_class(spec)
    return dataclasses.asdict(validated(step, owner, values)) if owner else {}
