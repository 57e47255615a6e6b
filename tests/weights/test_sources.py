"""Weights are fetched once, checked, and kept; a failed download leaves nothing."""

import hashlib
import os
from pathlib import Path

import pytest

from restorekit.downloads import cache_folder
from restorekit.errors import NotAvailable, OutputError, UsageError
from restorekit.specs import WeightsSource
from restorekit.weights.sources import fetch, variants

from .conftest import registry_of, save_tiny
from .tiny import BUNDLED, tiny_spec


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def remote(url: str, sha256: str):
    return tiny_spec(weights=(WeightsSource(name="remote", url=url, sha256=sha256),))


def test_weights_are_fetched_once_and_load_from_the_cache(server, cache):
    folder, url, asked = server
    save_tiny(folder / "w.safetensors")
    spec = remote(f"{url}/w.safetensors", hashlib.sha256((folder / "w.safetensors").read_bytes()).hexdigest())
    assert [found.status for found in variants(spec)] == ["missing"]
    path = fetch(spec, "remote")
    assert cache in path.parents
    assert [found.status for found in variants(spec)] == ["fetched"]
    assert registry_of(spec).load("tiny").weights_sha256 == spec.weights[0].sha256
    assert fetch(spec) == path
    assert len(asked) == 1


def test_a_download_that_is_not_the_promised_file_is_not_kept(server, cache):
    folder, url, _ = server
    (folder / "w.safetensors").write_bytes(b"an error page")
    with pytest.raises(NotAvailable, match="is not what it should be"):
        fetch(remote(f"{url}/w.safetensors", "0" * 64))
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_a_damaged_file_in_the_cache_is_fetched_again(server):
    folder, url, _ = server
    save_tiny(folder / "w.safetensors")
    whole = (folder / "w.safetensors").read_bytes()
    spec = remote(f"{url}/w.safetensors", hashlib.sha256(whole).hexdigest())
    path = fetch(spec)
    path.write_bytes(whole[:-4] + b"\0\0\0\1")
    with pytest.raises(NotAvailable, match="damaged"):
        registry_of(spec).load("tiny")
    assert fetch(spec).read_bytes() == whole


@pytest.mark.parametrize(
    ("path", "message"),
    [("gone.safetensors", "the server answers 404"), (None, "its server refuses connections")],
)
def test_a_failed_download_is_one_line_with_a_way_to_do_it_by_hand(server, cache, path, message):
    url = f"{server[1]}/{path}" if path else "http://127.0.0.1:9/w.safetensors"
    with pytest.raises(
        NotAvailable, match=rf"tiny:remote: cannot be downloaded \({message}\); .* put the file"
    ) as caught:
        fetch(remote(url, "0" * 64))
    assert str(cache) in str(caught.value)
    assert not [file for file in cache.rglob("*") if file.is_file()]


def test_a_cache_that_cannot_be_written_is_said(server, cache):
    cache.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="set RESTOREKIT_CACHE"):
        fetch(remote(f"{server[1]}/w.safetensors", "0" * 64))


def test_two_releases_of_a_plugin_do_not_share_a_file():
    one, two = (variants(remote("https://example.org/w", digit * 64))[0].path for digit in "ab")
    assert one != two


@pytest.mark.usefixtures("site")
def test_bundled_weights_need_no_fetching():
    assert fetch(tiny_spec(weights=(BUNDLED,))).name == "plain.safetensors"
    with pytest.raises(UsageError, match="it has plain"):
        fetch(tiny_spec(weights=(BUNDLED,)), "zzz")


def test_without_a_choice_the_cache_is_where_the_system_has_such_things(monkeypatch):
    monkeypatch.delenv("RESTOREKIT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert "restorekit" in cache_folder().parts
    assert os.fspath(cache_folder()) != "restorekit"


@pytest.mark.parametrize(
    "values",
    [
        {"name": "../up", "file": "a:b"},
        {"name": "", "file": "a:b"},
        {"name": "short", "url": "https://example.org/w", "sha256": "abc"},
    ],
)
def test_a_source_that_cannot_be_right_is_refused_where_it_is_written(values):
    with pytest.raises(ValueError, match="weights"):
        WeightsSource(**values)
