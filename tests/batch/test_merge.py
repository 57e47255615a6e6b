"""Shards' manifests become one, with nothing lost and nothing done again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from restorekit.batch import merge as merging
from restorekit.batch import restore as batch
from restorekit.batch.lock import locked
from restorekit.batch.manifest import SCHEMA, read_history
from restorekit.batch.merge import merge_manifests
from restorekit.batch.plan import Shard
from restorekit.batch.restore import Options
from restorekit.errors import OutputError, UsageError
from restorekit.registry import registry
from restorekit.specs import Step

from .conftest import contents


def restore(source: Path, target: Path, step: str = "median:3", **options):
    steps = (Step.parse(step),)
    return batch.restore([source], target, Options(steps=steps, report=False, **options), registry=registry())


def shards(source: Path, target: Path, count: int = 3, step: str = "median:3", **options) -> None:
    for index in range(1, count + 1):
        restore(source, target, step, shard=Shard(index, count), **options)


def manifests(target: Path) -> set[str]:
    return {path.name for path in target.glob("manifest*")}


def skipped(source: Path, target: Path, step: str = "median:3") -> int:
    result = restore(source, target, step)
    assert result.failed == 0
    return result.skipped


def test_shards_of_one_run_become_one_manifest_that_later_runs_go_on_from(pictures, tmp_path, cli):
    (pictures / "broken.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    shards(pictures, out)
    whole = contents(out)
    done = cli("manifest", "merge", "out", "--json")
    assert json.loads(done.stdout) == {
        "done": 12,
        "failed": 1,
        "manifest": "out/manifest.jsonl",
        "report": "out/report.html",
        "merged": [f"manifest.{index}-of-3.jsonl" for index in (1, 2, 3)],
        "missing": [],
    }
    assert manifests(out) == {"manifest.jsonl"}
    assert len(read_history(out / "manifest.jsonl").records) == 13
    report = (out / "report.html").read_text()
    assert report.count("data:image/") >= 24, "the merged report shows no pictures"
    assert "broken.png" in report
    (pictures / "broken.png").unlink()
    assert skipped(pictures, out) == 12
    assert contents(out) == whole


def test_a_shard_that_is_not_there_yet_is_named_and_merged_later(pictures, tmp_path):
    out = tmp_path / "out"
    restore(pictures, out, shard=Shard(1, 3))
    restore(pictures, out, shard=Shard(3, 3))
    assert merge_manifests(out, report=False).missing == ("2/3",)
    restore(pictures, out, shard=Shard(2, 3))
    merged = merge_manifests(out, report=False)
    assert (merged.done, merged.missing) == (12, ())
    assert skipped(pictures, out) == 12


def test_of_two_results_the_later_run_counts_merged_or_not(pictures, tmp_path):
    out = tmp_path / "out"
    shards(pictures, out)
    assert restore(pictures, out, "median:5", overwrite=True).done == 12
    assert skipped(pictures, out, "median:5") == 12  # the shards' manifests are still there, and older
    restore(pictures, out, "median:7", overwrite=True, shard=Shard(2, 3))
    with pytest.raises(UsageError, match=r"median:5'\] in manifest.jsonl, \['median:7'\] in manifest.2-of-3.jsonl"):
        merge_manifests(out, report=False)
    for index in (1, 3):
        restore(pictures, out, "median:7", overwrite=True, shard=Shard(index, 3))
    restore(pictures, out, "median:7", overwrite=True)
    merge_manifests(out, report=False)
    assert skipped(pictures, out, "median:7") == 12


def test_shards_with_different_settings_are_refused_and_nothing_is_changed(pictures, tmp_path, cli):
    out = tmp_path / "out"
    restore(pictures, out, shard=Shard(1, 2))
    restore(pictures, tmp_path / "other", "median:5", shard=Shard(2, 2))
    (tmp_path / "other/manifest.2-of-2.jsonl").rename(out / "manifest.2-of-2.jsonl")
    before = {path: path.read_bytes() for path in out.glob("manifest*")}
    done = cli("manifest", "merge", "out", check=2)
    assert done.stderr.count("\n") == 1
    assert "steps ['median:3'] in manifest.1-of-2.jsonl, ['median:5'] in manifest.2-of-2.jsonl" in done.stderr
    assert {path: path.read_bytes() for path in out.glob("manifest*")} == before


def test_a_running_shard_another_schema_and_nothing_to_merge_are_refused(pictures, tmp_path):
    out = tmp_path / "out"
    shards(pictures, out, 2)
    before = {path: path.read_bytes() for path in out.glob("manifest*")}
    with locked(out, Shard(2, 2)), pytest.raises(OutputError, match="another run is writing here"):
        merge_manifests(out)
    (out / "manifest.9-of-9.jsonl").write_text(json.dumps({"kind": "run", "schema": SCHEMA + 1, "settings": {}}) + "\n")
    with pytest.raises(OutputError, match=rf"manifest.9-of-9.jsonl: has schema {SCHEMA + 1}"):
        merge_manifests(out)
    (out / "manifest.9-of-9.jsonl").unlink()
    assert {path: path.read_bytes() for path in out.glob("manifest*")} == before
    assert not (out / "report.html").exists()
    merge_manifests(out, report=False)
    with pytest.raises(UsageError, match="holds no manifest of a shard"):
        merge_manifests(out)
    with pytest.raises(UsageError, match="is no folder"):
        merge_manifests(tmp_path / "nowhere")


@pytest.mark.parametrize("survives", range(4))
def test_a_crash_at_any_point_of_a_merge_loses_nothing(pictures, tmp_path, monkeypatch, survives):
    out = tmp_path / "out"
    shards(pictures, out)
    calls = [0]

    def crashing(function):
        def crash(*arguments, **keywords):
            if calls[0] == survives:
                raise KeyboardInterrupt
            calls[0] += 1
            return function(*arguments, **keywords)

        return crash

    with monkeypatch.context() as patched:
        patched.setattr(merging, "replace_file", crashing(merging.replace_file))
        patched.setattr(Path, "unlink", crashing(Path.unlink))
        with pytest.raises(KeyboardInterrupt):
            merge_manifests(out, report=False)
    assert skipped(pictures, out) == 12
    merge_manifests(out, report=False)
    assert manifests(out) == {"manifest.jsonl"}
    assert skipped(pictures, out) == 12
    lines = [json.loads(line) for line in (out / "manifest.jsonl").read_text().splitlines()]
    assert sum(line["kind"] == "result" for line in lines) == 12, "a run was copied twice"


def test_an_output_that_a_crash_left_unrecorded_is_recognised_after_the_merge(pictures, tmp_path):
    out = tmp_path / "out"
    shards(pictures, out)
    manifest = out / "manifest.2-of-3.jsonl"
    manifest.write_bytes(manifest.read_bytes()[:-25])  # its last result line is torn
    assert merge_manifests(out, report=False).done == 11
    assert skipped(pictures, out) == 12
