"""Reads other toolkits' weights as a flat table of tensors: torch pickles without running any code, and safetensors."""

from __future__ import annotations

import os
import pickle
import re
import stat
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restorekit.errors import NotAvailable
from restorekit.weights.files import WeightsFile, storage_dtypes

__all__ = ["read_foreign"]

#: Where checkpoints keep the network that is meant to be used: moving averages before what they average.
_NESTED = ("params_ema", "state_dict_ema", "ema", "g_ema", "params", "state_dict", "model_state_dict", "model")

#: Prefixes that wrappers put before every name.
_WRAPPERS = ("module.", "_orig_mod.")

#: How much larger than its file a network may be: tied weights count twice, archives may be compressed.
_MAX_GROWTH = 8

_WAY_OUT = "ask whoever made it for a file that holds only tensors, best as .safetensors"


def read_foreign(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of the one network that a foreign file is about.

    Parameters
    ----------
    path : path-like
        A ``.safetensors`` file, or what ``torch.save`` wrote.

    Returns
    -------
    dict of str to Tensor
        On the CPU, flat; the wrappers' common prefixes are taken off.

    Raises
    ------
    NotAvailable
        It is not there, holds no tensors, claims more than it holds, or would run code when loaded.
    """
    path = Path(path)
    if path.suffix == ".safetensors":
        with WeightsFile(path, foreign=True) as file:
            return _unwrapped(file.read()[0])
    state = _tensors(path, _unpickled(path))
    _refuse_inflated(path, state)
    return _unwrapped(state)


def _unpickled(path: Path) -> Any:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise NotAvailable(path, "is a folder" if path.is_dir() else "is no regular file")
        if path.stat().st_size == 0:
            raise NotAvailable(path, "is empty")
        file = path.open("rb")
    except OSError as error:
        raise NotAvailable(path, f"cannot be read ({error.strerror or error})") from error
    try:
        with file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickle protocols; a failure says enough
            if zipfile.is_zipfile(file):
                _refuse_bombs(path)
            file.seek(0)
            return torch.load(file, map_location="cpu", weights_only=True)
    except NotAvailable:
        raise
    except pickle.UnpicklingError as error:
        code = re.search(r"GLOBAL ([\w.]{1,60})", str(error))
        problem = f"asks for code ({code[1]}) when it is loaded" if code else "is no file of tensors"
        raise NotAvailable(path, f"{problem}, and was not loaded", _WAY_OUT) from error
    except Exception as error:  # a damaged pickle may fail in any way; none of its code has run
        problem = f"is damaged, or no file of tensors ({type(error).__name__})"
        raise NotAvailable(path, problem, _WAY_OUT) from error


def _refuse_bombs(path: Path) -> None:
    """Refuse archives that grow when they are read: torch writes plain ones, and weights hardly compress."""
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > _MAX_GROWTH * path.stat().st_size:
        raise NotAvailable(path, f"is an archive that would grow to {unpacked / 1e6:,.0f} MB", _WAY_OUT)


def _tensors(path: Path, value: Any) -> dict[str, Tensor]:
    for _ in range(3):  # {"checkpoint": {"params_ema": ...}} is as deep as anyone goes
        if not isinstance(value, Mapping):
            break
        table = {name: tensor for name, tensor in value.items() if isinstance(name, str) and isinstance(tensor, Tensor)}
        if table:
            return table
        nested = [key for key in _NESTED if isinstance(value.get(key), Mapping)]
        alone = [key for key, item in value.items() if isinstance(item, Mapping)]
        if not nested and len(alone) != 1:
            break
        value = value[(nested or alone)[0]]
    raise NotAvailable(path, "holds no table of tensors", _WAY_OUT)


def _refuse_inflated(path: Path, state: Mapping[str, Tensor]) -> None:
    """Refuse tensors that are more than their bytes: views that repeat one value, or one storage many times."""
    known = set(storage_dtypes().values())
    total = 0
    for name, tensor in state.items():
        if tensor.layout != torch.strided or tensor.device.type != "cpu" or tensor.dtype not in known:
            raise NotAvailable(path, f"holds a tensor of a kind that weights are not ({name[:80]!r})", _WAY_OUT)
        size = tensor.numel() * tensor.element_size()
        total += size
        if size > tensor.untyped_storage().nbytes():
            raise NotAvailable(path, f"holds a tensor larger than its data ({name[:80]!r})", _WAY_OUT)
    if total > _MAX_GROWTH * path.stat().st_size:
        raise NotAvailable(path, "holds tensors larger than the file", _WAY_OUT)


def _unwrapped(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take off what torch's wrappers put before every name."""
    for prefix in _WRAPPERS:
        if all(name.startswith(prefix) and len(name) > len(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state
