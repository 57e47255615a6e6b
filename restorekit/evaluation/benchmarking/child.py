"""Restores the pictures of a benchmark in a process of its own, so that time and memory are this competitor's alone.

Told by a JSON file what to do; tells of each picture by one JSON line on the standard output that it was started with.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import torch
from numpy.typing import NDArray

from restorekit.contract import PictureInfo
from restorekit.errors import RestorekitError
from restorekit.evaluation.benchmarking.floats import FloatChain
from restorekit.images.picture import Picture
from restorekit.inference import Job, Restoration, Runtime, Target, choose_runtime
from restorekit.inference.arrays import convert
from restorekit.registry import Registry, registry
from restorekit.specs import Step

__all__ = ["main", "work"]

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")

#: Takes a picture's name, pixels, mask and seed, and the size to reach; returns the restored pixels, what was done,
#: and the checksums of weights by step.
_Call = Callable[
    [str, NDArray[Any], NDArray[np.bool_] | None, int, tuple[int, int]],
    tuple[NDArray[Any], list[str], Mapping[str, str]],
]


def main() -> None:
    """Run the job that the first argument names."""
    # Whatever a library prints must not come between our lines.
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as told:
        os.dup2(2, 1)
        work(Path(sys.argv[1]), told)


def work(path: Path, told: TextIO) -> None:
    """Do the job that a JSON file describes; tell of everything, failures too, line by line."""
    try:
        _restore(json.loads(path.read_text(encoding="utf-8")), told)
    except Exception as error:
        _tell(told, {"error": _reason(error)})


def _restore(job: Mapping[str, Any], told: TextIO) -> None:
    runtime = choose_runtime(job["device"], job["precision"])
    on_cuda = runtime.device.type == "cuda"
    if on_cuda:
        torch.cuda.init()
    baseline = _begin_memory()
    call, masked = _prepared(job, runtime, registry())
    _tell(told, {"masked": masked})
    warm = False
    for number, picture in enumerate(job["pictures"]):
        pixels = np.load(picture["degraded"], allow_pickle=False)
        mask = np.load(picture["mask"], allow_pickle=False) if picture["mask"] and masked else None
        size = tuple(picture["size"])
        try:
            if not warm:
                call(picture["name"], pixels, mask, picture["seed"], size)
                warm = True
            begun = time.perf_counter()
            restored, steps, weights = call(picture["name"], pixels, mask, picture["seed"], size)
            seconds = time.perf_counter() - begun
        except Exception as error:
            _tell(told, {"number": number, "error": _reason(error)})
            continue
        if picture["alarms"]:
            np.save(picture["alarms"], call(picture["name"], *_undamaged(picture))[0], allow_pickle=False)
        restored = restored if restored.dtype == bool else convert(restored, picture["dtype"])
        np.save(picture["restored"], restored, allow_pickle=False)
        pixels_made = restored.shape[0] * restored.shape[1]
        line = {"number": number, "seconds": seconds, "pixels": pixels_made, "steps": steps, "weights": dict(weights)}
        _tell(told, line)
    peak = torch.cuda.max_memory_allocated(runtime.device) if on_cuda else _peak_memory(baseline)
    device = torch.cuda.get_device_name(runtime.device) if on_cuda else str(runtime.device)
    ended = {"peak_bytes": peak, "device": device, "precision": runtime.precision, "threads": torch.get_num_threads()}
    _tell(told, ended)


def _prepared(job: Mapping[str, Any], runtime: Runtime, known: Registry) -> tuple[_Call, bool]:
    """Load everything; return what restores one picture, and whether it is given the masks."""
    steps = [Step.parse(text) for text in job["steps"]]
    if job["floating"]:
        chain = FloatChain(steps, known, runtime, job["tile"])
        weights = {str(s): each.weights_sha256 for s, each in zip(steps, chain.loaded, strict=True)}
        weights = {step: sha256 for step, sha256 in weights.items() if sha256}

        def on_floats(name: str, pixels: Any, mask: Any, seed: int, size: tuple[int, int]) -> Any:
            return chain.restore(name, pixels, mask, seed), [str(step) for step in steps], weights

        return on_floats, True
    restoration = Restoration(steps, registry=known, runtime=runtime, tile=job["tile"])

    def on_picture(name: str, pixels: Any, mask: Any, seed: int, size: tuple[int, int]) -> Any:
        restoration.target = Target() if pixels.shape[:2] == size else Target(size=(size[1], size[0]))
        (outcome,) = restoration.restore([Job(name, _picture(pixels), mask, seed)])
        if outcome.error is not None:
            raise outcome.error
        assert outcome.picture is not None
        result = _marks(outcome.mask, size) if job["detecting"] else outcome.picture.pixels
        return result, [str(step) for step in outcome.steps], outcome.weights

    # What looks for damage itself is measured with what it finds: the true mask would do its work for it.
    finds = any(known.spec_of(step).tasks & {"detect", "plan"} for step in steps)
    return on_picture, not finds


def _undamaged(picture: Mapping[str, Any]) -> tuple[NDArray[Any], None, int, tuple[int, int]]:
    """Return what to call with for what is marked of a picture without damage."""
    return np.load(picture["clean"], allow_pickle=False), None, picture["seed"], tuple(picture["size"])


def _marks(mask: NDArray[np.bool_] | None, size: tuple[int, int]) -> NDArray[np.bool_]:
    return np.zeros(size, bool) if mask is None else mask


def _picture(pixels: NDArray[Any]) -> Picture:
    height, width, channels = pixels.shape
    bits = 8 * pixels.dtype.itemsize
    return Picture(
        pixels=pixels, info=PictureInfo(format="png", width=width, height=height, channels=channels, bits=bits)
    )


def _begin_memory() -> int | None:
    """Forget the highest memory so far, and return how much there is now."""
    # The usual ru_maxrss holds what the parent process had when it started this one.
    with contextlib.suppress(OSError):  # not everywhere, nor allowed everywhere
        _CLEAR.write_text("5")
    return _status("VmRSS")


def _peak_memory(baseline: int | None) -> int | None:
    peak = _status("VmHWM")
    return None if peak is None or baseline is None else max(0, peak - baseline)


def _status(name: str) -> int | None:
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return None  # only Linux tells
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), None)


def _reason(error: Exception) -> str:
    if os.environ.get("RESTOREKIT_DEBUG"):
        traceback.print_exception(error)
    if isinstance(error, RestorekitError):
        return str(error)
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _tell(told: TextIO, line: Mapping[str, Any]) -> None:
    told.write(json.dumps(line) + "\n")
    told.flush()
