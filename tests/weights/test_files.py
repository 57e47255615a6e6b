"""Weights files are written whole, read whole, and the same bytes for the same weights."""

import dataclasses
import json
import os
import struct
import threading
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restorekit.errors import NotAvailable, OutputError
from restorekit.weights import Header, Metric, WeightsFile, read, read_header, write

from .conftest import METRIC, RECORD, save_tiny

HEADER = Header(generator="tiny", config={"features": 4})
DTYPES = [torch.float32, torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.int8, torch.uint8, torch.bool]


def test_the_header_says_all_that_was_said_of_the_weights(saved):
    header = read_header(saved)
    assert header.generator == "tiny"
    assert header.config == {"features": 4, "sharpen": False}
    assert header.tasks == ("denoise",)
    assert header.geometry is not None
    assert header.geometry["halo"] == 2
    assert header.training == RECORD
    assert header.metrics == (Metric(**METRIC),)
    assert header.licence == "CC-BY-SA-4.0"
    assert len(header.tensors_sha256) == 64


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_is_written_is_read(tmp_path, data):
    shapes = st.lists(st.integers(0, 4), max_size=4)
    names = st.from_regex(r"network\.[a-z0-9_.]{1,20}", fullmatch=True)
    drawn = data.draw(st.dictionaries(names, st.tuples(shapes, st.sampled_from(DTYPES)), min_size=1, max_size=6))
    tensors = {name: (torch.rand(shape) * 100).to(dtype) for name, (shape, dtype) in drawn.items()}
    path = tmp_path / "w.safetensors"
    written = write(path, HEADER, tensors)
    header, back = read(path)
    assert header == written
    assert set(back) == set(tensors)
    assert all(back[n].dtype == t.dtype and torch.equal(back[n], t) for n, t in tensors.items())


@pytest.mark.parametrize("length", [0x280, 0x380, 0x480, 0x580])
def test_a_header_whose_length_looks_like_the_start_of_a_pickle_is_read(tmp_path, length):
    path, tensors = tmp_path / "w.safetensors", {"network.a": torch.ones(1)}
    write(path, HEADER, tensors)
    spare = length - int.from_bytes(path.read_bytes()[:8], "little")
    write(path, dataclasses.replace(HEADER, licence="x" * spare), tensors)
    assert int.from_bytes(path.read_bytes()[:8], "little") == length
    assert read(path)[0].licence == "x" * spare


def test_equal_weights_give_equal_bytes_in_whatever_order_they_come(tmp_path):
    tensors = {
        "network.b": torch.ones(3, dtype=torch.float16),
        "network.a": torch.rand(2, 2),
        "network.c": torch.tensor(1),
    }
    one = Header(generator="tiny", config={"a": 1, "b": 2}, training={"x": 1, "y": {"p": 1, "q": 2}})
    two = Header(generator="tiny", config={"b": 2, "a": 1}, training={"y": {"q": 2, "p": 1}, "x": 1})
    write(tmp_path / "1.safetensors", one, tensors)
    write(tmp_path / "2.safetensors", two, dict(reversed(tensors.items())))
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()


def test_the_checksum_is_of_the_tensors_not_of_where_the_file_keeps_them(saved):
    data = saved.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    table, values = json.loads(data[8 : 8 + length]), data[8 + length :]
    position, moved, shuffled = 0, b"", {"__metadata__": table.pop("__metadata__")}
    for name in sorted(table, reverse=True):
        begin, end = table[name]["data_offsets"]
        shuffled[name] = {**table[name], "data_offsets": [position, position + end - begin]}
        moved, position = moved + values[begin:end], position + end - begin
    header = json.dumps(shuffled).encode()
    before = read(saved)
    saved.write_bytes(struct.pack("<Q", len(header)) + header + moved)
    after = read(saved)
    assert before[0] == after[0]
    assert all(torch.equal(before[1][name], after[1][name]) for name in before[1])


def test_a_header_is_read_without_the_tensors(tmp_path):
    path = tmp_path / "big.safetensors"
    write(path, HEADER, {"network.big": torch.zeros(5_000_000)})
    read_header(path)
    tracemalloc.start()
    try:
        read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 200_000
    finally:
        tracemalloc.stop()


def test_other_tools_read_the_file(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="np") as file:
        assert json.loads(file.metadata()["restorekit"])["generator"] == "tiny"
        assert file.get_tensor("network.first.weight").shape == (4, 3, 3, 3)


def test_a_file_that_cannot_be_written_leaves_the_older_one_and_nothing_else(saved, monkeypatch):
    before = saved.read_bytes()
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OutputError, match="No space left on device"):
        save_tiny(saved, seed=5)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_folder_is_never_replaced(tmp_path):
    (tmp_path / "w.safetensors").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        write(tmp_path / "w.safetensors", HEADER, {"network.a": torch.ones(1)})


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("network.a", torch.ones(1, dtype=torch.complex64), "complex64"),
        ("network.\x1b[2J", torch.ones(1), "name"),
        ("", torch.ones(1), "name"),
        ("network.a", torch.ones([1] * 9), "shape"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(tmp_path, name, tensor, message):
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "w.safetensors", HEADER, {name: tensor})
    assert not list(tmp_path.iterdir())


def test_an_open_file_stays_the_one_that_was_opened(saved):
    expected = read(saved)[1]
    with WeightsFile(saved) as file:
        save_tiny(saved, seed=9)
        tensors, _ = file.read()
    assert all(torch.equal(tensors[name], expected[name]) for name in expected)
    assert not torch.equal(read(saved)[1]["network.first.weight"], expected["network.first.weight"])


def test_a_file_changed_in_place_while_it_is_read_is_noticed(saved):
    with WeightsFile(saved) as file:
        data = bytearray(saved.read_bytes())
        data[40] ^= 1
        saved.write_bytes(data)
        with pytest.raises(NotAvailable, match="changed while it was read"):
            file.read()


def test_readers_beside_writers_see_whole_files_only(tmp_path):
    path = tmp_path / "w.safetensors"
    choices = [{"network.a": torch.full((20_000,), float(value))} for value in range(4)]
    write(path, HEADER, choices[0])
    stop, troubles, seen = threading.Event(), [], set()

    def reading() -> None:
        while not stop.is_set():
            try:
                tensor = read(path)[1]["network.a"]
                assert (tensor == tensor[0]).all()
                seen.add(float(tensor[0]))
            except Exception as error:
                troubles.append(error)

    def writing(tensors) -> None:
        for _ in range(15):
            write(path, HEADER, tensors)

    readers = [threading.Thread(target=reading) for _ in range(2)]
    writers = [threading.Thread(target=writing, args=(tensors,)) for tensors in choices]
    for thread in (*readers, *writers):
        thread.start()
    for thread in writers:
        thread.join(30)
    stop.set()
    for thread in readers:
        thread.join(30)
    assert not troubles
    assert len(seen) > 1
    assert [file.name for file in Path(tmp_path).iterdir()] == [path.name]
