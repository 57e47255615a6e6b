"""The watched process: imports a plugin, uses its generator, and writes down what it did besides.

What a library does while it is imported, or of its own accord, is not the plugin's doing: an event counts where the
plugin's code is on the stack, and no import of something else in between.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

    from restorekit.registry import Loaded, Registry

__all__ = ["exercised"]

#: What listings must not load.
_HEAVY = ("torch", "cv2", "skimage", "scipy", "numpy", "PIL", "tifffile")

_NETWORK = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"}
_PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.startfile"}
_CHANGES = {
    *("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("os.chown", "os.utime"),
}
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Writes down what the plugin's code does, and lets no connection through.

    Parameters
    ----------
    homes : sequence of str
        The plugin's files or folders.
    allowed : str
        The folder that may be written to.
    """

    def __init__(self, homes: list[str], allowed: str):
        self.events: list[dict[str, str]] = []
        self._homes = tuple(homes)
        self._allowed = allowed
        self._busy = False

    def start(self) -> None:
        """Watch from now on; it cannot be ended."""
        sys.addaudithook(self._hear)
        for name in ("load", "loads"):
            setattr(pickle, name, self._noting(getattr(pickle, name), f"pickle.{name}"))

    def _noting(self, function: Any, name: str) -> Any:
        def noted(*arguments: Any, **named: Any) -> Any:
            self._note("pickle", name)
            return function(*arguments, **named)

        return noted

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._busy:
            return
        if event == "pickle.find_class":
            self._note("pickle", f"{event} {arguments[0]}.{arguments[1]}")
        elif event in _NETWORK:
            if self._note("network", f"{event} {_address(event, arguments)}"):
                raise ConnectionRefusedError("restorekit's kit lets no plugin use the network")
        elif event in _PROGRAMS:
            self._note("program", f"{event} {arguments[0]!r}")
        elif event in _CHANGES and not self._is_allowed(arguments[0]):
            self._note("write", f"{event} {arguments[0]}")
        elif event == "open" and _writes(arguments) and not self._is_allowed(arguments[0]):
            self._note("write", f"open {arguments[0]} for writing")

    def _note(self, kind: str, what: str) -> bool:
        self._busy = True
        try:
            where = self._culprit()
            if where:
                self.events.append({"kind": kind, "what": what, "where": where})
            return bool(where)
        finally:
            self._busy = False

    def _culprit(self) -> str:
        """Return the plugin's line that is to blame; ``""`` where none is."""
        frame: FrameType | None = sys._getframe()
        while frame is not None:
            name = frame.f_code.co_filename
            if any(name == home or name.startswith(home + os.sep) for home in self._homes):
                return f"{Path(name).name}, line {frame.f_lineno}"
            if name.startswith("<frozen importlib"):
                return ""
            frame = frame.f_back
        return ""

    def _is_allowed(self, path: object) -> bool:
        if not isinstance(path, str | bytes | os.PathLike):
            return True  # a descriptor that is open already
        text = os.path.realpath(os.fsdecode(path))
        return text.startswith(self._allowed) or text in ("/dev/null", os.devnull) or "__pycache__" in text


def main(request: dict[str, Any]) -> dict[str, Any]:
    """Answer a request; see `restorekit.testing.checks.safety`."""
    folder = Path(request["folder"])
    watch = Watch([*request["homes"]], os.path.realpath(folder / "temporary"))
    watch.start()
    heavy = _imported_by(request["plugin"], request["distribution"])
    error = ""
    try:
        _use(request, folder)
    except Exception as caught:  # the plugin's code may raise anything
        error = f"{type(caught).__name__}: {' '.join(str(caught).split())}"
    # Libraries keep what they like in the user's cache (onnxruntime does when it is imported); the plugin's own
    # writes there are among the events.
    cache = folder / "home/.cache"
    left = [str(path.relative_to(folder)) for path in _files(folder) if not path.is_relative_to(cache)]
    return {"heavy": heavy, "events": watch.events, "left": left, "error": error}


def _imported_by(plugin: str, distribution: str) -> list[str]:
    from restorekit.discovery import discover, import_plugins

    import_plugins([found for found in discover() if (found.name, found.distribution) == (plugin, distribution)])
    return [name for name in _HEAVY if name in sys.modules]


def _use(request: dict[str, Any], folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    from restorekit.registry import registry
    from restorekit.specs import Step

    torch.set_num_threads(request["threads"])
    found = registry()
    loaded = found.load(Step(**request["step"]))
    save_file(exercised(loaded, load_file(folder / "given.safetensors"), found), folder / "made.safetensors")
    if loaded.spec.trainer:
        _teach(request["generator"])


def exercised(loaded: Loaded, given: dict[str, Tensor], found: Registry) -> dict[str, Tensor]:
    """Use a generator in all the ways it offers; return what it makes of the tensors of a batch, by way."""
    import torch

    from restorekit.contract import Batch, Detector, PictureInfo, Planner, Request, Restorer, Sampler
    from restorekit.weights.networks import networks_of

    for network in networks_of(loaded.generator).values():
        network.eval()
    generator: Any = loaded.generator
    batch = Batch(given["images"], given.get("masks"), seeds=given["seeds"], settings=loaded.settings)
    made: dict[str, Tensor] = {}
    with torch.no_grad():
        if isinstance(generator, Restorer):
            made["restored"] = generator.restore(batch)
        if isinstance(generator, Detector):
            made["detected"] = generator.detect(batch)
        if isinstance(generator, Sampler):
            classes = int(getattr(loaded.config, "classes", 0))
            labels = torch.arange(2) % classes if classes else None
            made["sampled"] = generator.decode(generator.latents(torch.arange(2)), labels)
        if isinstance(generator, Planner):
            info = PictureInfo(format="png", width=batch.images.shape[3], height=batch.images.shape[2])
            steps = generator.plan(Request(info, batch.images[0], None, 2.0, found.generators))
            text = "; ".join(f"{step} {step.reason}" for step in steps)
            made["planned"] = torch.tensor(list(text.encode()), dtype=torch.uint8)
    return {way: tensor.contiguous() for way, tensor in made.items()}


def _teach(name: str) -> None:
    import tempfile

    from restorekit.registry import registry
    from restorekit.testing.checks.subject import Subject
    from restorekit.testing.checks.teaching import Lesson
    from restorekit.testing.checks.watched import WatchedUpdate

    found = registry()
    lesson = Lesson(Subject(found, found.owner(name), found.spec(name), tempfile.TemporaryDirectory()))
    lesson.step(WatchedUpdate(lesson.networks, lesson.phases))


def _files(folder: Path) -> Iterator[Path]:
    for place in ("home", "work"):
        yield from sorted(path for path in (folder / place).rglob("*") if path.is_file())


def _address(event: str, arguments: tuple[Any, ...]) -> str:
    host = arguments[:2] if event.startswith("socket.get") else arguments[1]  # a socket comes first
    return ":".join(map(str, host)) if isinstance(host, tuple) else str(host)


def _writes(arguments: tuple[Any, ...]) -> bool:
    _, mode, flags = arguments
    if isinstance(mode, str):
        return any(letter in mode for letter in "wax+")
    return bool(isinstance(flags, int) and flags & _WRITING)


if __name__ == "__main__":
    file = Path(sys.argv[1])
    answer = main(json.loads(file.read_text()))
    (file.parent / "report.json").write_text(json.dumps(answer))
