"""Pairs are found by name alone; whatever is not sure is told, never guessed."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from restorekit.errors import UsageError
from restorekit.evaluation.pairing import pair


@pytest.fixture
def folders(tmp_path):
    """Make two folders of tiny pictures from two lists of names."""

    def make(restored, reference, masks=()):
        for folder, names in (("restored", restored), ("reference", reference), ("masks", masks)):
            for name in ["", *names]:
                path = tmp_path / folder / name
                (path.parent if name else path).mkdir(parents=True, exist_ok=True)
                if name:
                    suffix = path.suffix if path.suffix.lower() in (".png", ".jpg", ".webp") else ".png"
                    path.write_bytes(cv2.imencode(suffix.lower(), np.zeros((4, 4, 3), np.uint8))[1].tobytes())
        return tmp_path / "restored", tmp_path / "reference"

    return make


def names(found, root):
    return {each.name: each.restored.relative_to(root).as_posix() for each in found.pairs}


def manifest(folder, records):
    """Write what a run leaves behind."""
    lines = [{"kind": "run", "schema": 1, "settings": {}}]
    lines += [{"kind": "result", "input": a, "output": b, "status": "done"} for a, b in records.items()]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def test_equal_names_belong_together_below_sub_folders_too(folders):
    restored, reference = folders(["a.png", "x/a.png", "x/y/b.png"], ["a.png", "x/a.png", "x/y/b.png"])
    found = pair(restored, reference)
    assert names(found, restored) == {"a.png": "a.png", "x/a.png": "x/a.png", "x/y/b.png": "x/y/b.png"}
    assert found.missing == found.extra == found.refused == ()


def test_the_extension_may_differ(folders):
    restored, reference = folders(["x/b.png", "c.d.webp"], ["x/b.jpg", "c.d.png"])
    assert names(pair(restored, reference), restored) == {"x/b.jpg": "x/b.png", "c.d.png": "c.d.webp"}


def test_missing_and_extra_are_reported_and_nothing_is_paired_by_position(folders):
    restored, reference = folders(["b.png", "c.png", "e.png"], ["a.png", "b.png", "d.png"])
    found = pair(restored, reference)
    assert names(found, restored) == {"b.png": "b.png"}
    assert found.missing == ("a.png", "d.png")
    assert found.extra == ("c.png", "e.png")


def test_an_equal_extension_decides_where_two_references_share_a_stem(folders):
    restored, reference = folders(["b.png", "b.jpg"], ["b.jpg", "b.png"])
    assert names(pair(restored, reference), restored) == {"b.jpg": "b.jpg", "b.png": "b.png"}


def test_a_converted_name_that_kept_the_old_extension_is_understood(folders):
    restored, reference = folders(["b.png", "b.jpg.png"], ["b.jpg", "b.png"])
    assert names(pair(restored, reference), restored) == {"b.jpg": "b.jpg.png", "b.png": "b.png"}


@pytest.mark.parametrize("restored_names", [["b.webp"], ["b.webp", "b.png"]])
def test_two_possible_references_are_refused_even_if_one_of_them_is_taken(folders, restored_names):
    restored, reference = folders(restored_names, ["b.jpg", "b.png", "a.png"])
    found = pair(restored, reference)
    assert found.refused == (("b.webp", "could belong to b.jpg or b.png; give it the whole name of its reference"),)
    assert "b.webp" not in names(found, restored).values()


def test_two_restored_pictures_for_one_reference_are_refused(folders):
    restored, reference = folders(["b.webp", "b.jpg", "a.png"], ["b.png", "a.png"])
    found = pair(restored, reference)
    assert names(found, restored) == {"a.png": "a.png"}
    assert [name for name, _ in found.refused] == ["b.jpg", "b.webp"]
    assert "belongs to b.png as b.webp does" in found.refused[0][1]


def test_case_is_overlooked_only_where_it_tells_nothing(folders):
    restored, reference = folders(["A.PNG", "b.png", "B.png"], ["a.png", "B.png", "b.png"])
    assert names(pair(restored, reference), restored) == {"a.png": "A.PNG", "B.png": "B.png", "b.png": "b.png"}


def test_the_manifest_of_a_run_tells_which_input_an_output_was_made_from(folders):
    restored, reference = folders(["b.webp", "b.png.webp"], ["b.jpg", "b.png"])
    assert len(pair(restored, reference).refused) == 1
    manifest(restored, {"b.jpg": "b.webp", "b.png": "b.png.webp"})
    assert names(pair(restored, reference), restored) == {"b.jpg": "b.webp", "b.png": "b.png.webp"}


def test_a_file_that_is_only_called_a_manifest_is_passed_over(folders):
    restored, reference = folders(["a.png"], ["a.png"])
    (restored / "manifest.jsonl").write_text("not ours\n")
    assert names(pair(restored, reference), restored) == {"a.png": "a.png"}


def test_masks_are_no_pictures_and_are_found_beside_the_reference_or_in_their_folder(folders, tmp_path):
    restored, reference = folders(["a.png", "b.png"], ["a.png", "a.mask.png", "b.png"], ["b.png"])
    assert [each.mask for each in pair(restored, reference).pairs] == [reference / "a.mask.png", None]
    apart = pair(restored, reference, tmp_path / "masks")
    assert [each.mask for each in apart.pairs] == [None, tmp_path / "masks/b.png"]
    assert [each.mask for each in pair(restored, reference, reference).pairs] == [reference / "a.mask.png", None]


def test_two_files_are_a_pair_whatever_their_names(folders):
    restored, reference = folders(["a.png"], ["b.png"])
    found = pair(restored / "a.png", reference / "b.png")
    assert [(each.name, each.restored.name) for each in found.pairs] == [("b.png", "a.png")]


@pytest.mark.parametrize(
    ("restored_names", "reference_names", "message"),
    [
        ([], ["a.png"], "restored: holds no picture"),
        (["a.png"], [], "reference: holds no picture"),
        (["a.png"], ["b.png"], "none of its 1 names is among the 1 of"),
    ],
)
def test_nothing_to_pair_is_one_clear_line(folders, restored_names, reference_names, message):
    with pytest.raises(UsageError, match=message):
        pair(*folders(restored_names, reference_names))


def test_a_file_and_a_folder_or_nothing_at_all_cannot_be_paired(folders):
    restored, reference = folders(["a.png"], ["a.png"])
    with pytest.raises(UsageError, match="give two folders or two files"):
        pair(restored / "a.png", reference)
    with pytest.raises(UsageError, match="nowhere: does not exist"):
        pair(Path("nowhere"), reference)
