"""Measures restoration beside plain loops and beside the bare network, with the same weights.

    python benchmarks/restore.py
    python benchmarks/restore.py --network compact --network large --rounds 3
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/restore.py

Every contestant is a process of its own that loads the weights, restores all photos once, and then waits for its turn.

- "as Real-ESRGAN", "as chaiNNer": see `loops`; fp32;
- "restorekit": ``restore_folder`` as it comes, with metadata, checksums, manifest and report;
- "bare network": on tensors that are there already, cut to the executor's tiles without any overlap, in restorekit's
  precision and layout; nothing is read, quantised or written.

Processor time is told beside wall time: on a machine that others use too it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import median_ratio, print_rows
from numpy.typing import NDArray
from processes import Measured, rounds_in_processes
from skimage import data

import restorekit
from restorekit.batch.restore import Options
from restorekit.contract import Batch
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.specs import Step
from restorekit.weights.networks import save

_PHOTOS = Path(__file__).parents[1] / "../shared/data/train/CLIC2025"
#: Networks besides weights that come along. Random parameters take the same time as trained ones.
_NETWORKS: dict[str, dict[str, Any]] = {
    "compact": {"architecture": "compact", "features": 64, "blocks": 16},
    "large": {"architecture": "residual", "features": 64, "blocks": 16},
}


def main() -> None:
    """Print ratios to restorekit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help=f"a step, or {', '.join(_NETWORKS)}; may repeat")
    parser.add_argument("--data", type=Path, default=_PHOTOS, help="photos; scikit-image's where it is missing")
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--size", default="768x512", help="of the photos, WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", help="contestants, beside restorekit")
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    runtime = choose_runtime()
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        _make_photos(arguments.data, source, arguments.pictures, width, height)
        for network in arguments.network or ["super-resolver:x4"]:
            step = _step(network, Path(folder))
            contestants = {
                name: (name, source, Path(folder, name), step)
                for name in _PREPARED
                if name == "restorekit" or not arguments.only or name in arguments.only
            }
            results = rounds_in_processes(prepare, contestants, arguments.rounds)
            rows += _rows(network, results, arguments.pictures)
    told = f"{arguments.pictures} photos of {width}x{height}, medians of {arguments.rounds} rounds in turn"
    print(f"{told}; {runtime.precision} ({runtime.why}), {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    columns = [
        "network",
        "contestant",
        "photos a second",
        "time / restorekit",
        "processor time / restorekit",
        "peak MiB",
    ]
    print_rows(columns, rows)


def _rows(network: str, results: dict[str, Measured], pictures: int) -> list[list[object]]:
    ours = results["restorekit"]
    return [
        [
            network,
            name,
            pictures / statistics.median(result.wall),
            median_ratio(result.wall, ours.wall),
            median_ratio(result.processor, ours.processor),
            result.peak >> 20,
        ]
        for name, result in results.items()
    ]


def prepare(name: str, source: Path, target: Path, step: str) -> Callable[[], None]:
    """Load what a contestant needs; called in its own process."""
    run = _PREPARED[name](source, target, step)

    def contestant() -> None:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        run()

    return contestant


def _loop(name: str, source: Path, target: Path, step: str) -> Callable[[], None]:
    import loops

    restorer = restorekit.load(step).eval()
    return functools.partial(getattr(loops, name), restorer, source, target)


def _restorekit(source: Path, target: Path, step: str) -> Callable[[], None]:
    options = Options(steps=(Step.parse(step),))

    def run() -> None:
        assert restorekit.restore_folder(source, target, options).failed == 0

    return run


def _bare(source: Path, target: Path, step: str) -> Callable[[], None]:
    from restorekit.inference.executor import DEFAULT_TILE
    from restorekit.inference.tiling import tile_grid

    runtime = choose_runtime()
    restorer = restorekit.load(step).eval().to(runtime.device, memory_format=torch.channels_last)
    pieces = []
    for path in sorted(source.iterdir()):
        image = torch.from_numpy(_read(path).astype(np.float32) / 255).permute(2, 0, 1)[None].to(runtime.device)
        for tile in tile_grid(*image.shape[2:], DEFAULT_TILE, 0, even=True):
            part = image[:, :, tile.top : tile.bottom, tile.left : tile.right]
            pieces.append(part.contiguous(memory_format=torch.channels_last))

    def run() -> None:
        with torch.inference_mode(), runtime.autocast(runtime.precision):
            for piece in pieces:
                restorer.restore(Batch(piece))
        if runtime.device.type == "cuda":
            torch.cuda.synchronize(runtime.device)

    return run


_PREPARED: dict[str, Callable[[Path, Path, str], Callable[[], None]]] = {
    "as Real-ESRGAN": functools.partial(_loop, "real_esrgan"),
    "as chaiNNer": functools.partial(_loop, "chainner"),
    "bare network": _bare,
    "restorekit": _restorekit,
}


def _step(network: str, folder: Path) -> str:
    if network not in _NETWORKS:
        return network
    spec = registry().spec("super-resolver")
    torch.manual_seed(0)
    generator = registry().construct(spec, _NETWORKS[network])
    path = folder / f"{network}.safetensors"
    save(generator, path, spec=spec, config=generator.config)
    return str(path)


def _make_photos(photos: Path, target: Path, count: int, width: int, height: int) -> None:
    """Cut photos to one size, as JPEG."""
    target.mkdir()
    paths = sorted(photos.iterdir())[:count] if photos.is_dir() else []
    images = [_read(path) for path in paths] or [data.coffee(), data.astronaut(), data.chelsea(), data.rocket()]
    for number in range(count):
        image = images[number % len(images)]
        factor = max(width / image.shape[1], height / image.shape[0], 1)
        size = (round(image.shape[1] * factor), round(image.shape[0] * factor))
        cut = cv2.resize(image, size, interpolation=cv2.INTER_AREA)[:height, :width]
        cv2.imwrite(str(target / f"{number:03d}.jpg"), cut[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])


def _read(path: Path) -> NDArray[np.uint8]:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.ascontiguousarray(bgr[..., ::-1])  # pyright: ignore[reportReturnType]


if __name__ == "__main__":
    main()
