"""Imports run one way, plugins know what is public alone, and the picture of the house is true."""

from __future__ import annotations

import pkgutil
import re

import pytest

from docs import make_architecture as house
from tests.conftest import REPOSITORY


def test_imports_run_one_way():
    arrows = house.arrows()
    assert arrows["cli"] >= {"api", "evaluation", "training"}
    assert arrows["contract"] == set()


def test_bundled_plugins_import_what_is_public_alone():
    house.check_plugins()


def test_every_module_belongs_to_a_part():
    for path in (REPOSITORY / "restorekit").iterdir():
        if path.suffix == ".py" or (path / "__init__.py").exists():
            house.part_of(f"restorekit.{path.stem}".removesuffix(".__init__"))


def test_the_picture_is_current():
    assert house.PICTURE.read_text(encoding="utf-8") == house.picture(), "run python docs/make_architecture.py"


@pytest.mark.parametrize("statement", ["from restorekit import training", "import restorekit.training.loop as loop"])
def test_an_import_that_goes_up_is_noticed(tmp_path, monkeypatch, statement):
    for place, text in {"restorekit/images/upstart.py": f"def later():\n    {statement}\n", "plugins/x": ""}.items():
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_text(text)
    monkeypatch.setattr(house, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"restorekit\.images\.upstart imports restorekit\.training.*images stands no"):
        house.arrows()


def test_a_plugin_that_looks_behind_the_contract_is_noticed(tmp_path, monkeypatch):
    folder = tmp_path / "plugins/restorekit_nosy"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(
        "from restorekit.plugin import hookimpl\nfrom restorekit.registry import registry\n"
    )
    monkeypatch.setattr(house, "ROOT", tmp_path)
    with pytest.raises(SystemExit, match=r"restorekit_nosy imports restorekit\.registry\.registry: a plugin knows"):
        house.check_plugins()


def test_a_chain_of_arrows_needs_no_shortcut():
    assert house.needed({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == [("a", "b"), ("b", "c")]


def test_the_page_names_what_there_is():
    page = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    names = set(re.findall(r"`([a-z_]+\.[A-Za-z_.]+)`", page)) - {"nn.Module"}
    assert len(names) > 15
    for name in names:
        assert pkgutil.resolve_name(f"restorekit.{name.removeprefix('restorekit.')}") is not None, name
