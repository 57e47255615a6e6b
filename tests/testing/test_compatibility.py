"""What api 1 promises: old plugins go on working, and newer ones are told what to install."""

from __future__ import annotations

import types
import warnings

import pluggy
import pytest

import restorekit_denoiser
from restorekit import deprecation, discovery
from restorekit.deprecation import RestorekitDeprecationWarning, warn_deprecated
from restorekit.hookspecs import PROJECT, hookspec
from restorekit.plugin import GeneratorSpec, hookimpl
from restorekit.registry import FoundPlugin, Plugin, assemble


def test_a_hook_may_be_given_arguments_without_breaking_plugins_that_do_not_ask_for_them():
    @hookspec
    def restorekit_generators(version: str):
        """The hook of a later restorekit."""

    later = types.ModuleType("later")
    later.restorekit_generators = restorekit_generators  # pyright: ignore[reportAttributeAccessIssue]
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(later)
    manager.register(restorekit_denoiser)
    manager.check_pending()
    (specs,) = manager.hook.restorekit_generators(version="2.0")
    assert [spec.name for spec in specs] == ["denoiser"]


def outcome(monkeypatch: pytest.MonkeyPatch, asks: str, hook) -> Plugin:
    """Import a plugin whose metadata ask for something."""
    module = types.ModuleType("future")
    module.restorekit_generators = hookimpl(hook, specname="restorekit_generators")  # pyright: ignore
    monkeypatch.setattr(discovery.metadata, "requires", lambda name: [asks, "numpy>=1"])
    return assemble([FoundPlugin("future", "future-restorer", "3.0", lambda: module)]).plugins[0]


def spec(**more: object) -> GeneratorSpec:
    return GeneratorSpec(
        name="future",
        summary="",
        tasks=frozenset({"denoise"}),
        factory="a:B",
        config="a:B",
        **more,  # pyright: ignore
    )


def test_a_plugin_for_a_newer_api_is_refused_with_the_release_to_install(monkeypatch):
    plugin = outcome(monkeypatch, "restorekit>=7.1", lambda: [spec(api=2)])
    assert plugin.status == "broken"
    assert "written for api 2, a newer contract" in plugin.reason
    assert "pip install --upgrade 'restorekit>=7.1'" in plugin.reason


def test_a_plugin_for_an_older_api_is_told_to_be_upgraded(monkeypatch):
    plugin = outcome(monkeypatch, "restorekit", lambda: [spec(api=0)])
    assert "an older contract" in plugin.reason
    assert "pip install --upgrade 'future-restorer'" in plugin.reason


def test_a_field_that_only_a_later_restorekit_has_names_that_restorekit(monkeypatch):
    reason = outcome(monkeypatch, "restorekit>=7.1", lambda: [spec(novelty=True)]).reason
    assert "novelty" in reason
    assert "asks for restorekit>=7.1" in reason
    assert "pip install 'restorekit>=7.1'" in reason


def test_an_ordinary_fault_is_not_blamed_on_the_release(monkeypatch):
    reason = outcome(monkeypatch, "restorekit>=0.1", lambda: 1 / 0).reason
    assert reason == "ZeroDivisionError: division by zero"


def test_only_the_plugins_that_are_named_are_imported():
    loud = FoundPlugin("loud", "other", "1.0", lambda: pytest.fail("imported"))
    quiet = FoundPlugin("denoiser", "restorekit", "1.0", lambda: restorekit_denoiser)
    assembled = assemble([quiet, loud], only=["denoiser"])
    assert [plugin.status for plugin in assembled.plugins] == ["ok", "disabled"]
    assert "--only-plugins" in assembled.plugins[1].reason


def test_the_command_line_loads_the_named_plugins_alone(cli):
    listed = cli("--only-plugins", "auto,denoiser", "generators").stdout
    assert "denoiser" in listed
    assert "nlmeans" not in listed


def test_a_deprecation_names_the_release_and_points_at_the_caller():
    def old() -> None:
        warn_deprecated("old()", removed_in="0.9", instead="new()")

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        old()
    (warning,) = caught
    assert warning.category is RestorekitDeprecationWarning
    assert str(warning.message) == "old() is deprecated and will be gone in restorekit 0.9; use new()"
    assert warning.filename == __file__
    assert deprecation.__name__ not in warning.filename
