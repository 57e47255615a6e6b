"""A new plugin is complete, its name is one that it may have, and nothing that exists is touched."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from restorekit.discovery import discover
from restorekit.errors import UsageError
from restorekit.registry import assemble
from restorekit.scaffold import KINDS, LICENCES, create
from restorekit.testing import checks_for

#: Checks that start a process; the journey makes them.
ELSEWHERE = {"light-import", "new-process", "no-pickle", "no-network", "no-programs", "no-writes"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_passes_the_kit_as_it_is(kind, tmp_path, monkeypatch):
    name = f"fresh-{kind}"
    create(name, kind, tmp_path / "project")
    source, package = tmp_path / "project/src", name.replace("-", "_")
    about = source / f"{package}-0.1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n")
    (about / "entry_points.txt").write_text(f"[restorekit]\n{name} = {package}\n")
    monkeypatch.syspath_prepend(str(source))
    importlib.invalidate_caches()
    found = assemble(plugin for plugin in discover() if plugin.name in (name, "classical"))
    bound = [each for each in checks_for(name, found) if each.check.name not in ELSEWHERE]
    assert len(bound) > 10
    for check in bound:
        check()


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_plugin_is_clean_in_the_eyes_of_ruff(kind, tmp_path):
    create("my-restorer", kind, tmp_path / "project", author="Ada Lovelace")
    rules = ["--isolated", "--line-length", "120"]
    for command in (["check", "--select", "E,F,W,I,UP,B,RUF,SIM,PTH"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *rules], cwd=tmp_path / "project", capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("licence", LICENCES)
def test_the_licence_is_the_one_asked_for(licence, tmp_path):
    create("my-restorer", "classical", tmp_path / "project", licence=licence, author="Ada Lovelace")
    text = (tmp_path / "project/LICENSE").read_text()
    assert {"Apache-2.0": "Apache License", "BSD-3-Clause": "BSD 3-Clause", "MIT": "MIT License"}[licence] in text
    assert f'license = "{licence}"' in (tmp_path / "project/pyproject.toml").read_text()
    assert licence == "Apache-2.0" or "Ada Lovelace" in text


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My_Restorer", "joined by '-', beginning with a letter: my-restorer"),
        ("../evil", "evil"),
        ("3d", "is no name for a plugin"),
        ("-", "is no name for a plugin"),
        ("a--b", "a-b"),
        ("json", "a word of Python's own"),
        ("class", "a word of Python's own"),
        ("numpy", "would hide the installed package numpy"),
        ("nlmeans", "is taken: restorekit"),
        ("classical", "is taken: restorekit"),
    ],
)
def test_a_name_that_cannot_be_is_refused_in_one_line(name, said, tmp_path):
    with pytest.raises(UsageError) as caught:
        create(name, "classical", tmp_path / "project")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "project").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "note.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there already; choose another -o"):
        create("my-restorer", "classical", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["note.txt"]


@pytest.mark.parametrize(("option", "value"), [("kind", "magic"), ("licence", "WTFPL")])
def test_an_unknown_kind_or_licence_lists_those_there_are(option, value, tmp_path):
    options = {"kind": "classical", option: value}
    with pytest.raises(UsageError, match=f"--{option}: '{value}' is unknown; choose one of"):
        create("my-restorer", options.pop("kind"), tmp_path / "project", **options)


def test_the_command_tells_what_to_type_next(cli, tmp_path: Path):
    done = cli("plugins", "new", "my-restorer", "--kind", "trainable")
    assert done.stdout.splitlines() == [
        "pip install -e my-restorer",
        "restorekit plugins check my-restorer",
        "restorekit train my-restorer --smoke -o run",
        "restorekit restore PICTURES -o restored --with run/weights.safetensors",
    ]
    assert (tmp_path / "my-restorer/.github/workflows/test.yml").exists()
    assert cli("plugins", "new", "my-restorer", check=2).stderr.count("\n") == 1


def test_a_package_may_have_any_word_of_the_templates_in_its_name(tmp_path):
    create("dot-package", "classical", tmp_path / "project")
    assert (tmp_path / "project/src/dot_package/generator.py").exists()
