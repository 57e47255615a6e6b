"""Each plugin stands for itself: whatever is wrong with one, the others are there."""

import sys
import types
from typing import Annotated

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from restorekit.errors import NotAvailable, UsageError
from restorekit.plugin import Batch, GeneratorSpec, Geometry, hookimpl
from restorekit.registry import FoundPlugin, Registry, assemble, registry


def spec(name: str = "mine", **changes) -> GeneratorSpec:
    values = {
        "name": name,
        "summary": "For tests.",
        "tasks": frozenset({"denoise"}),
        "factory": f"{__name__}:Mine",
        "config": f"{__name__}:MineConfig",
    }
    return GeneratorSpec(**{**values, **changes})


def found(name: str, load, distribution: str = "third-party") -> FoundPlugin:
    return FoundPlugin(name, distribution, "1.0", load)


def plugin_yielding(*specs: object):
    module = types.ModuleType("plugin")

    @hookimpl
    def restorekit_generators():
        return iter(specs)

    module.restorekit_generators = restorekit_generators  # pyright: ignore[reportAttributeAccessIssue]
    return lambda: module


def good() -> FoundPlugin:
    return found("good", plugin_yielding(spec("good-one")), distribution="restorekit")


def only_broken(broken: FoundPlugin) -> str:
    """Assemble a plugin with a good one around it; return why it is broken."""
    assembled = assemble([good(), broken, found("after", plugin_yielding(spec("later-one")))])
    assert [plugin.status for plugin in assembled.plugins] == ["ok", "broken", "ok"]
    assert [s.name for s in assembled.generators] == ["good-one", "later-one"]
    return assembled.plugins[1].reason


def test_an_import_error_breaks_only_its_plugin():
    def load():
        import no_such_module_anywhere  # noqa: F401  # pyright: ignore[reportMissingImports]

    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere'" in only_broken(found("bad", load))


def test_a_plugin_that_exits_on_import_breaks_only_itself():
    assert only_broken(found("bad", lambda: sys.exit("usage: ..."))) == "SystemExit: usage: ..."


def test_an_exception_in_the_hook_breaks_only_its_plugin():
    def specs():
        yield spec("half")
        raise RuntimeError("no luck")

    module = types.ModuleType("bad")
    module.restorekit_generators = hookimpl(lambda: specs(), specname="restorekit_generators")  # pyright: ignore
    assert only_broken(found("bad", lambda: module)) == "RuntimeError: no luck"


def test_a_misspelt_hook_is_named():
    module = types.ModuleType("bad")

    @hookimpl
    def restorekit_generator():
        return []

    module.restorekit_generator = restorekit_generator  # pyright: ignore[reportAttributeAccessIssue]
    reason = only_broken(found("bad", lambda: module))
    assert "restorekit_generator" in reason
    assert "the hook is called restorekit_generators" in reason


def test_a_plugin_without_a_hook_is_told_how():
    assert "hookimpl" in only_broken(found("bad", lambda: types.ModuleType("empty")))


def test_another_api_is_refused_with_both_numbers():
    reason = only_broken(found("bad", plugin_yielding(spec("future", api=7))))
    assert "api 7" in reason
    assert "api 1" in reason


def test_something_that_is_no_spec_is_refused():
    assert "yields a str" in only_broken(found("bad", plugin_yielding("dcgan")))


def test_a_name_that_is_taken_names_both_distributions():
    reason = only_broken(found("bad", plugin_yielding(spec("fine"), spec("good-one")), distribution="other"))
    assert "restorekit 1.0" in reason
    assert "other 1.0" in reason


def test_a_name_yielded_twice_by_one_plugin_is_refused():
    assert "twice" in only_broken(found("bad", plugin_yielding(spec("same"), spec("same"))))


def test_a_disabled_plugin_is_not_even_imported():
    assembled = assemble([good(), found("loud", lambda: pytest.fail("imported"))], disabled=["loud"])
    assert assembled.plugins[1].status == "disabled"


def test_a_star_disables_all_that_is_not_bundled():
    assembled = assemble([good(), found("other", plugin_yielding(spec()))], disabled=["*"])
    assert [plugin.status for plugin in assembled.plugins] == ["ok", "disabled"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Not Kebab"}, "lower-case"),
        ({"tasks": frozenset()}, "tasks"),
        ({"factory": "no_colon"}, "package.module:Name"),
    ],
)
def test_a_spec_that_cannot_be_right_is_refused_where_it_is_written(changes, message):
    with pytest.raises(ValueError, match=message):
        spec(**changes)


def test_an_unknown_generator_suggests_the_nearest_and_names_silent_plugins():
    assembled = assemble([good(), found("bad", lambda: 1 / 0)])
    with pytest.raises(UsageError, match=r"did you mean good-one\?.*bad"):
        assembled.spec("good-won")


@dataclass(frozen=True)
class MineConfig:
    """For tests.

    Parameters
    ----------
    strength : float
        How much, 0 to 10.
    tile_size : int
        Pixels.
    """

    strength: Annotated[float, Field(ge=0, le=10)] = 1.0
    tile_size: int = 8


class Mine:
    geometry = Geometry(halo=0)

    def __init__(self, config: MineConfig):
        self.config = config

    def restore(self, batch: Batch):
        return batch.images


@pytest.fixture
def mine() -> Registry:
    return assemble([found("mine", plugin_yielding(spec(choice="strength")))])


def test_choice_and_settings_arrive_validated_and_typed(mine: Registry):
    loaded = mine.load("mine:2.5,tile-size=16")
    assert (loaded.config.strength, loaded.config.tile_size) == (2.5, 16)  # pyright: ignore
    assert isinstance(loaded.generator, Mine)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ("mine:much", r"strength=much is not allowed; Input should be a valid number"),
        ("mine:11", r"strength=11 is not allowed; .*less than or equal to 10"),
        ("mine,strenth=1", r"no setting 'strenth'; did you mean strength\?"),
        ("mine,zzz=1", r"no setting 'zzz'; it has strength, tile_size"),
    ],
)
def test_what_is_not_allowed_is_said_in_one_line(mine: Registry, step: str, message: str):
    with pytest.raises(UsageError, match=message) as caught:
        mine.load(step)
    assert "\n" not in str(caught.value)


def test_settings_are_described_from_the_docstring(mine: Registry):
    assert mine.settings("mine")[0] == {
        "name": "strength",
        "default": "1.0",
        "type": "float",
        "help": "How much, 0 to 10.",
    }


def test_a_generator_that_cannot_be_imported_names_its_plugin():
    broken = assemble([found("mine", plugin_yielding(spec(factory="no_such_package.networks:Net")))])
    with pytest.raises(NotAvailable, match="No module named 'no_such_package'"):
        broken.load("mine")


def test_the_bundled_plugins_are_found_through_their_entry_points():
    bundled = {plugin.name: plugin for plugin in registry().plugins if plugin.distribution == "restorekit"}
    assert {"auto", "classical"} <= set(bundled)
    assert all(plugin.status == "ok" for plugin in bundled.values()), bundled
