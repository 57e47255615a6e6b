"""Starts one process a competitor, tells it what to do and gathers what it reports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restorekit.evaluation.benchmarking.competitors import Competitor
from restorekit.evaluation.benchmarking.pictures import Sample, load

__all__ = ["Machine", "Restored", "alarms_beside", "reports", "restore_apart"]

# Our own search path, and not what lies in the current folder, decides what the process imports.
_START = "import sys; sys.path[:] = sys.argv[2:]; from restorekit.evaluation.benchmarking.child import main; main()"


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """Where and how precisely competitors run.

    Parameters
    ----------
    device, precision : str
        See `restorekit.inference.choose_runtime`.
    tile : int, optional
        Side of tiles in input pixels.
    """

    device: str = "auto"
    precision: str = "auto"
    tile: int | None = None


@dataclass(slots=True)
class Restored:
    """What a competitor made of the pictures.

    Parameters
    ----------
    paths : dict of str to Path
        ``.npy`` files of restored pictures, by name.
    failed : list of (str, str)
        Pictures that it could not restore, with the reason.
    seconds : float
        For all of them.
    pixels : int
        Of all results together.
    steps : tuple of str
        What was done to the first one.
    weights : dict of str to str
        Checksums of weights files, by step.
    masked : bool
        Whether it was given the masks.
    facts : dict
        Device, precision, threads.
    peak_bytes : int, optional
        Its memory; ``None`` where the system does not tell.
    error : str
        Why it could not run at all.
    """

    paths: dict[str, Path] = field(default_factory=dict)
    failed: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    pixels: int = 0
    steps: tuple[str, ...] = ()
    weights: dict[str, str] = field(default_factory=dict)
    masked: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    peak_bytes: int | None = None
    error: str = ""


def restore_apart(
    competitor: Competitor,
    samples: Sequence[Sample],
    folder: Path,
    *,
    floating: bool,
    machine: Machine,
    told: Callable[[int, int], None],
    detecting: bool = False,
) -> Restored:
    """Let a competitor restore all pictures in a process of its own.

    Parameters
    ----------
    competitor : Competitor
        Which steps.
    samples : sequence of Sample
        The damaged pictures.
    folder : Path
        For the results.
    floating : bool
        Whether the pictures are floats that may lie beyond [0, 1].
    machine : Machine
        Where.
    told : callable
        Is told how many pictures are done, of how many.
    detecting : bool
        The results are what is marked, ``(H, W)`` bool; also of the clean pictures, see `alarms_beside`.

    Returns
    -------
    Restored
        A process that fails, or is killed, is a result with an error.
    """
    outputs = [folder / f"{number:06d}-restored.npy" for number in range(len(samples))]
    job = {
        "steps": [str(step) for step in competitor.steps],
        "floating": floating,
        "detecting": detecting,
        "device": machine.device,
        "precision": machine.precision,
        "tile": machine.tile,
        "pictures": [_picture(sample, output, detecting) for sample, output in zip(samples, outputs, strict=True)],
    }
    path = folder / "job.json"
    path.write_text(json.dumps(job), encoding="utf-8")
    restored = Restored()
    for line in reports(path):
        _take(restored, line, samples, outputs, told)
    return restored


def reports(job: Path) -> Iterator[dict[str, Any]]:
    """Start a process that does a job, and yield what it tells; should it fail, or be killed, that comes last."""
    with tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-c", _START, str(job), *sys.path]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, encoding="utf-8") as process:
            assert process.stdout is not None
            try:
                yield from map(json.loads, process.stdout)
            except BaseException:
                process.kill()
                raise
        errors.seek(0)
        noise = errors.read().decode(errors="replace").strip().splitlines()
    if process.returncode:
        yield {"error": _ending(process.returncode, noise)}


def alarms_beside(output: Path) -> Path:
    """Return where a detector's marks on the clean picture lie, beside those on the damaged one."""
    return output.with_name(f"{output.stem}-alarms.npy")


def _picture(sample: Sample, output: Path, detecting: bool) -> dict[str, Any]:
    clean = load(sample.clean)
    return {
        "name": sample.name,
        "degraded": str(sample.degraded),
        "mask": None if sample.mask is None else str(sample.mask),
        "seed": sample.seed,
        "size": list(clean.shape[:2]),
        "dtype": clean.dtype.name,
        "restored": str(output),
        "clean": str(sample.clean),
        "alarms": str(alarms_beside(output)) if detecting else None,
    }


def _take(
    restored: Restored,
    line: dict[str, Any],
    samples: Sequence[Sample],
    outputs: Sequence[Path],
    told: Callable[[int, int], None],
) -> None:
    if "number" in line:
        number = line["number"]
        name = samples[number].name
        if "error" in line:
            restored.failed.append((name, line["error"]))
        else:
            restored.paths[name] = outputs[number]
            restored.seconds += line["seconds"]
            restored.pixels += line["pixels"]
            restored.steps = restored.steps or tuple(line["steps"])
            restored.weights |= line["weights"]
        told(number + 1, len(samples))
    elif "error" in line:
        restored.error = restored.error or line["error"]
    elif "masked" in line:
        restored.masked = line["masked"]
    else:
        restored.peak_bytes = line.pop("peak_bytes")
        restored.facts = line


def _ending(status: int, noise: Sequence[str]) -> str:
    if status < 0:
        name = signal.Signals(-status).name if -status in set(signal.Signals) else str(-status)
        killed = "; it may have run out of memory" if name == "SIGKILL" else ""
        return f"process: was ended by {name}{killed}"
    return f"process: ended with status {status}{f' ({noise[-1].strip()})' if noise else ''}"
