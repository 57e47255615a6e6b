"""Whatever a file claims: one clear line, at once, without the memory it asks for."""

import json
import os
import pickle
import struct
import time
import tracemalloc

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restorekit.errors import NotAvailable
from restorekit.weights import Header, read, read_header, verify

ENTRY = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
ABOUT = {"restorekit": Header(generator="tiny", config={}, tensors_sha256="0" * 64).to_json()}


def container(header, values: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + values


def about(**changes) -> bytes:
    """A sound container whose own header is changed."""
    text = json.dumps({**json.loads(ABOUT["restorekit"]), **changes})
    return container({"__metadata__": {"restorekit": text}, "network.a": ENTRY}, b"\0" * 4)


def with_text(text: str) -> bytes:
    return container({"__metadata__": {"restorekit": text}, "network.a": ENTRY}, b"\0" * 4)


def with_entry(**changes) -> bytes:
    return container({"__metadata__": ABOUT, "network.a": {**ENTRY, **changes}}, b"\0" * 4)


def with_tensors(values: bytes, **entries) -> bytes:
    return container({"__metadata__": ABOUT, **entries}, values)


TWICE = b'{"a":' + json.dumps(ENTRY).encode() + b',"a":' + json.dumps(ENTRY).encode() + b"}"

HOSTILE = {
    "empty file": (b"", "is empty"),
    "five bytes": (b"\x01\0\0\0\0", "cut off"),
    "text": (b"once upon a time there was a file", "no safetensors"),
    "length of an exabyte": (container(b"{}", length=2**60), "cut off, or is no safetensors"),
    "largest length there is": (b"\xff" * 8 + b"{}", "cut off, or is no safetensors"),
    "no header": (container(b""), "is no JSON"),
    "header that is no JSON": (container(b"{]"), "is no JSON"),
    "header that is a list": (container([]), "no table"),
    "header that is not UTF-8": (container(b'{"\xff\xfe":1}'), "not UTF-8"),
    "header with half a character": (container(b'{"a\\ud800":1}'), "not UTF-8"),
    "deep nesting": (container(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "nested too deeply"),
    "nesting that Python can take": (container(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"), "nested too deeply"),
    "number of a thousand digits": (container(b'{"a":' + b"9" * 1000 + b"}"), "out of range"),
    "number of a million digits": (container(b'{"a":' + b"9" * 1_000_000 + b"}"), "out of range"),
    "NaN": (container(b'{"a":NaN}'), "no number"),
    "infinity in disguise": (container(b'{"a":1e999}'), "no number"),
    "no tensors": (container({"__metadata__": ABOUT}), "holds no tensors"),
    "name given twice": (container(TWICE, b"\0" * 4), "'a' twice"),
    "metadata that are numbers": (container({"__metadata__": {"restorekit": 1}, "a": ENTRY}, b"\0" * 4), "not texts"),
    "offsets beyond the end": (with_entry(shape=[2], data_offsets=[0, 8]), "cut off"),
    "offsets of an exabyte": (with_entry(shape=[2**57], data_offsets=[0, 2**59]), "cut off"),
    "offsets backwards": (with_entry(data_offsets=[4, 0]), "-4 bytes"),
    "negative offsets": (with_entry(data_offsets=[-4, 0]), "at '.-4, 0.'"),
    "overlap": (with_tensors(b"\0" * 4, a=ENTRY, b=ENTRY), "overlaps"),
    "gap": (with_tensors(b"\0" * 8, a={**ENTRY, "data_offsets": [4, 8]}), "gap"),
    "bytes behind": (with_tensors(b"\0" * 9, a=ENTRY), "5 bytes behind"),
    "shape that is not its bytes": (with_entry(shape=[2]), "4 bytes for"),
    "shape whose product overflows": (with_entry(shape=[0, 2**58, 2**58], data_offsets=[0, 0]), "shape"),
    "negative shape": (with_entry(shape=[-1]), "shape"),
    "shape of truths": (with_entry(shape=[True]), "shape"),
    "shape of thousands of axes": (with_entry(shape=[1] * 10_000), "shape"),
    "shape that is text": (with_entry(shape="1"), "shape"),
    "unknown dtype": (with_entry(dtype="F128"), "dtype 'F128'"),
    "dtype that torch does not hand out": (with_entry(dtype="F4", shape=[8]), "dtype 'F4'"),
    "dtype that is a list": (with_entry(dtype=[]), "dtype"),
    "entry that is a number": (with_tensors(b"", a=1), "another way"),
    "name that drives a terminal": (with_tensors(b"\0" * 4, **{"\x1b[2J": ENTRY}), r"name '\\x1b"),
    "empty name": (with_tensors(b"\0" * 4, **{"": ENTRY}), "name ''"),
    "not described": (container({"network.a": ENTRY}, b"\0" * 4), "weights convert"),
    "description that is no JSON": (with_text("{"), "restorekit header is no JSON"),
    "description that is a list": (with_text("[]"), "no table"),
    "deeply nested description": (with_text('{"config":' + "[" * 5000 + "]" * 5000 + "}"), "nested too deeply"),
    "description with a name twice": (with_text('{"api":1,"api":1}'), "'api' twice"),
    "description without a generator": (with_text('{"config":{}}'), "no right 'generator'"),
    "generator that is a path": (about(generator="../../etc/passwd"), "no right 'generator'"),
    "configuration that is a list": (about(config=[]), "no right 'config'"),
    "newer format": (about(format=2), "has format 2, this restorekit reads up to 1; update"),
    "newer format in another shape": (with_text('{"format":9}'), "has format 9"),
    "newer api": (about(api=2), "has api 2"),
    "api that is nonsense": (about(api=-1), "no right 'api'"),
    "no checksum": (about(tensors_sha256=""), "no checksum"),
    "metric that is no number": (
        about(metrics=[{"name": "PSNR", "value": "high", "protocol": "", "data": ""}]),
        "no right 'metrics.0.value'",
    ),
    "tensors that were changed": (about(), "its tensors are not those"),
    "a torch pickle": (b"PK\x03\x04" + b"\0" * 60, "is a pickle.*weights convert"),
    "a bare pickle": (pickle.dumps({"a": [1.0] * 9}), "is a pickle"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_one_line_at_once_and_for_little_memory(tmp_path, name):
    data, message = HOSTILE[name]
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(data)
    tracemalloc.start()
    begun = time.perf_counter()
    try:
        with pytest.raises(NotAvailable, match=message) as caught:
            read(path)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data) + 2_000_000
    finally:
        tracemalloc.stop()
    assert time.perf_counter() - begun < 5
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < 500 + len(str(path))
    assert str(caught.value).isprintable()


def test_a_header_of_a_hundred_megabytes_is_not_even_read(tmp_path):
    path = tmp_path / "long.safetensors"
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 100 * 2**20))
        file.truncate(101 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(NotAvailable, match="header of 104857600 bytes"):
            read_header(path)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


def test_a_header_of_many_names_takes_no_minutes(tmp_path):
    entries = {f"n{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(40_000)}
    data = container({"__metadata__": ABOUT, **entries})
    path = tmp_path / "many.safetensors"
    path.write_bytes(data)
    begun = time.perf_counter()
    assert read_header(path).generator == "tiny"
    assert time.perf_counter() - begun < 10


@pytest.mark.parametrize("kind", ["nothing", "folder", "pipe", "device", "link in a circle", "impossible name"])
def test_what_is_no_file_is_said(tmp_path, kind):
    path = tmp_path / "w.safetensors"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "link in a circle":
        path.symlink_to(path)
    elif kind == "impossible name":
        path = tmp_path / "w\0.safetensors"
    with pytest.raises(NotAvailable, match=r"is a folder|no regular file|cannot be read"):
        read_header(path)


def test_infinite_tensors_are_refused_by_name(tmp_path):
    from restorekit.weights import write

    path = tmp_path / "w.safetensors"
    write(path, Header(generator="tiny", config={}), {"network.a": torch.tensor([1.0, float("nan")])})
    with pytest.raises(NotAvailable, match=r"NaN or infinity in tensor 'network\.a'"):
        verify(path)


@settings(max_examples=250, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_told_as_such_and_nothing_else_happens(saved, data):
    whole = saved.read_bytes()
    (length,) = struct.unpack("<Q", whole[:8])
    damaged = bytearray(whole)
    # The length, the header and the tensors are hit equally often, however long each is.
    places = st.one_of(st.integers(0, 7), st.integers(8, 7 + length), st.integers(8 + length, len(whole) - 1))
    flips = data.draw(st.lists(st.tuples(places, st.integers(1, 255)), max_size=6))
    for place, mask in flips:
        damaged[place] ^= mask
    if data.draw(st.booleans()):
        del damaged[data.draw(st.integers(0, len(damaged))) :]
    else:
        damaged += data.draw(st.binary(max_size=8))
    path = saved.with_name("damaged.safetensors")
    path.write_bytes(damaged)
    try:
        tensors = read(path)[1]
    except NotAvailable as error:
        told = str(error)
    else:
        # Only words in the description can have changed: names, dtypes, shapes and values have a checksum.
        before = read(saved)[1]
        assert set(tensors) == set(before)
        assert all(torch.equal(tensors[name], before[name]) for name in before)
        return
    assert told.isprintable()
