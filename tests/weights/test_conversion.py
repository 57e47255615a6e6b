"""Foreign weights are read without running anything, and converted by whoever knows the network."""

import io
import os
import pickle
import zipfile

import pytest
import safetensors.torch
import torch

from restorekit.errors import NotAvailable, UsageError
from restorekit.weights import read_header, state_of, verify
from restorekit.weights.conversion import convert
from restorekit.weights.foreign import read_foreign

from .conftest import make_tiny, registry_of
from .tiny import tiny_spec
from .tiny_network import to_foreign


class Command:
    """What a hostile pickle holds."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


WRAPPED = {
    "flat": lambda state: state,
    "moving average": lambda state: {"params": {n: t + 1 for n, t in state.items()}, "params_ema": state},
    "checkpoint": lambda state: {"epoch": 3, "state_dict": state, "optimizer": {"lr": [0.1]}},
    "data parallel": lambda state: {"model": {f"module.{name}": tensor for name, tensor in state.items()}},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "another name": lambda state: {"net": state},
}


@pytest.mark.parametrize("wrapping", WRAPPED)
@pytest.mark.parametrize("zipped", [True, False])
def test_weights_of_another_toolkit_are_converted_to_the_last_value(tmp_path, registry, wrapping, zipped):
    generator = make_tiny(features=6)
    state = WRAPPED[wrapping](to_foreign(generator))
    torch.save(state, tmp_path / "theirs.pth", _use_new_zipfile_serialization=zipped)
    header = convert(tmp_path / "theirs.pth", tmp_path / "ours.safetensors", registry=registry)
    assert header == verify(tmp_path / "ours.safetensors")
    assert header.config == {"features": 6, "sharpen": False}
    assert header.licence == "BSD-3-Clause"
    assert header.training["data"] == "unknown"
    assert header.training["converted_from"]["file"] == "theirs.pth"  # pyright: ignore
    loaded = registry.load(str(tmp_path / "ours.safetensors")).generator
    assert all(torch.equal(tensor, state_of(generator)[name]) for name, tensor in state_of(loaded).items())


def test_foreign_safetensors_are_converted_too(tmp_path, registry):
    safetensors.torch.save_file(to_foreign(make_tiny()), tmp_path / "theirs.safetensors")
    assert (
        convert(tmp_path / "theirs.safetensors", tmp_path / "ours.safetensors", registry=registry).generator == "tiny"
    )


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("bare", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, registry, zipped, bare):
    source, ran = tmp_path / "evil.pth", tmp_path / "ran"
    content = {**to_foreign(make_tiny()), "extra": Command(f"touch {ran}")}
    if bare:
        source.write_bytes(pickle.dumps(content["extra"], protocol=2))
    else:
        torch.save(content, source, _use_new_zipfile_serialization=zipped)
    with pytest.raises(NotAvailable, match=r"evil\.pth: .*not loaded; ask whoever made it") as caught:
        convert(source, tmp_path / "ours.safetensors", registry=registry)
    assert "\n" not in str(caught.value)
    assert not ran.exists()
    assert not (tmp_path / "ours.safetensors").exists()


def test_the_code_that_a_pickle_asks_for_is_named(tmp_path):
    torch.save({"a": Command("true")}, tmp_path / "evil.pth")
    with pytest.raises(NotAvailable, match=r"asks for code \(\w+\.system\)"):
        read_foreign(tmp_path / "evil.pth")


def saved_bytes(value) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def zip_bomb() -> bytes:
    buffer = io.BytesIO()
    zeros = io.BytesIO(saved_bytes({"a": torch.zeros(5_000_000)}))
    with zipfile.ZipFile(zeros) as plain, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        for member in plain.infolist():
            packed.writestr(member.filename, plain.read(member))
    return buffer.getvalue()


BAD = {
    "empty": (b"", "is empty"),
    "noise": (bytes(range(256)) * 8, "no file of tensors"),
    "text": (b"hello world", "no file of tensors"),
    "cut off": (saved_bytes({"a": torch.ones(1000)})[:-600], "no file of tensors"),
    "no tensors": (saved_bytes({"a": 1, "b": "two"}), "holds no table of tensors"),
    "a list": (saved_bytes([torch.ones(1)]), "holds no table of tensors"),
    "a view larger than its data": (saved_bytes({"a": torch.ones(1).expand(10**6, 10**6)}), "larger than its data"),
    "one value many times": (
        saved_bytes((lambda one: {f"t{i}": one for i in range(5000)})(torch.ones(20_000))),
        "larger than the file",
    ),
    "a sparse tensor": (saved_bytes({"a": torch.eye(3).to_sparse()}), "kind that weights are not"),
    "a tensor without values": (saved_bytes({"a": torch.ones(10**9, device="meta")}), "kind that weights are not"),
    "complex numbers": (saved_bytes({"a": torch.ones(1, dtype=torch.complex64)}), "kind that weights are not"),
    "an archive that grows": (zip_bomb(), "would grow to 20 MB"),
    "an archive of nothing": (b"PK\x05\x06" + b"\0" * 18, "no file of tensors"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_table_of_tensors_is_one_line(tmp_path, name):
    data, message = BAD[name]
    (tmp_path / "bad.pth").write_bytes(data)
    with pytest.raises(NotAvailable, match=message) as caught:
        read_foreign(tmp_path / "bad.pth")
    assert "\n" not in str(caught.value)


def test_what_is_no_file_is_said(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    for name, message in (("", "is a folder"), ("gone.pth", "No such file"), ("pipe.pth", "no regular file")):
        with pytest.raises(NotAvailable, match=message):
            read_foreign(tmp_path / name)


def test_weights_that_nobody_knows_are_named_by_their_first_tensors(tmp_path, registry):
    torch.save({f"body.{i}.weight": torch.ones(i + 1) for i in range(9)}, tmp_path / "theirs.pth")
    with pytest.raises(
        NotAvailable, match=r"not recognised by tiny: 9 tensors, the first are 'body\.0\.weight' \[1\], "
    ):
        convert(tmp_path / "theirs.pth", tmp_path / "ours.safetensors", registry=registry)


def broken(state):
    raise ZeroDivisionError("oh no")


def test_a_broken_converter_is_named_and_does_not_stop_the_others(tmp_path):
    torch.save(to_foreign(make_tiny()), tmp_path / "theirs.pth")
    bad = tiny_spec(name="bad", converter=f"{__name__}:broken")
    gone = tiny_spec(name="gone", converter="no_such_package.names:recognise")
    together = registry_of(bad, gone, tiny_spec())
    assert convert(tmp_path / "theirs.pth", tmp_path / "a.safetensors", registry=together).generator == "tiny"
    with pytest.raises(NotAvailable, match=r"bad failed: ZeroDivisionError: oh no; gone: .*cannot be imported"):
        convert(tmp_path / "theirs.pth", tmp_path / "b.safetensors", registry=registry_of(bad, gone))


def test_two_takers_are_a_question_to_the_user(tmp_path):
    torch.save(to_foreign(make_tiny()), tmp_path / "theirs.pth")
    both = registry_of(tiny_spec(), tiny_spec(name="twin"))
    with pytest.raises(UsageError, match=r"is recognised by tiny, twin; choose one with --generator"):
        convert(tmp_path / "theirs.pth", tmp_path / "a.safetensors", registry=both)
    chosen = convert(tmp_path / "theirs.pth", tmp_path / "a.safetensors", registry=both, generator="twin")
    assert chosen.generator == "twin"


def test_a_generator_that_converts_nothing_says_so(tmp_path):
    torch.save(to_foreign(make_tiny()), tmp_path / "theirs.pth")
    with pytest.raises(UsageError, match="tiny: converts no foreign weights"):
        convert(
            tmp_path / "theirs.pth",
            tmp_path / "a.safetensors",
            registry=registry_of(tiny_spec(converter="")),
            generator="tiny",
        )


def test_an_incomplete_file_is_not_converted(tmp_path, registry):
    state = to_foreign(make_tiny())
    del state["bn.running_var"]
    torch.save(state, tmp_path / "theirs.pth")
    with pytest.raises(NotAvailable, match=r"theirs\.pth: does not fit .*missing 'network\.norm\.running_var'"):
        convert(tmp_path / "theirs.pth", tmp_path / "ours.safetensors", registry=registry)
    assert not (tmp_path / "ours.safetensors").exists()


def test_the_licence_of_the_converter_wins_over_the_users(tmp_path, registry):
    torch.save(to_foreign(make_tiny()), tmp_path / "theirs.pth")
    convert(tmp_path / "theirs.pth", tmp_path / "ours.safetensors", registry=registry, licence="MIT")
    assert read_header(tmp_path / "ours.safetensors").licence == "BSD-3-Clause"


def test_a_target_of_another_kind_is_refused_before_anything_is_read(tmp_path, registry):
    with pytest.raises(UsageError, match=r"end it in \.safetensors"):
        convert(tmp_path / "gone.pth", tmp_path / "ours.pth", registry=registry)
