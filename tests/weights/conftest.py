"""A small plugin, its weights, and a folder that another process can find both in."""

from __future__ import annotations

import http.server
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from restorekit.registry import FoundPlugin, Registry, assemble
from restorekit.weights import save
from tests.conftest import REPOSITORY

from . import tiny
from .tiny import tiny_spec
from .tiny_network import Tiny, TinyConfig

RECORD = {"data": "CID22", "terms": "CC BY-SA 4.0", "steps": 1000, "seed": 3, "degradation": ["noise:25"]}
METRIC = {"name": "PSNR", "value": 31.5, "protocol": "RGB, uint8", "data": "CID22 val"}


def registry_of(*specs) -> Registry:
    """A registry with one plugin that brings these specs."""
    from tests.test_registry import found, plugin_yielding

    return assemble([found("tiny", plugin_yielding(*specs))])


def make_tiny(seed: int = 0, **config) -> Tiny:
    """A network with reproducible weights, its statistics included."""
    torch.manual_seed(seed)
    generator = Tiny(TinyConfig(**config))
    generator.norm.running_mean.normal_()  # pyright: ignore
    return generator.eval()


def save_tiny(path: Path, seed: int = 0, features: int = 4, **options) -> Tiny:
    """Save such a network, and return it."""
    generator = make_tiny(seed, features=features)
    config = TinyConfig(features=features)
    described = {"training": RECORD, "metrics": [METRIC], "licence": "CC-BY-SA-4.0", **options}
    save(generator, path, spec=tiny_spec(), config=config, **described)
    return generator


@pytest.fixture
def registry() -> Registry:
    return assemble([FoundPlugin("tiny", "tiny", "1.0", lambda: tiny)])


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A sound weights file."""
    save_tiny(tmp_path / "tiny.safetensors")
    return tmp_path / "tiny.safetensors"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on the path with the plugin's entry point and its two bundled files."""
    site = tmp_path / "site"
    package = site / "tiny_weights"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    save_tiny(package / "plain.safetensors")
    save_tiny(package / "other.safetensors", seed=1)
    information = site / "tiny-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[restorekit]\ntiny = tests.weights.tiny\n")
    monkeypatch.syspath_prepend(site)
    # Not the user's cache; and what another process is to find.
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(REPOSITORY)]))
    yield site
    sys.modules.pop("tiny_weights", None)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[Path, str, list[str]]]:
    """A web server of a folder: the folder, its address, and a list that grows with each request."""
    folder = tmp_path / "web"
    folder.mkdir()
    asked: list[str] = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments, **keywords):
            super().__init__(*arguments, directory=str(folder), **keywords)

        def log_message(self, format, *args):
            asked.append(self.path)

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True).start()
        yield folder, f"http://127.0.0.1:{httpd.server_port}", asked
        httpd.shutdown()
