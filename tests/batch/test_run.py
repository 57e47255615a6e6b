"""Batch runs: what is written, what is kept, what a second run does."""

import dataclasses
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from restorekit.batch import restore as batch
from restorekit.batch.restore import Options
from restorekit.batch.results import Result
from restorekit.contract import Batch, Geometry
from restorekit.errors import OutputError, UsageError
from restorekit.inference import Target
from restorekit.registry import registry
from restorekit.specs import Step

from .conftest import contents, noisy_pictures

MEDIAN = (Step.parse("median:3"),)


def restore(inputs, output: Path, steps=MEDIAN, **options) -> Result:
    several = [inputs] if isinstance(inputs, Path) else inputs
    return batch.restore(several, output, Options(steps=steps, report=False, **options), registry=registry())


def lines(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.manifest.read_text().splitlines()]


def test_every_picture_is_restored_recorded_and_keeps_its_time(pictures, tmp_path):
    os.utime(pictures / "p001.png", ns=(1_600_000_000_000_000_000, 1_500_000_000_123_456_789))
    result = restore(pictures, tmp_path / "out")
    assert (result.done, result.skipped, result.failed) == (12, 0, 0)
    assert set(contents(tmp_path / "out")) == {p.relative_to(pictures).as_posix() for p in pictures.rglob("*.*")}
    assert (tmp_path / "out/p001.png").stat().st_mtime_ns == 1_500_000_000_123_456_789
    record = next(line for line in lines(result) if line["kind"] == "result" and line["input"] == "p001.png")
    assert record["status"] == "done"
    assert record["steps"][0]["step"] == "median:3"
    assert record["steps"][0]["plugin"].startswith("restorekit ")
    assert len(record["input_sha256"]) == len(record["output_sha256"]) == 64


def test_inputs_are_never_touched(pictures, tmp_path):
    before = {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures.rglob("*.*")}
    restore(pictures, tmp_path / "out")
    assert {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in pictures.rglob("*.*")} == before


def test_a_second_run_restores_nothing_again(pictures, tmp_path):
    restore(pictures, tmp_path / "out")
    first = contents(tmp_path / "out")
    result = restore(pictures, tmp_path / "out")
    assert (result.done, result.skipped) == (0, 12)
    assert contents(tmp_path / "out") == first


def test_the_same_call_twice_gives_the_same_bytes(pictures, tmp_path):
    restore(pictures, tmp_path / "a")
    restore(pictures, tmp_path / "b", workers=1)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_changed_picture_is_restored_again_and_a_touched_one_is_not(pictures, tmp_path):
    restore(pictures, tmp_path / "out")
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(pictures / "p001.png")
    os.utime(pictures / "p002.png")
    result = restore(pictures, tmp_path / "out")
    assert [record.input for record in result.records if record.status == "done"] == ["p001.png"]


def test_a_deleted_output_is_restored_again(pictures, tmp_path):
    restore(pictures, tmp_path / "out")
    (tmp_path / "out/p003.png").unlink()
    assert restore(pictures, tmp_path / "out").done == 1


def test_a_new_mask_restores_its_picture_again(pictures, tmp_path):
    steps = (Step("auto"),)
    restore(pictures, tmp_path / "out", steps)
    mask = np.zeros((64, 64), np.uint8)
    mask[20:24, 10:50] = 255
    Image.fromarray(mask).save(pictures / "p001.mask.png")
    assert [r.input for r in restore(pictures, tmp_path / "out", steps).records if r.status == "done"] == ["p001.png"]


def test_other_settings_into_the_same_folder_are_refused_and_name_the_difference(pictures, tmp_path):
    restore(pictures, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(UsageError, match=r"median:3.*median:5.*--overwrite"):
        restore(pictures, tmp_path / "out", (Step.parse("median:5"),))
    assert contents(tmp_path / "out") == before


def test_overwrite_restores_everything_with_the_new_settings(pictures, tmp_path):
    restore(pictures, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert restore(pictures, tmp_path / "out", (Step.parse("median:5"),), overwrite=True).done == 12
    after = contents(tmp_path / "out")
    assert all(before[name] != after[name] for name in before)


def test_a_file_that_is_not_ours_is_never_replaced(pictures, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/p001.png").write_bytes(b"precious")
    result = restore(pictures, tmp_path / "out")
    assert (result.done, result.failed) == (11, 1)
    assert "not from an earlier run" in next(r for r in result.records if r.status == "failed").reason
    assert (tmp_path / "out/p001.png").read_bytes() == b"precious"


def test_an_output_edited_by_hand_is_never_replaced(pictures, tmp_path):
    restore(pictures, tmp_path / "out")
    (tmp_path / "out/p001.png").write_bytes(b"edited by hand")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(pictures / "p001.png")
    result = restore(pictures, tmp_path / "out")
    assert "changed after it was restored" in next(r for r in result.records if r.status == "failed").reason
    assert (tmp_path / "out/p001.png").read_bytes() == b"edited by hand"


def test_a_picture_that_needs_nothing_is_copied_byte_for_byte(photo, tmp_path):
    source = tmp_path / "in" / "clean.jpg"
    source.parent.mkdir()
    Image.fromarray(photo).save(source, quality=97)
    result = restore(source.parent, tmp_path / "out", (Step("auto"),))
    assert result.records[0].reason == "left as it is"
    assert (tmp_path / "out/clean.jpg").read_bytes() == source.read_bytes()


def test_steps_that_change_nothing_leave_the_file_as_it_is(tmp_path):
    source = tmp_path / "in" / "flat.jpg"
    source.parent.mkdir()
    Image.fromarray(np.full((40, 48, 3), 90, np.uint8)).save(source, quality=97)
    result = restore(source.parent, tmp_path / "out", (Step("top-hat"), Step("telea")))
    assert result.records[0].reason == "left as it is: top-hat and telea changed nothing"
    assert result.records[0].steps == []
    assert (tmp_path / "out/flat.jpg").read_bytes() == source.read_bytes()


def test_shards_together_do_what_one_run_does(pictures, tmp_path):
    from restorekit.batch.plan import Shard

    restore(pictures, tmp_path / "whole")
    counts = [restore(pictures, tmp_path / "parts", shard=Shard(i, 3)).done for i in (1, 2, 3)]
    assert counts == [4, 4, 4]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    assert restore(pictures, tmp_path / "parts").skipped == 12


def test_two_steps_are_one_decode_and_one_encode(pictures, tmp_path):
    result = restore(pictures / "p001.png", tmp_path / "out", (Step.parse("median:3"), Step.parse("bicubic:2")))
    assert [step["step"] for step in result.records[0].steps] == ["median:3", "bicubic:2"]
    assert Image.open(tmp_path / "out/p001.png").size == (128, 128)


@pytest.mark.parametrize(
    ("target", "size"), [(Target(3.0), (192, 192)), (Target(1.5), (96, 96)), (Target(size=(100, 50)), (100, 50))]
)
def test_the_size_asked_for_is_reached_exactly(pictures, tmp_path, target, size):
    restore(pictures / "p001.png", tmp_path / "out", (Step("bicubic"),), target=target)
    assert Image.open(tmp_path / "out/p001.png").size == size


def test_strength_blends_with_the_input(pictures, tmp_path):
    for strength in (0.0, 0.5, 1.0):
        restore(pictures / "p001.png", tmp_path / f"{strength}", strength=strength)
    before, half, full = (
        np.asarray(Image.open(path)).astype(int)
        for path in (pictures / "p001.png", tmp_path / "0.5/p001.png", tmp_path / "1.0/p001.png")
    )
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "0.0/p001.png")), before)
    assert np.abs(half - (before + full) / 2).max() <= 1


def test_a_mask_of_another_size_fails_its_picture_and_says_both_sizes(pictures, tmp_path):
    Image.fromarray(np.full((10, 10), 255, np.uint8)).save(pictures / "p001.mask.png")
    result = restore(pictures, tmp_path / "out", (Step("auto"),))
    failed = [record for record in result.records if record.status == "failed"]
    assert [record.input for record in failed] == ["p001.png"]
    assert "10 x 10" in failed[0].reason
    assert "64 x 64" in failed[0].reason


def test_outside_the_mask_nothing_changes_in_lossless_formats(pictures, tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[10:20, 30:60] = 255
    Image.fromarray(mask).save(pictures / "p001.mask.png")
    restore(pictures / "p001.png", tmp_path / "out", (Step("telea"),))
    before, after = (np.asarray(Image.open(path)) for path in (pictures / "p001.png", tmp_path / "out/p001.png"))
    np.testing.assert_array_equal(before[mask == 0], after[mask == 0])
    assert (before[mask > 0] != after[mask > 0]).any()


def test_an_inpainter_without_a_mask_fails_the_picture_with_the_way_out(pictures, tmp_path):
    result = restore(pictures / "p001.png", tmp_path / "out", (Step("telea"),))
    assert "NAME.mask.png" in result.records[0].reason


def test_painted_damage_is_repaired_by_its_colour(photo, tmp_path):
    from restorekit.batch.masks import MaskColor

    painted = photo.copy()
    painted[40:60, 50:90] = (255, 0, 255)
    Image.fromarray(painted).save(tmp_path / "painted.png")
    restore(tmp_path / "painted.png", tmp_path / "out", (Step("telea"),), mask_color=MaskColor.parse("#ff00ff"))
    after = np.asarray(Image.open(tmp_path / "out/painted.png"))
    assert not (after[40:60, 50:90] == (255, 0, 255)).all(axis=2).any()
    np.testing.assert_array_equal(after[:40], photo[:40])


def test_a_second_run_into_the_same_folder_is_refused_while_the_first_is_at_work(pictures, tmp_path, monkeypatch):
    from restorekit.batch import pipeline

    entered, leave = threading.Event(), threading.Event()
    decode = pipeline.images.decode

    def slow(*arguments, **keywords):
        entered.set()
        assert leave.wait(30)
        return decode(*arguments, **keywords)

    monkeypatch.setattr(pipeline.images, "decode", slow)
    first = threading.Thread(target=restore, args=(pictures, tmp_path / "out"))
    first.start()
    assert entered.wait(30)
    try:
        with pytest.raises(OutputError, match="another run is writing here"):
            restore(pictures, tmp_path / "out")
    finally:
        leave.set()
        first.join()
    assert len(contents(tmp_path / "out")) == 12


def test_a_defect_in_one_picture_does_not_take_the_others_down(pictures, tmp_path, monkeypatch):
    from restorekit.batch import pipeline

    encode = pipeline.images.encode

    def defective(picture, *arguments, **keywords):
        if picture.pixels.shape == (32, 40, 3):
            raise ZeroDivisionError("our own mistake")
        return encode(picture, *arguments, **keywords)

    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)).save(pictures / "odd.png")
    monkeypatch.setattr(pipeline.images, "encode", defective)
    result = restore(pictures, tmp_path / "out")
    assert (result.done, result.failed) == (12, 1)
    assert "ZeroDivisionError: our own mistake" in next(r for r in result.records if r.status == "failed").reason


class Together:
    """A restorer that is not concurrent and remembers how many pictures it was given at once."""

    geometry = Geometry(halo=0)
    threads: set[str] = set()
    sizes: list[int] = []

    def restore(self, batch: Batch):
        Together.threads.add(threading.current_thread().name)
        Together.sizes.append(len(batch.images))
        time.sleep(0.01)
        return 1 - batch.images


def test_generators_that_are_not_concurrent_run_in_one_thread_in_batches_of_one_size(pictures, tmp_path):
    found = registry()
    loaded = found.load("median:3")
    spec = dataclasses.replace(loaded.spec, name="together", concurrent=False)

    class Borrowed(type(found)):
        def load(self, step):
            return dataclasses.replace(loaded, generator=Together(), spec=spec, settings={})

    borrowed = Borrowed(found.plugins)
    options = Options(steps=(Step("together"),), report=False, batch_size=3, workers=6)
    assert batch.restore([pictures], tmp_path / "out", options, registry=borrowed).failed == 0
    assert Together.threads == {"restorekit-network"}
    assert set(Together.sizes) == {3}


def test_memory_in_use_is_bounded_by_the_pixel_budget():
    from restorekit.batch.pipeline import PixelBudget

    budget, held, most = PixelBudget(100), [0], [0]
    guard = threading.Lock()

    def work(pixels: int) -> None:
        with budget.hold(pixels):
            with guard:
                held[0] += pixels
                most[0] = max(most[0], held[0])
            time.sleep(0.002)
            with guard:
                held[0] -= pixels

    threads = [threading.Thread(target=work, args=(pixels,)) for pixels in (30, 40, 60, 99, 20, 80, 50) * 5]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert 50 <= most[0] <= 100
    alone = PixelBudget(100)
    with alone.hold(1000):  # larger than the budget, but nothing else is there
        pass


class Watching:
    """A listener that looks at this process after every picture: resident KiB, and open descriptors."""

    def __init__(self):
        self.memory: list[int] = []
        self.files: list[int] = []

    def planned(self, plan):
        pass

    def finished(self, record):
        assert record.status == "done"
        self.memory.append(int(Path("/proc/self/status").read_text().partition("VmRSS:")[2].split()[0]))
        self.files.append(len(os.listdir("/proc/self/fd")))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_memory_and_open_files_do_not_grow_with_the_number_of_pictures(tmp_path):
    photos = noisy_pictures(tmp_path / "in", 20, side=96)
    for number in range(500):
        os.link(photos[number % 20], tmp_path / f"in/copy{number}{photos[number % 20].suffix}")
    watching, options = Watching(), Options(steps=MEDIAN, report=False, workers=2)
    batch.restore([tmp_path / "in"], tmp_path / "out", options, registry=registry(), listener=watching)
    assert len(watching.memory) == 520
    # Keeping either pixels or encoded bytes of 400 pictures would be 8 MiB and more; records are about 1 KiB each.
    assert max(watching.memory[-20:]) - max(watching.memory[100:120]) < 4096
    # Threads open and close a few files at any time; one kept of each picture would be 400.
    assert max(watching.files[-20:]) <= max(watching.files[100:120]) + 4
