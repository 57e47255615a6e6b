"""The report of a batch run: complete, safe against hostile names, bounded in size, the same for the same run."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote_to_bytes

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageCms

from restorekit.batch.previews import DETAIL
from restorekit.batch.report import Entry, Summary, preview, write_report
from restorekit.contract import PictureInfo
from restorekit.errors import OutputError
from restorekit.images.picture import Metadata, Picture

SUMMARY = Summary(
    title="Restored: family",
    command="restorekit restore family -o out",
    version="1.2.3",
    started="2026-03-14 15:09",
    seconds=95.2,
    device="cpu",
    precision="float32",
    done=1,
    skipped=0,
    failed=0,
)
STEPS = ({"step": "median", "reason": "salt and pepper"},)
HOSTILE = [
    "<script>alert(1)</script>.png",
    "\"><img src=x onerror=alert(1)>'.png",
    "{{ 7 * 7 }}{% raw %}.png",
    "../../etc/passwd.png",
    "</style></title><!--.png",
    "javascript:alert(1)",
    "a" * 5000 + ".png",
    "شجرة 🌳.png",
]


class Page(HTMLParser):
    """What a browser would see: the elements with their attributes, and the text outside of script and style."""

    def __init__(self, path: Path):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.scripts: list[str] = []
        self.inside: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if self.inside[-1:] == ["script"]:
            self.scripts.append(data)
        elif self.inside[-1:] != ["style"]:
            self.texts.append(" ".join(data.split()))

    def values(self, name: str) -> list[str]:
        return [value for _, attributes in self.elements if (value := attributes.get(name)) is not None]

    def of_class(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for _, attributes in self.elements if name in (attributes.get("class") or "").split()]


def picture(pixels: np.ndarray, alpha: np.ndarray | None = None, icc: bytes = b"") -> Picture:
    info = PictureInfo(format="png", width=pixels.shape[1], height=pixels.shape[0], channels=pixels.shape[2])
    return Picture(pixels=pixels, alpha=alpha, info=info, metadata=Metadata(icc=icc))


def noise(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (8, 8, channels), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def decoded(encoded: bytes) -> np.ndarray:
    """RGB or RGBA."""
    image = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image is not None
    return cv2.cvtColor(image, cv2.COLOR_BGRA2RGBA if image.shape[2] == 4 else cv2.COLOR_BGR2RGB)


def entry(name: str, status: Literal["done", "skipped", "failed"] = "done", **fields: Any) -> Entry:
    return Entry(input=name, output=name, status=status, **fields)


def written(tmp_path: Path, *entries: Entry, summary: Summary = SUMMARY, **options) -> Page:
    write_report(tmp_path / "report.html", summary, entries, **options)
    return Page(tmp_path / "report.html")


@pytest.fixture(scope="module")
def small_preview():
    before = noise(60, 80)
    return preview(picture(before), picture(255 - before))


def restored_files(folder: Path, count: int) -> list[Entry]:
    """Pictures on disk with their results."""
    entries = []
    for index in range(count):
        pair = folder / f"{index}.png", folder / f"{index}_out.png"
        for path, seed in zip(pair, (index, index + 1), strict=True):
            assert cv2.imwrite(str(path), noise(24, 32, seed=seed))
        entries.append(entry(pair[0].name, steps=STEPS, input_path=pair[0], output_path=pair[1]))
    return entries


# What the page says


def test_the_header_tells_what_ran_and_how_it_ended(tmp_path):
    text = " ".join(written(tmp_path, summary=replace(SUMMARY, done=12345, skipped=67, failed=8)).texts)
    for told in ("12,345 done", "67 skipped", "8 failed", "1 min 35 s", SUMMARY.command, SUMMARY.started, "float32"):
        assert told in " ".join(text.split())


def test_filters_count_what_they_show_and_only_useful_ones_appear(tmp_path):
    entries = [
        entry("a.png", steps=STEPS, warnings=["look at it"]),
        entry("b.png", steps=STEPS),
        entry("c.png", reason="nothing to do"),
        entry("d.png", status="failed", reason="cut off"),
    ]
    page = written(tmp_path, *entries)
    counts = dict(re.findall(r'data-filter="(\w+)"[^>]*>.*?<b>([\d,]+)</b>', page.source))
    assert counts == {"all": "4", "done": "3", "failed": "1", "unchanged": "1", "warned": "1"}
    assert len(page.of_class("item")) == 4


def test_failed_pictures_come_first_with_their_reason(tmp_path):
    page = written(
        tmp_path,
        entry("fine.png"),
        entry("done.png", steps=STEPS),
        entry("broken.png", status="failed", reason="the file ends early; copy it again"),
    )
    texts = page.texts
    assert texts.index("broken.png") < texts.index("done.png") < texts.index("fine.png")
    assert "the file ends early; copy it again" in texts


def test_steps_reasons_notes_and_warnings_are_shown(tmp_path, small_preview):
    page = written(
        tmp_path,
        entry("a.png", steps=STEPS, notes=["kept at 16 bit"], warnings=["large mask"], preview=small_preview),
        entry("b.png", steps=STEPS, notes=["dpi kept"], warnings=["odd profile"]),
    )
    assert page.texts.count("median") == page.texts.count("salt and pepper") == 2
    assert {"kept at 16 bit", "large mask", "dpi kept", "odd profile"} <= set(page.texts)


def test_ignored_files_are_named_up_to_a_bound(tmp_path):
    names = [f"note{index}.txt" for index in range(1500)]
    page = written(tmp_path, summary=replace(SUMMARY, ignored=1500, ignored_files=names))
    assert "note999.txt" in page.texts
    assert "note1000.txt" not in page.texts
    assert "and 500 more" in page.texts


def test_a_run_without_pictures_gives_a_page_that_says_so(tmp_path):
    assert "There were no pictures in this run." in written(tmp_path, summary=replace(SUMMARY, done=0)).texts


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.034, "0.03 s"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (3599.6, "1 h 00 min"), (7500, "2 h 05 min")],
)
def test_durations_read_naturally(tmp_path, seconds, shown):
    assert f"in {shown}" in written(tmp_path, summary=replace(SUMMARY, seconds=seconds)).texts


# Safe and self-contained


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_text_stays_text_wherever_it_comes_from(tmp_path, small_preview, name):
    def run(text: str) -> Page:
        steps = [{"step": text, "reason": text}]
        texts = {"reason": text, "notes": [text], "warnings": [text]}
        return written(
            tmp_path,
            entry(text, steps=steps, preview=small_preview, **texts),
            entry(text, steps=steps, **texts),
            entry(text, status="failed", **texts),
            entry(text, status="skipped", **texts),
            entry(text, **texts),
            summary=replace(SUMMARY, title=text, command=text, device=text, ignored=1, ignored_files=[text]),
        )

    hostile, plain = run(name), run("plain.png")
    structure = [[(tag, sorted(attributes)) for tag, attributes in page.elements] for page in (hostile, plain)]
    assert structure[0] == structure[1]
    assert hostile.texts.count(name) == plain.texts.count("plain.png") > 15


@given(st.text(st.characters(codec=None), min_size=1, max_size=30))
def test_every_text_can_be_written_and_changes_no_markup(tmp_path_factory, text):
    folder = tmp_path_factory.mktemp("any")
    page = written(folder, entry(text, steps=[{"step": text, "reason": "x"}], reason=text))
    plain = written(folder, entry("x", steps=[{"step": "x", "reason": "x"}], reason="x"))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]


def test_control_and_direction_marks_cannot_disguise_a_name(tmp_path):
    page = written(tmp_path, entry("\u202egnp.exe\x1b\udcff.png"))
    assert "\ufffdgnp.exe\u241b\ufffd.png" in page.texts


def test_nothing_is_loaded_from_elsewhere(tmp_path, small_preview):
    page = written(tmp_path, entry("a.png", steps=STEPS, preview=small_preview))
    assert page.values("src")
    assert all(value.startswith("data:image/") for value in page.values("src"))
    assert all(value.startswith(("data:", "#", "./", "file:")) for value in page.values("href"))
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert "@import" not in page.source
    assert "url(" not in page.source


def test_the_policy_allows_exactly_this_script_and_no_network(tmp_path):
    page = written(tmp_path)
    policy = next(value for value in page.values("content") if "default-src" in value)
    (script,) = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert "default-src 'none'" in policy
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


@pytest.mark.parametrize("name", ["a b#?%.png", "javascript:alert(1).png", "ü🌳.png", "\udcff.png", "sub/x.png"])
def test_links_are_relative_below_the_report_and_lead_to_the_file(tmp_path, name):
    page = written(tmp_path, entry("x", input_path=Path("/elsewhere") / name, output_path=tmp_path / name))
    original, result = page.values("href")[-2:]
    assert original == (Path("/elsewhere") / name).as_uri()
    assert result.startswith("./")
    assert ":" not in result
    assert unquote_to_bytes(result) == b"./" + os.fsencode(name)


def test_failed_pictures_link_to_no_result(tmp_path):
    page = written(tmp_path, entry("x", status="failed", input_path=tmp_path / "x", output_path=tmp_path / "y"))
    assert page.values("href")[-1] == "./x"


# The file


def test_the_same_run_gives_the_same_bytes(tmp_path):
    entries = restored_files(tmp_path, 6)
    pages = [written(tmp_path, *entries, entry("z", status="failed")).source for _ in range(2)]
    assert pages[0] == pages[1]


def test_an_older_report_survives_a_failed_write(tmp_path, monkeypatch):
    path = tmp_path / "report.html"
    path.write_text("old")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"report\.html: .*No space left on device.*; ") as caught:
        write_report(path, SUMMARY, [])
    assert "\n" not in str(caught.value)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_is_told_in_one_line(tmp_path):
    (tmp_path / "gone").write_text("a file")
    with pytest.raises(OutputError, match="cannot be written"):
        write_report(tmp_path / "gone" / "report.html", SUMMARY, [])


def test_a_written_report_leaves_nothing_beside_it_and_replaces_the_old_one(tmp_path):
    (tmp_path / "report.html").write_text("old")
    assert written(tmp_path).source != "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_pictures_beyond_the_limit_are_listed_without_thumbnails(tmp_path):
    page = written(tmp_path, *restored_files(tmp_path, 10), limit=4)
    assert len(page.of_class("card")) == 4
    assert len(page.of_class("row")) == 6
    # Evenly spread over the run.
    assert [name["title"] for name in page.of_class("name")][:4] == ["0.png", "2.png", "5.png", "7.png"]


def test_beyond_the_limit_ready_previews_with_most_change_are_chosen(tmp_path, small_preview):
    entries = [
        entry(f"{index}", steps=STEPS, preview=replace(small_preview, change=change))
        for index, change in enumerate([0.1, 0.4, 0.2, 0.3])
    ]
    page = written(tmp_path, *entries, limit=2)
    assert [name["title"] for name in page.of_class("name")] == ["1", "3", "0", "2"]


def test_rows_stay_small(tmp_path):
    entries = [entry(f"{index:05d}.png", reason="sharp, no noise") for index in range(1000)]
    written(tmp_path, *entries)
    assert (tmp_path / "report.html").stat().st_size < 1000 * 1000


def test_a_picture_that_is_gone_or_damaged_gives_a_card_without_thumbnails(tmp_path):
    good, bad = restored_files(tmp_path, 2)
    assert bad.output_path is not None
    bad.output_path.write_bytes(b"\x89PNG not really")
    gone = replace(good, input="gone.png", input_path=tmp_path / "nowhere.png")
    page = written(tmp_path, good, bad, gone)
    assert len(page.of_class("card")) == 3
    assert len(page.of_class("stage")) == 1
    assert page.texts.count("No preview: the picture cannot be read any more.") == 2


def test_a_run_that_goes_on_shows_what_the_earlier_one_did_after_its_own(tmp_path):
    entries = restored_files(tmp_path, 4)
    entries = [replace(one, status="skipped") for one in entries[:2]] + entries[2:]
    assert len(written(tmp_path, *entries).of_class("card")) == 4
    page = written(tmp_path, *entries, limit=2)
    assert [card["data-status"] for card in page.of_class("card")] == ["done", "done"]
    assert {row["data-status"] for row in page.of_class("row")} == {"skipped"}


# Previews


def test_thumbnails_are_bounded_and_keep_the_proportions():
    before, after = noise(150, 300), noise(600, 1200)
    made = preview(picture(before), picture(after), thumbnail=200)
    assert decoded(made.before).shape == decoded(made.after).shape == (100, 200, 3)
    assert made.size_before == (300, 150)
    assert made.size_after == (1200, 600)


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (2, 5)])
def test_extreme_shapes_have_previews(size):
    made = preview(picture(noise(*size)), picture(noise(*size)), thumbnail=100)
    assert max(decoded(made.after).shape[:2]) == min(max(size), 100)
    assert 0 <= made.change <= 1


def test_the_detail_shows_the_repaired_region_pixel_by_pixel():
    before = noise(900, 1400)
    after = before.copy()
    after[700:740, 1000:1030] = (255, 0, 0)
    detail = preview(picture(before), picture(after)).detail
    assert detail is not None
    left, top, width, height = detail.box
    assert (width, height) == DETAIL
    # The repair is near the middle, not at an edge.
    assert abs(left + width / 2 - 1015) < width / 8
    assert abs(top + height / 2 - 720) < height / 8
    for encoded, full in ((detail.before, before), (detail.after, after)):
        assert cv2.PSNR(decoded(encoded), full[top : top + height, left : left + width]) > 30


def test_the_detail_of_an_enlargement_shows_the_original_pixels_as_blocks():
    before = np.random.default_rng(1).integers(0, 256, (200, 300, 1), np.uint8)
    after = cv2.resize(before, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)[..., None]
    detail = preview(picture(before), picture(after)).detail
    assert detail is not None
    left, top, width, height = detail.box
    blocks = np.kron(before[..., 0], np.ones((4, 4), np.uint8))[top : top + height, left : left + width]
    assert decoded(detail.before).shape == (height, width, 3)
    assert cv2.PSNR(decoded(detail.before)[..., 0], blocks) > 30


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3]), st.integers(0, 99))
def test_the_change_is_the_mean_absolute_difference(height, width, channels, seed):
    before, after = noise(height, width, channels, seed), noise(height, width, channels, seed + 1)
    difference = np.abs(before.astype(float) - after).mean() / 255
    assert preview(picture(before), picture(after)).change == pytest.approx(difference, abs=1e-6)


def test_pictures_without_change_show_their_centre():
    same = noise(1000, 1000)
    made = preview(picture(same), picture(same))
    assert made.change == 0
    assert made.detail is not None
    assert made.detail.box == (308, 356, *DETAIL)


def test_a_picture_smaller_than_the_detail_needs_none():
    assert preview(picture(noise(200, 300)), picture(noise(288, 384))).detail is None


@given(st.sampled_from([np.uint8, np.uint16, np.float32]), st.sampled_from([1, 3]), st.booleans(), st.integers(0, 99))
def test_every_depth_looks_as_its_eight_bit_version(dtype, channels, transparent, seed):
    eight = noise(40, 50, channels, seed)
    alpha = noise(40, 50, 1, seed + 1)[..., 0] if transparent else None

    def deep(values):
        if dtype is np.float32:
            return (values / 255).astype(np.float32)
        return values.astype(dtype) * (257 if dtype is np.uint16 else 1)

    made = preview(picture(deep(eight), None if alpha is None else deep(alpha)), picture(deep(255 - eight)))
    plain = preview(picture(eight, alpha), picture(255 - eight))
    assert made.before == plain.before
    assert made.after == plain.after
    assert made.change == pytest.approx(plain.change)


def test_floats_beyond_one_are_scaled_alike_before_and_after():
    before = noise(40, 50).astype(np.float32) * 16
    made = preview(picture(before), picture(before / 2))
    assert decoded(made.before).max() > 240
    assert decoded(made.after).mean() == pytest.approx(decoded(made.before).mean() / 2, abs=3)


def test_pictures_that_are_no_numbers_anywhere_are_shown_black():
    broken = np.full((30, 30, 3), np.nan, np.float32)
    made = preview(picture(np.zeros_like(broken)), picture(broken))
    assert decoded(made.after).max() == 0


def test_transparent_pictures_stay_transparent_without_fringes():
    red = np.full((1000, 1000, 3), (255, 0, 0), np.uint8)
    red[:, 499:] = (0, 255, 0)  # never seen: transparent there
    alpha = np.full((1000, 1000), 255, np.uint8)
    alpha[:, 499:] = 0
    shown = decoded(preview(picture(red, alpha), picture(red, alpha), thumbnail=100).after)
    visible = shown[shown[..., 3] > 20]
    assert shown.shape == (100, 100, 4)
    assert (shown[:, 60:, 3] == 0).all()
    assert visible[:, 1].max() < 60


def test_change_under_transparent_pixels_does_not_count():
    before, after = noise(50, 50), 255 - noise(50, 50)
    clear = np.zeros((50, 50), np.uint8)
    assert preview(picture(before, clear), picture(after, clear)).change == 0


def test_grey_and_colour_can_be_compared():
    grey = noise(50, 50, 1)
    assert preview(picture(grey), picture(np.repeat(grey, 3, axis=2))).change == 0


def test_pictures_with_a_profile_are_shown_in_srgb():
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pixels = noise(60, 60)
    plain = preview(picture(pixels), picture(pixels))
    # sRGB changes nothing, a profile that does not fit or is broken is passed over.
    assert cv2.PSNR(decoded(preview(picture(pixels, icc=srgb), picture(pixels)).before), decoded(plain.before)) > 40
    for unusable in (lab, b"no profile"):
        assert preview(picture(pixels, icc=unusable), picture(pixels)).before == plain.before
    # A profile whose red and blue are exchanged shows the exchange.
    red, blue = srgb.index(b"rXYZ"), srgb.index(b"bXYZ")
    swapped = bytearray(srgb)
    swapped[red : red + 4], swapped[blue : blue + 4] = b"bXYZ", b"rXYZ"
    shown = decoded(preview(picture(pixels, icc=bytes(swapped)), picture(pixels)).before)
    assert cv2.PSNR(shown, np.ascontiguousarray(decoded(plain.before)[..., ::-1])) > 30
