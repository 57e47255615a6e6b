"""Training data in the published formats, and what is drawn from it."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import io
import struct
import tarfile
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from restorekit.errors import NotAvailable, RestorekitError, UsageError
from restorekit.sources import Sampler, open_source
from restorekit.sources.arrays import ArraySource
from restorekit.sources.published import PUBLISHED, PublishedSet
from restorekit.sources.sampling import sample_seeds, uniforms

RNG = np.random.default_rng(0)


def test_a_folder_of_any_sizes_reads_as_rgb_and_names_what_it_skips(tmp_path):
    (tmp_path / "sub").mkdir()
    Image.fromarray(RNG.integers(0, 256, (40, 50), np.uint8)).save(tmp_path / "grey.png")
    Image.fromarray(RNG.integers(0, 65536, (30, 60)).astype(np.uint16)).save(tmp_path / "sub/deep.png")
    (tmp_path / "bad.jpg").write_bytes(b"nothing")
    source = open_source([str(tmp_path)])
    assert {source.picture(i).shape for i in range(len(source))} == {(40, 50, 3), (30, 60, 3)}
    assert source.picture(0).dtype == np.uint8
    assert any("bad.jpg" in line for line in source.skipped)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_large_picture_counts_more_often_than_a_small_one(tmp_path):
    Image.fromarray(np.zeros((1024, 1024, 3), np.uint8)).save(tmp_path / "large.png")
    Image.fromarray(np.zeros((100, 100, 3), np.uint8)).save(tmp_path / "small.png")
    assert len(open_source([str(tmp_path)])) == 16 + 1


def test_npz_with_its_split_and_labels(tmp_path):
    images, labels = RNG.integers(0, 256, (5, 28, 28), np.uint8), np.arange(5)
    np.savez(tmp_path / "set.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
    source = open_source([str(tmp_path / "set.npz")])
    np.testing.assert_array_equal(source.picture(3)[..., 1], images[3])
    assert source.labels is not None
    assert source.labels.tolist() == [0, 1, 2, 3, 4]
    assert len(open_source([str(tmp_path / "set.npz")], "test")) == 2


def test_an_npz_with_a_pickle_inside_is_refused_and_runs_nothing(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    np.savez(tmp_path / "bad.npz", x_train=np.array([Bomb()], dtype=object), allow_pickle=True)
    with pytest.raises(NotAvailable, match=r"cannot be read as \.npz"):
        open_source([str(tmp_path / "bad.npz")])
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("packed", [False, True])
def test_mnist_in_its_published_format(tmp_path, packed):
    images, labels = RNG.integers(0, 256, (7, 28, 28), np.uint8), RNG.integers(0, 10, 7).astype(np.uint8)
    for name, array in (("train-images-idx3-ubyte", images), ("train-labels-idx1-ubyte", labels)):
        header = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        data = header + array.tobytes()
        path = tmp_path / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(data) if packed else data)
    source = open_source([str(tmp_path)])
    np.testing.assert_array_equal(source.picture(6)[..., 0], images[6])
    assert source.labels is not None
    assert source.labels.tolist() == labels.tolist()


def test_a_truncated_idx_file_is_named(tmp_path):
    (tmp_path / "train-images-idx3-ubyte").write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 9, 28, 28) + b"few")
    with pytest.raises(NotAvailable, match="no complete idx file"):
        open_source([str(tmp_path)])


def test_cifar_in_its_binary_version(tmp_path):
    images = RNG.integers(0, 256, (4, 32, 32, 3), np.uint8)
    for number in (1, 2):
        part = images[2 * number - 2 : 2 * number]
        records = [bytes([number]) + picture.transpose(2, 0, 1).tobytes() for picture in part]
        (tmp_path / f"data_batch_{number}.bin").write_bytes(b"".join(records))
    source = open_source([str(tmp_path)])
    np.testing.assert_array_equal(source.picture(3), images[3])
    assert source.labels is not None
    assert source.labels.tolist() == [1, 1, 2, 2]


def test_tile_sheets_with_classes_in_order(tmp_path):
    tiles = RNG.integers(0, 256, (6, 8, 8, 3), np.uint8)
    sheet = tiles.reshape(2, 3, 8, 8, 3).swapaxes(1, 2).reshape(16, 24, 3)
    Image.fromarray(sheet).save(tmp_path / "sheet.png")
    source = open_source([f"{tmp_path}/sheet.png#tile=8,classes=3"])
    np.testing.assert_array_equal(source.picture(4), tiles[4])
    assert source.labels is not None
    assert source.labels.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("text", ["nowhere", "sheet.png#tile=x", "sheet.png#size=3", "none-*.png#tile=8"])
def test_data_that_cannot_be_opened_is_one_line(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((16, 16, 3), np.uint8)).save("sheet.png")
    with pytest.raises((UsageError, NotAvailable)) as caught:
        open_source([text])
    assert isinstance(caught.value, RestorekitError)


@given(seed=st.integers(0, 2**63 - 1), index=st.integers(0, 2**62))
def test_a_sample_depends_on_its_own_seed_and_index_alone(seed, index):
    alone = sample_seeds(seed, np.array([index]))
    among = sample_seeds(seed, np.array([index + 5, index, 3]))
    assert alone[0] == among[1] >= 0
    np.testing.assert_array_equal(uniforms(alone, 3)[0], uniforms(among, 3)[1])


def test_draws_are_uniform_and_independent():
    draws = uniforms(sample_seeds(7, np.arange(40_000)), 4)
    assert 0 <= draws.min() < draws.max() < 1
    assert np.abs(draws.mean(axis=0) - 0.5).max() < 0.01
    assert np.abs(np.corrcoef(draws.T) - np.eye(4)).max() < 0.02
    assert np.abs(np.corrcoef(draws[:-1, 0], draws[1:, 0])[0, 1]) < 0.02


def test_crops_cover_the_picture_and_pictures_smaller_than_the_crop_are_mirrored():
    ramp = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None], (40, 40, 3))
    sampler = Sampler(ArraySource("ramp", np.ascontiguousarray(ramp)[None]), 0, 8, flip=False)
    tops = {int(picture[0, 0, 0]) for picture in sampler.batch(range(2000))[0]}
    assert tops == set(range(33))
    small = Sampler(ArraySource("ramp", np.ascontiguousarray(ramp[:10, :10])[None]), 0, 16)
    assert small.batch([0])[0].shape == (1, 16, 16, 3)


def test_shrunk_crops_show_more_of_the_picture_and_the_rest_is_drawn_as_before():
    ramp = np.broadcast_to(np.arange(0, 240, 2, dtype=np.uint8)[None, :, None], (120, 120, 3))
    source = ArraySource("ramp", np.ascontiguousarray(ramp)[None])
    shrunk, plain = (Sampler(source, 0, 16, flip=False, shrink=factor) for factor in (0.25, 1.0))
    pictures, _, seeds = shrunk.batch(range(500))
    spans = pictures[:, 0, -1, 0].astype(int) - pictures[:, 0, 0, 0]
    # A side of 16 pixels spans 15 steps of 2 grey values at full size, and four times as many at a quarter of it.
    assert 28 <= spans.min() <= 34
    assert 112 <= spans.max() <= 120
    np.testing.assert_array_equal(seeds, plain.batch(range(500))[2])
    np.testing.assert_array_equal(pictures[7], shrunk.batch([7])[0][0])
    small = Sampler(ArraySource("grey", np.ascontiguousarray(ramp[:20, :20, 0])[None]), 0, 16, shrink=0.1)
    assert small.batch(range(20))[0].shape == (20, 16, 16, 3)


@pytest.fixture
def server(tmp_path):
    """Serve a folder on the loopback interface."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()


def publish(folder, base, monkeypatch, archive: bytes, checksum: str | None = None) -> None:
    (folder / "set.tar.gz").write_bytes(archive)
    digest = checksum or hashlib.md5(archive).hexdigest()
    published = PublishedSet(base, {"set.tar.gz": f"md5:{digest}"}, ("x/data_batch_1.bin", "x/test_batch.bin"))
    monkeypatch.setitem(PUBLISHED, "cifar10", published)


def tar_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def test_a_published_set_is_downloaded_once_checked_and_read(tmp_path, monkeypatch, server):
    folder, base = server
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    record = bytes([7]) + bytes(3 * 32 * 32)
    files = {"x/data_batch_1.bin": record, "x/test_batch.bin": record * 2, "../evil.bin": b"out"}
    publish(folder, base, monkeypatch, tar_of(files))
    source = open_source(["cifar10"])
    assert source.labels is not None
    assert (len(source), source.labels.tolist()) == (1, [7])
    assert not list(tmp_path.rglob("evil.bin"))
    (folder / "set.tar.gz").unlink()
    assert len(open_source(["cifar10"], "test")) == 2


def test_a_download_with_another_checksum_is_refused(tmp_path, monkeypatch, server):
    folder, base = server
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    publish(folder, base, monkeypatch, b"something else", "0" * 32)
    with pytest.raises(NotAvailable, match="checksum is another"):
        open_source(["cifar10"])


def test_without_a_network_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("RESTOREKIT_CACHE", str(tmp_path / "cache"))
    publish(tmp_path, "http://127.0.0.1:9/", monkeypatch, b"")
    with pytest.raises(NotAvailable, match=r"cifar10: cannot be downloaded.*put the file from http://127") as caught:
        open_source(["cifar10"])
    assert "\n" not in str(caught.value)
