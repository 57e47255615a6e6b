"""Turns weights into ONNX files, for programs that have neither Python nor torch."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from restorekit.contract import Batch, Geometry
from restorekit.errors import NotAvailable, UsageError
from restorekit.files import replace_file
from restorekit.inference.ensemble import ensembled
from restorekit.registry import Loaded, Registry
from restorekit.specs import Step
from restorekit.weights.files import read_header

__all__ = ["Exported", "export_onnx"]

#: Of the operators that exported files use.
OPSET = 18

#: Pictures on which a file is compared with torch: batch size, and sides in multiples of what the network needs.
_CHECKED = ((1, 5, 7), (2, 9, 4))
_TRACED = (1, 6, 8)
_LARGEST = 1 << 15


@dataclass(frozen=True, slots=True)
class Exported:
    """An ONNX file that was written and tried.

    Parameters
    ----------
    path : Path
        The file.
    inputs : mapping of str to list
        From each input's name to its shape; names stand for what may vary.
    difference : float
        Largest difference to torch's output, in [0, 1] units, over a few random pictures of other sizes than the
        traced one.
    """

    path: Path
    inputs: Mapping[str, list[str | int]]
    difference: float


def export_onnx(step: Step, target: str | os.PathLike[str], *, registry: Registry) -> Exported:
    """Write a network as ONNX: ``images`` (N, 3, H, W) RGB in [0, 1] to ``restored``, of any size and batch.

    Parameters
    ----------
    step : Step
        Names weights; its settings are built in.
    target : path-like
        The ``.onnx`` file; another one of that name is replaced. The weights' own header is in its metadata, under
        ``restorekit``.
    registry : Registry
        Loads the generator.

    Raises
    ------
    UsageError
        The step has no weights or restores nothing, or the target is no ``.onnx`` file.
    NotAvailable
        onnx, onnxscript or onnxruntime is not installed, the network cannot be expressed in ONNX, or the exported one
        computes something else.
    OutputError
        The target cannot be written.
    """
    target = Path(target)
    if target.suffix != ".onnx":
        raise UsageError(target, "is no name for an ONNX file", "end it in .onnx")
    runtime = _runtime()
    path = registry.weights_path(step)
    loaded = registry.load(step)
    geometry = getattr(loaded.generator, "geometry", None)
    if path is None or not isinstance(loaded.generator, nn.Module) or not isinstance(geometry, Geometry):
        raise UsageError(str(step), "is no network that restores pictures", "name weights that do")
    network = _Exportable(loaded, geometry).eval()
    traced = network.example(_TRACED, geometry)
    program = _traced(str(step), network, traced, geometry)
    program.model.metadata_props["restorekit"] = read_header(path).to_json()
    data = _serialised(program)
    session = runtime.InferenceSession(data, providers=["CPUExecutionProvider"])
    difference = max(_difference(session, network, network.example(size, geometry)) for size in _CHECKED)
    if not difference < 1 / 510:
        raise NotAvailable(str(step), f"its ONNX form differs by {difference:.3g}", "use it through restorekit")
    replace_file(target, data)
    return Exported(target, {given.name: list(given.shape) for given in session.get_inputs()}, difference)


class _Exportable(nn.Module):
    """A restorer as a function of tensors alone."""

    def __init__(self, loaded: Loaded, geometry: Geometry):
        super().__init__()
        assert isinstance(loaded.generator, nn.Module)
        self.generator = loaded.generator
        self.needs_mask = geometry.needs_mask
        self._settings = loaded.settings
        self._ensemble = loaded.ensemble

    def forward(self, images: Tensor, masks: Tensor | None = None) -> Tensor:
        restore: Any = self.generator.restore
        restored = ensembled(restore, self._ensemble)(Batch(images, masks, settings=self._settings)).clamp(0, 1)
        return restored if masks is None else torch.where(masks > 0, restored, images)

    def example(self, size: tuple[int, int, int], geometry: Geometry) -> tuple[Tensor, ...]:
        """Return random inputs; sides are counted in multiples of what the network needs."""
        count, rows, columns = size
        height, width = geometry.size or (8 * rows * geometry.multiple_of, 8 * columns * geometry.multiple_of)
        chance = torch.Generator().manual_seed(rows)
        images = torch.rand(count, 3, height, width, generator=chance)
        masks = (torch.rand(count, 1, height, width, generator=chance) < 0.1).float()
        return (images, masks) if self.needs_mask else (images,)


def _traced(subject: str, network: _Exportable, example: tuple[Tensor, ...], geometry: Geometry) -> Any:
    names = ["images", "masks"][: len(example)]
    shapes = _shapes(geometry)
    try:
        with _quiet(), torch.no_grad():
            return torch.onnx.export(
                network,
                example,
                dynamo=True,
                input_names=names,
                output_names=["restored"],
                dynamic_shapes=dict.fromkeys(names, shapes),
                opset_version=OPSET,
                verbose=False,
            )
    except Exception as error:  # whatever the tracer meets
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        problem = f"cannot be written as ONNX ({first[:160]})"
        raise NotAvailable(subject, problem, "its computation depends on the picture; use it here") from error


def _shapes(geometry: Geometry) -> dict[int, Any]:
    batch = torch.export.Dim("batch", min=1, max=4096)
    if geometry.size is not None:
        return {0: batch}
    if geometry.multiple_of == 1:
        return {axis: torch.export.Dim(name, min=8, max=_LARGEST) for axis, name in ((2, "height"), (3, "width"))} | {
            0: batch
        }
    sides = (torch.export.Dim(name, min=2, max=_LARGEST // geometry.multiple_of) for name in ("rows", "columns"))
    return {0: batch} | {axis: geometry.multiple_of * side for axis, side in zip((2, 3), sides, strict=True)}


def _serialised(program: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder, "network.onnx")
        program.save(path, external_data=False)
        return path.read_bytes()


def _difference(session: Any, network: nn.Module, inputs: tuple[Tensor, ...]) -> float:
    with torch.no_grad():
        wanted = network(*inputs)
    names = [given.name for given in session.get_inputs()]
    (got,) = session.run(None, {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)})
    return float(np.abs(got - wanted.numpy()).max())


def _runtime() -> Any:
    try:
        import onnx  # noqa: F401  # pyright: ignore
        import onnxruntime  # pyright: ignore
        import onnxscript  # noqa: F401  # pyright: ignore
    except ImportError as error:
        raise NotAvailable("--onnx", f"{error.name} is not installed", "pip install 'restorekit[onnx]'") from error
    return onnxruntime


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's talk away from the user."""
    loud = logging.getLogger("torch.onnx")
    level = loud.level
    loud.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        loud.setLevel(level)
