"""What the documents say is true: commands are CI's, files exist, the example plugin works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import REPOSITORY

DOCUMENTS = [REPOSITORY / "README.md", REPOSITORY / "plugins/README.md", *sorted((REPOSITORY / "docs").rglob("*.md"))]


def test_ci_runs_the_very_commands_of_the_readme():
    commands = re.findall(r"^pip install .+$", (REPOSITORY / "README.md").read_text(), re.MULTILINE)
    assert len(commands) == 2
    script = (REPOSITORY / ".ci/run").read_text()
    restore, test = commands
    assert restore in script
    install, run = test.split(" && ")
    assert install.removeprefix("pip install ") in script
    assert re.search(rf"^{run}$", script, re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(REPOSITORY).as_posix())
def test_links_in_documents_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (document.parent / target).exists(), target


def test_the_plugin_in_the_plugins_readme_works_once_installed(tmp_path, samples):
    text = (REPOSITORY / "plugins/README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", text, re.DOTALL)
    name, version = (re.search(rf'^{key} = "(.+)"$', project, re.MULTILINE) for key in ("name", "version"))
    assert name
    assert version
    # What pip would lay down: the module and its metadata.
    metadata = tmp_path / f"{name[1].replace('-', '_')}-{version[1]}.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name[1]}\nVersion: {version[1]}\n")
    points = project.partition("[project.entry-points.restorekit]")[2].strip().replace('"', "")
    (metadata / "entry_points.txt").write_text(f"[restorekit]\n{points}\n")
    (tmp_path / "my_vignette.py").write_text(code)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    arguments = ["restore", str(samples / "clean.jpg"), "-o", "out", "--with", "vignette:0.8"]
    done = subprocess.run(
        [sys.executable, "-m", "restorekit", *arguments],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "1 restored" in done.stderr
    assert Path(tmp_path / "out/clean.jpg").stat().st_size > 1000
