"""The plan: what is restored, under which name, with which mask."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restorekit.batch.plan import Shard, make_plan
from restorekit.errors import UsageError


def touch(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")


def outputs(plan) -> dict[str, str]:
    return {item.name: item.output for item in plan.items}


def test_folders_are_searched_recursively_and_keep_their_structure(tmp_path):
    touch(tmp_path / "in", "a.png", "sub/deep/b.JPG", "notes.txt", "sub/Thumbs.db")
    plan = make_plan([tmp_path / "in"], tmp_path / "out")
    assert outputs(plan) == {"a.png": "a.png", "sub/deep/b.JPG": "sub/deep/b.JPG"}
    assert {path.name for path in plan.ignored} == {"notes.txt", "Thumbs.db"}


def test_pictures_of_one_stem_both_survive_a_change_of_format(tmp_path):
    touch(tmp_path / "in", "a.png", "a.jpg", "a.tif", "b.jpeg")
    assert outputs(make_plan([tmp_path / "in"], tmp_path / "out", format="png")) == {
        "a.png": "a.png",
        "a.jpg": "a.jpg.png",
        "a.tif": "a.tif.png",
        "b.jpeg": "b.png",
    }


def test_names_that_differ_in_case_only_stay_apart_on_every_file_system(tmp_path):
    touch(tmp_path / "in", "a.png", "A.png")
    names = outputs(make_plan([tmp_path / "in"], tmp_path / "out")).values()
    assert len({name.casefold() for name in names}) == 2


def test_an_output_keeps_the_name_that_an_earlier_run_gave_it(tmp_path):
    touch(tmp_path / "in", "a.jpg")
    assert outputs(make_plan([tmp_path / "in"], tmp_path / "out", format="png")) == {"a.jpg": "a.png"}
    touch(tmp_path / "in", "a.png")
    later = make_plan([tmp_path / "in"], tmp_path / "out", format="png", known={"a.jpg": "a.png"})
    assert outputs(later) == {"a.jpg": "a.png", "a.png": "a (2).png"}


def test_several_folders_keep_their_names_apart(tmp_path):
    touch(tmp_path, "one/x.png", "two/x.png")
    plan = make_plan([tmp_path / "one", tmp_path / "two"], tmp_path / "out")
    assert sorted(outputs(plan).values()) == ["one/x.png", "two/x.png"]


def test_single_files_of_one_name_are_numbered(tmp_path):
    touch(tmp_path, "one/x.png", "two/x.png")
    plan = make_plan([tmp_path / "one/x.png", tmp_path / "two/x.png", tmp_path / "one/x.png"], tmp_path / "out")
    assert sorted(outputs(plan).values()) == ["x (2).png", "x.png"]


def test_the_output_folder_inside_the_input_folder_is_left_out(tmp_path):
    touch(tmp_path, "a.png", "out/a.png", "out/manifest.jsonl")
    assert outputs(make_plan([tmp_path], tmp_path / "out")) == {"a.png": "a.png"}


def test_the_input_folder_as_output_is_refused(tmp_path):
    touch(tmp_path, "a.png")
    with pytest.raises(UsageError, match="both input and output"):
        make_plan([tmp_path], tmp_path)


def test_an_output_that_would_replace_an_input_is_refused(tmp_path):
    touch(tmp_path, "x/a.png")
    with pytest.raises(UsageError, match="would be overwritten"):
        make_plan([tmp_path / "x/a.png"], tmp_path / "x")


def test_masks_beside_pictures_are_paired_and_never_restored_themselves(tmp_path):
    touch(tmp_path / "in", "a.png", "a.mask.png", "b.jpg", "b.jpg.mask.webp", "c.png", "lost.mask.png")
    plan = make_plan([tmp_path / "in"], tmp_path / "out")
    assert {item.name: item.mask and item.mask.name for item in plan.items} == {
        "a.png": "a.mask.png",
        "b.jpg": "b.jpg.mask.webp",
        "c.png": None,
    }
    assert [path.name for path in plan.ignored] == ["lost.mask.png"]


def test_a_single_file_finds_its_mask_too(tmp_path):
    touch(tmp_path, "a.png", "a.mask.png")
    (item,) = make_plan([tmp_path / "a.png"], tmp_path / "out").items
    assert item.mask == tmp_path / "a.mask.png"


def test_a_folder_of_masks_is_paired_by_name_in_any_format(tmp_path):
    touch(tmp_path / "in", "a.jpg", "sub/b.jpg", "c.jpg")
    touch(tmp_path / "masks", "a.png", "sub/b.mask.png")
    plan = make_plan([tmp_path / "in"], tmp_path / "out", masks=tmp_path / "masks")
    assert {item.name: item.mask and item.mask.name for item in plan.items} == {
        "a.jpg": "a.png",
        "sub/b.jpg": "b.mask.png",
        "c.jpg": None,
    }


def test_patterns_are_expanded_here_where_the_shell_did_not(tmp_path):
    touch(tmp_path, "a.png", "b.png", "c.jpg")
    assert set(outputs(make_plan([f"{tmp_path}/*.png"], tmp_path / "out"))) == {"a.png", "b.png"}


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(tmp_path):
    touch(tmp_path, "a[1].png", "a1.png")
    assert set(outputs(make_plan([f"{tmp_path}/a[1].png"], tmp_path / "out"))) == {"a[1].png"}


def test_an_input_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere: does not exist"):
        make_plan([tmp_path / "nowhere"], tmp_path / "out")


def test_links_that_lead_back_up_do_not_loop(tmp_path):
    touch(tmp_path / "in", "a.png", "sub/b.png")
    (tmp_path / "in/sub/up").symlink_to(tmp_path / "in")
    assert set(outputs(make_plan([tmp_path / "in"], tmp_path / "out"))) == {"a.png", "sub/b.png"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named_and_the_rest_goes_on(tmp_path):
    touch(tmp_path / "in", "a.png", "shut/b.png")
    (tmp_path / "in/shut").chmod(0)
    plan = make_plan([tmp_path / "in"], tmp_path / "out")
    (tmp_path / "in/shut").chmod(0o755)
    assert set(outputs(plan)) == {"a.png"}
    assert plan.unreadable[0][0].name == "shut"


@given(count=st.integers(1, 9), length=st.integers(0, 40))
def test_shards_share_the_plan_out_without_overlap(count, length):
    items = list(range(length))
    parts = [items[shard.index - 1 :: shard.count] for shard in (Shard(i, count) for i in range(1, count + 1))]
    assert sorted(item for part in parts for item in part) == items


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2", ""])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(UsageError, match="i/n"):
        Shard.parse(text)


names = st.text(st.sampled_from("abAB. ()2-é"), min_size=1, max_size=6).map(str.strip).filter(lambda n: n.strip(". "))


@given(stems=st.sets(names, min_size=1, max_size=8), format=st.sampled_from([None, "png", "jpeg"]))
def test_no_two_outputs_ever_meet(tmp_path_factory, stems, format):
    folder = tmp_path_factory.mktemp("plan")
    touch(folder / "in", *(f"{stem}{suffix}" for stem in stems for suffix in (".png", ".jpg", ".GIF")))
    plan = make_plan([folder / "in"], folder / "out", format=format)
    written = [item.output.casefold() for item in plan.items]
    assert len(set(written)) == len(written) >= len(stems)
