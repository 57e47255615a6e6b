"""Chooses where and how precisely networks run."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from restorekit.errors import NotAvailable, UsageError

__all__ = ["LAYOUT", "LAYOUT_REASON", "PRECISIONS", "Runtime", "available_devices", "choose_runtime", "placed"]

Precision = Literal["fp32", "bf16", "fp16"]

#: What ``--precision`` accepts.
PRECISIONS = ("auto", "fp32", "bf16", "fp16")

#: How networks' tensors lie in memory on every device, and why. oneDNN's kernels for fp32 and bf16 convolutions work on
#: channels side by side, as tensor cores do: any other layout is turned into it and back for every layer.
LAYOUT = torch.channels_last
LAYOUT_REASON = "convolutions of oneDNN and cuDNN work on channels that lie side by side"

#: Values of oneDNN's ``ONEDNN_MAX_CPU_ISA`` that leave no bf16 units; those it does not know it ignores.
_ISAS_WITHOUT_BF16 = {"SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE", "AVX512_CORE_VNNI"}

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Runtime:
    """A device and the precision networks run in on it.

    Parameters
    ----------
    device : torch.device
        Where tensors live.
    precision : {"fp32", "bf16", "fp16"}
        What matrix products of networks are computed in; pictures above 8 bits, and generators that are no networks,
        always take fp32.
    why : str
        Why this precision was chosen, for `restorekit info`.
    """

    device: torch.device
    precision: Precision
    why: str

    def autocast(self, precision: Precision) -> contextlib.AbstractContextManager[object]:
        """Return the context that networks run in at ``precision``."""
        if precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=_DTYPES[precision])


def available_devices() -> list[str]:
    """Name the devices this process could use, best first."""
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("mps")
    return [*names, "cpu"]


def choose_runtime(device: str = "auto", precision: str = "auto") -> Runtime:
    """Resolve what the user asked for to what this machine has.

    Parameters
    ----------
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"``, ``"cuda:1"``, ``"mps"``.
    precision : str
        One of `PRECISIONS`.

    Raises
    ------
    UsageError
        An unknown device or precision.
    NotAvailable
        The device is not here.
    """
    if precision not in PRECISIONS:
        raise UsageError("--precision", f"{precision!r} is unknown", f"choose one of {', '.join(PRECISIONS)}")
    names = available_devices()
    if device == "auto":
        chosen = torch.device(names[0])
    else:
        try:
            chosen = torch.device(device)
        except RuntimeError:
            raise UsageError("--device", f"{device!r} is unknown", "use auto, cpu, cuda, cuda:N or mps") from None
        if device not in names and not (device == "cuda" and names[0].startswith("cuda")):
            raise NotAvailable("--device", f"{device} is not here", f"this machine has {', '.join(names)}")
    best, why = _best_precision(chosen)
    if precision == "auto":
        return Runtime(chosen, best, why)
    return Runtime(chosen, precision, "asked for")  # pyright: ignore[reportArgumentType]


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Move a network to a device, into the memory layout that convolutions are fastest in, and to evaluation mode."""
    network.to(device)
    for tensor in (*network.parameters(), *network.buffers()):
        if tensor.ndim == 4:  # Module.to would refuse networks that have tensors of five axes
            tensor.data = tensor.data.to(memory_format=LAYOUT)
    return network.eval()


def _best_precision(device: torch.device) -> tuple[Precision, str]:
    if device.type == "cuda":
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16", f"{torch.cuda.get_device_name(device)} computes in bf16"
        return "fp32", f"{torch.cuda.get_device_name(device)} has no bf16 units"
    if device.type == "cpu":
        # oneDNN obeys this variable, so a machine can be made to look like an older one.
        limited = os.environ.get("ONEDNN_MAX_CPU_ISA", "").upper()
        if limited in _ISAS_WITHOUT_BF16:
            return "fp32", f"ONEDNN_MAX_CPU_ISA={limited} allows no bf16"
        if torch.cpu._is_amx_tile_supported():
            return "bf16", "the processor has AMX"
        if torch.cpu._is_avx512_bf16_supported():
            return "bf16", "the processor has AVX512-BF16"
        return "fp32", "the processor has neither AMX nor AVX512-BF16"
    return "fp32", f"{device.type} runs in fp32"
