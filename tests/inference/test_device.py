"""Devices and precision: what is asked for, what is here, what the processor is good at."""

import subprocess
import sys

import pytest
import torch

from restorekit.errors import NotAvailable, UsageError
from restorekit.inference.device import PRECISIONS, available_devices, choose_runtime, placed

from .fakes import CPU


@pytest.mark.parametrize("name", ["gpu", "", "CPU ", "cuda:-1", "cuda:x", "0"])
def test_a_device_that_does_not_exist_anywhere_is_wrong_usage(name):
    with pytest.raises(UsageError, match=r"--device: .* is unknown; use auto, cpu, cuda, cuda:N or mps"):
        choose_runtime(name)


@pytest.mark.parametrize("name", ["cuda:99", "xpu", "meta"])
def test_a_device_that_is_not_here_is_said_to_be_missing_and_what_there_is(name):
    with pytest.raises(NotAvailable, match=f"--device: {name} is not here; this machine has .*cpu") as raised:
        choose_runtime(name)
    assert raised.value.exit_code == 3


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_cuda_without_cuda_is_not_available():
    with pytest.raises(NotAvailable, match="cuda is not here"):
        choose_runtime("cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_is_chosen_where_it_is():
    assert choose_runtime().device == torch.device("cuda:0")
    assert choose_runtime("cuda").device.type == "cuda"


def test_the_cpu_is_always_here_and_last():
    assert available_devices()[-1] == "cpu"
    assert choose_runtime("cpu").device == torch.device("cpu")


@pytest.mark.parametrize("precision", PRECISIONS[1:])
def test_the_precision_asked_for_is_taken(precision):
    runtime = choose_runtime("cpu", precision)
    assert (runtime.precision, runtime.why) == (precision, "asked for")


@pytest.mark.parametrize("precision", ["fp64", "", "FP32"])
def test_an_unknown_precision_is_refused_with_the_choices(precision):
    with pytest.raises(UsageError, match="choose one of auto, fp32, bf16, fp16"):
        choose_runtime("cpu", precision)


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_networks_run_in_the_precision_of_their_context(precision):
    layer, images = torch.nn.Conv2d(3, 3, 3), torch.zeros(1, 3, 8, 8)
    with torch.no_grad(), CPU.autocast(precision):
        assert layer(images).dtype == {"bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.no_grad(), CPU.autocast("fp32"):
        assert layer(images).dtype == torch.float32


class Processor:
    """Pretends to be a processor with or without bf16 units."""

    def __init__(self, monkeypatch, amx: bool, bf16: bool):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: bf16)
        monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)


@pytest.mark.parametrize(
    ("amx", "bf16", "precision"), [(True, True, "bf16"), (False, True, "bf16"), (False, False, "fp32")]
)
def test_the_processor_decides_the_precision(monkeypatch, amx, bf16, precision):
    Processor(monkeypatch, amx, bf16)
    assert choose_runtime("cpu").precision == precision


@pytest.mark.parametrize(
    ("isa", "precision"),
    [
        ("AVX2", "fp32"),
        ("avx512_core", "fp32"),
        ("AVX512_CORE_VNNI", "fp32"),
        ("SSE41", "fp32"),
        ("AVX512_CORE_BF16", "bf16"),
        ("AVX512_CORE_FP16", "bf16"),
        ("AVX10_1_512", "bf16"),
        ("AVX512_CORE_AMX", "bf16"),
        ("DEFAULT", "bf16"),
        ("ALL", "bf16"),
        ("", "bf16"),
    ],
)
def test_a_limit_on_instructions_decides_the_precision(monkeypatch, isa, precision):
    Processor(monkeypatch, amx=True, bf16=True)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", isa)
    assert choose_runtime("cpu").precision == precision


def test_a_process_that_is_limited_to_older_instructions_takes_fp32():
    code = "from restorekit.inference import choose_runtime; r = choose_runtime('cpu'); print(r.precision, r.why)"
    environment = {"ONEDNN_MAX_CPU_ISA": "avx2", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout == "fp32 ONEDNN_MAX_CPU_ISA=AVX2 allows no bf16\n"


def test_a_network_with_tensors_of_five_axes_is_placed_too():
    network = torch.nn.Conv2d(3, 8, 3)
    network.register_parameter("modulation", torch.nn.Parameter(torch.zeros(1, 2, 2, 2, 2)))
    placed(network, torch.device("cpu"))
    assert network.weight.is_contiguous(memory_format=torch.channels_last)
    assert not network.training
