"""A generator's networks are saved and loaded to the last value, or not at all."""

import datetime
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from restorekit.contract import Batch
from restorekit.errors import NotAvailable, UsageError
from restorekit.weights import load_into, read, save, state_of

from .conftest import make_tiny, save_tiny
from .tiny import tiny_spec
from .tiny_network import Pair, Tiny, TinyConfig

RESTORE = """
import sys, torch
from restorekit.contract import Batch
from restorekit.registry import registry
generator = registry().load(sys.argv[1]).generator
torch.manual_seed(11)
with torch.no_grad():
    torch.save(generator.restore(Batch(torch.rand(2, 3, 20, 24))), sys.argv[2])
"""


@pytest.mark.usefixtures("site")
def test_another_process_restores_the_same_from_the_file_alone(tmp_path):
    generator = save_tiny(tmp_path / "own.safetensors", features=6)
    arguments = [sys.executable, "-c", RESTORE, str(tmp_path / "own.safetensors"), str(tmp_path / "out.pt")]
    subprocess.run(arguments, check=True, env=os.environ)
    torch.manual_seed(11)
    with torch.no_grad():
        expected = generator.restore(Batch(torch.rand(2, 3, 20, 24)))
    assert torch.equal(torch.load(tmp_path / "out.pt", weights_only=True), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_on_disk_loads_as_the_cast_values(tmp_path, dtype):
    generator = save_tiny(tmp_path / "w.safetensors", dtype=dtype)
    _, tensors = read(tmp_path / "w.safetensors")
    assert tensors["network.first.weight"].dtype == dtype
    assert tensors["network.norm.num_batches_tracked"].dtype == torch.int64
    loaded = Tiny(TinyConfig())
    load_into(loaded, tensors)
    for name, value in generator.state_dict().items():
        own = loaded.state_dict()[name]
        assert own.dtype == value.dtype
        assert torch.equal(own, value.to(dtype).to(value.dtype) if value.is_floating_point() else value)


def test_memory_format_and_shared_memory_do_not_reach_the_file(tmp_path):
    plain, last = make_tiny(), make_tiny().to(memory_format=torch.channels_last)  # pyright: ignore
    for name, generator in (("a", plain), ("b", last)):
        save(generator, tmp_path / f"{name}.safetensors", spec=tiny_spec(), config=TinyConfig())
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_several_networks_keep_their_names(tmp_path):
    pair = Pair(TinyConfig())
    save(pair, tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig())
    _, tensors = read(tmp_path / "w.safetensors")
    assert set(tensors) == {"encoder.weight", "encoder.bias", "decoder.weight", "decoder.bias"}
    other = Pair(TinyConfig())
    load_into(other, tensors)
    assert torch.equal(other.decoder.weight, pair.decoder.weight)


def test_others_than_the_networks_own_tensors_are_saved_where_they_fit(tmp_path):
    average = {name: torch.zeros_like(tensor) for name, tensor in state_of(make_tiny()).items()}
    save(make_tiny(), tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig(), tensors=average)
    assert not read(tmp_path / "w.safetensors")[1]["network.first.weight"].any()
    average.pop("network.first.bias")
    with pytest.raises(UsageError, match=r"missing 'network\.first\.bias'"):
        save(make_tiny(), tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig(), tensors=average)


def test_all_that_does_not_fit_is_named_in_one_line_and_nothing_is_copied():
    generator = make_tiny()
    before = {name: tensor.clone() for name, tensor in state_of(generator).items()}
    tensors = {name: tensor + 1 for name, tensor in before.items()}
    del tensors["network.first.bias"]
    tensors["critic.weight"] = torch.ones(1)
    tensors["network.last.weight"] = torch.ones(3, 5, 3, 3)
    tensors["network.norm.weight"] = torch.ones(4, dtype=torch.int32)
    with pytest.raises(NotAvailable) as caught:
        load_into(generator, tensors, subject="w.safetensors")
    line = str(caught.value)
    assert line.startswith("w.safetensors: ")
    assert "missing 'network.first.bias'" in line
    assert "unexpected 'critic.weight'" in line
    assert "'network.last.weight' is [3, 5, 3, 3] instead of [3, 4, 3, 3]" in line
    assert "'network.norm.weight' is torch.int32 instead of torch.float32" in line
    assert all(torch.equal(tensor, before[name]) for name, tensor in state_of(generator).items())


def test_a_wrong_file_with_hundreds_of_names_is_told_briefly():
    with pytest.raises(NotAvailable, match=r"'x\.10' and 297 more") as caught:
        load_into(make_tiny(), {f"x.{i}": torch.ones(1) for i in range(300)})
    assert len(str(caught.value)) < 400


def test_a_diverged_network_is_not_saved(tmp_path):
    generator = make_tiny()
    generator.last.weight.data[1] = float("nan")
    with pytest.raises(UsageError, match=r"network\.last\.weight holds NaN or infinity"):
        save(generator, tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig())
    assert not list(tmp_path.iterdir())


def test_values_that_half_precision_cannot_hold_are_not_saved_as_infinity(tmp_path):
    generator = make_tiny()
    generator.last.weight.data[1] = 1e6
    with pytest.raises(UsageError, match=r"values that torch\.float16 cannot; store it as bfloat16"):
        save(generator, tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig(), dtype=torch.float16)


@pytest.mark.parametrize("training", [{"when": object()}, {"loss": float("inf")}, {"text": "\ud800"}])
def test_a_record_that_is_no_json_is_refused_in_one_line(tmp_path, training):
    with pytest.raises(UsageError, match="cannot be described in a weights file") as caught:
        save(make_tiny(), tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig(), training=training)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_record_of_python_values_is_written_as_json(tmp_path):
    training = {"data": Path("train/CID22"), "size": (48, 48), "since": datetime.date(2025, 1, 31)}
    save(make_tiny(), tmp_path / "w.safetensors", spec=tiny_spec(), config=TinyConfig(), training=training)
    written = read(tmp_path / "w.safetensors")[0].training
    assert written == {"data": "train/CID22", "size": [48, 48], "since": "2025-01-31"}


def test_a_state_that_is_no_tensor_is_refused():
    class Odd(nn.Module):
        def get_extra_state(self):
            return {"step": 1}

    with pytest.raises(UsageError, match="is no tensor"):
        state_of(Odd())
