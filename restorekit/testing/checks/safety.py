"""Checks in a process of its own: what a generator does besides restoring, and whether it is the same there."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from restorekit.testing.check import Failure, check
from restorekit.testing.checks.subject import Subject
from restorekit.testing.child import exercised

__all__ = ["CHECKS"]

_PATIENCE = 300


@check(
    "light-import",
    why="every `restorekit --help`, listing and completion imports every plugin: torch alone takes more than a second",
    way_out="let the plugin's __init__.py import nothing but restorekit.plugin; the spec names the rest as text",
    concerns=lambda subject: not subject.problem,
)
def light_import(subject: Subject) -> None:
    """Import the plugin alone, and see what came along."""
    if heavy := _report(subject)["heavy"]:
        raise Failure(f"importing the plugin imports {', '.join(heavy)}")


@check(
    "new-process",
    why="weights that are shared, and runs that go on tomorrow, are used in another process than this one",
    way_out="keep everything that a result depends on in the configuration, the settings and the networks' parameters "
    "and buffers; let nothing depend on the order of a set or on id()",
    concerns=lambda subject: not subject.problem,
)
def new_process(subject: Subject) -> None:
    """Save it, load it in a new process, and compare what it makes."""
    if error := _report(subject)["error"]:
        raise Failure(f"in a new process it fails: {error}")
    there = load_file(subject.folder / "made.safetensors")
    here = exercised(subject.registry.load(subject.step), _given(subject), subject.registry)
    for way, made in here.items():
        if there[way].shape != made.shape or not torch.equal(there[way], made):
            raise Failure(f"in a new process something else is {way}, of the same weights and input")


@check(
    "no-pickle",
    why="a pickle can run any code: weights from the internet must never be able to",
    way_out="keep tensors in .safetensors and the rest in JSON; read foreign files with torch.load(weights_only=True)",
    concerns=lambda subject: not subject.problem,
)
def no_pickle(subject: Subject) -> None:
    """Look for pickles being read."""
    _refuse(subject, "pickle", "it reads a pickle")


@check(
    "no-network",
    why="people restore private pictures, and machines in clusters have no network",
    way_out="name downloads in the spec, as WeightsSource(url=..., sha256=...): the core fetches them on request",
    concerns=lambda subject: not subject.problem,
)
def no_network(subject: Subject) -> None:
    """Look for connections."""
    _refuse(subject, "network", "it uses the network")


@check(
    "no-programs",
    why="what another program does is out of everybody's sight",
    way_out="use a library instead",
    concerns=lambda subject: not subject.problem,
)
def no_programs(subject: Subject) -> None:
    """Look for other programs being started."""
    _refuse(subject, "program", "it starts another program")


@check(
    "no-writes",
    why="a restorer has no business in the user's folders: only the core writes, and never over what is there",
    way_out="return tensors and let the core write; what cannot do without a file uses the tempfile module",
    concerns=lambda subject: not subject.problem,
)
def no_writes(subject: Subject) -> None:
    """Look for files that were written, renamed or removed outside the temporary folder."""
    _refuse(subject, "write", "it writes outside the temporary folder")
    if left := _report(subject)["left"]:
        raise Failure(f"it leaves files in the working or home folder: {', '.join(left)}")


CHECKS = (light_import, new_process, no_pickle, no_network, no_programs, no_writes)


def _refuse(subject: Subject, kind: str, problem: str) -> None:
    for event in _report(subject)["events"]:
        if event["kind"] == kind:
            raise Failure(f"{problem}: {event['what']} ({event['where']})")


@functools.lru_cache(maxsize=2)  # one run for all checks of a subject
def _report(subject: Subject) -> dict[str, Any]:
    """Run the generator in a watched process; return what was seen."""
    folder = subject.folder
    for name in ("home", "work", "temporary"):
        (folder / name).mkdir(exist_ok=True)
    request: dict[str, Any] = {
        "plugin": subject.plugin.name,
        "distribution": subject.plugin.distribution,
        "generator": subject.name,
        "homes": [str(home) for home in subject.homes],
        "folder": str(folder),
        "threads": torch.get_num_threads(),
        "step": {"name": subject.step.name, "choice": subject.step.choice, "settings": dict(subject.step.settings)},
    }
    if subject.spec.weights and (path := subject.registry.weights_path(subject.step)) is not None:
        request["step"] |= {"name": str(path), "choice": ""}
    save_file(_given(subject), folder / "given.safetensors")
    (folder / "request.json").write_text(json.dumps(request))
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "temporary"),
    }
    command = [sys.executable, "-m", "restorekit.testing.child", str(folder / "request.json")]
    done = subprocess.run(
        command, cwd=folder / "work", env=environment, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    answer = folder / "report.json"
    if done.returncode or not answer.exists():
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise Failure(f"in a new process it ends with status {done.returncode}: {last}")
    return json.loads(answer.read_text())


def _given(subject: Subject) -> dict[str, Tensor]:
    batch = subject.batch(41, 53, seeds=(11, 12))
    return {name: value for name in ("images", "masks", "seeds") if (value := getattr(batch, name)) is not None}
