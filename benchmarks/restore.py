"""Measures restoration beside plain loops and beside the bare network, with the same weights.

    python benchmarks/restore.py
    python benchmarks/restore.py --pictures 24 --keep restore.jsonl --minutes 20
    python benchmarks/restore.py --network compact --network large --only real-esrgan --rounds 3
    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/restore.py

With ``--keep`` every turn is written down as it ends, and the same command goes on where it was interrupted.

Every contestant is a process of its own that loads the weights, restores one photo, and then waits for its turn; in a
round each restores all photos.

- real-esrgan, chainner: loops in their manner, see `loops`; fp32;
- restorekit: ``restore_folder`` as it comes, with metadata, checksums, manifest and report;
- bare: the network on tensors that are there already, cut to the executor's tiles without any overlap, in restorekit's
  precision and layout; nothing is read, quantised or written.

Processor time is told beside wall time: on a machine that others use too it is the steadier of the two.
"""

from __future__ import annotations

import argparse
import functools
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from common import print_rows
from kept import Kept, missing, take_turns
from numpy.typing import NDArray
from processes import waiting
from skimage import data

import restorekit
from restorekit.batch.restore import Options
from restorekit.contract import Batch
from restorekit.inference import choose_runtime
from restorekit.registry import registry
from restorekit.specs import Step
from restorekit.values import resolve
from restorekit.weights.networks import save

_PHOTOS = Path(__file__).parents[1] / "../shared/data/train/CLIC2025"
#: Networks besides weights that come along. Random parameters take the same time as trained ones.
_NETWORKS: dict[str, dict[str, Any]] = {
    "compact": {"architecture": "compact", "features": 64, "blocks": 16},
    "large": {"architecture": "residual", "features": 64, "blocks": 16},
}
_OURS = "restorekit"


def main() -> None:
    """Print ratios to restorekit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", help=f"a step, or {', '.join(_NETWORKS)}; may repeat")
    parser.add_argument("--data", type=Path, default=_PHOTOS, help="photos; scikit-image's where it is missing")
    parser.add_argument("--pictures", type=int, default=2)
    parser.add_argument("--size", default="768x512", help="of the photos, WIDTHxHEIGHT")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", action="append", choices=_CONTESTANTS, help="beside restorekit; may repeat")
    parser.add_argument("--keep", type=Path, help="file of JSON lines that results are added to and taken from")
    parser.add_argument("--minutes", type=float, help="begin no round after so many")
    arguments = parser.parse_args()
    until = None if arguments.minutes is None else time.monotonic() + 60 * arguments.minutes
    width, height = map(int, arguments.size.split("x"))
    names = [name for name in _CONTESTANTS if name == _OURS or not arguments.only or name in arguments.only]
    networks = arguments.network or ["super-resolver:x4"]
    runtime = choose_runtime()
    kept = Kept(arguments.keep, _conditions(arguments, runtime.precision))
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "in")
        _make_photos(arguments.data, source, arguments.pictures, width, height)
        try:
            for network in networks:
                late = missing(kept, network, names, _OURS, arguments.rounds)
                if not late:
                    continue
                step = _step(network, Path(folder))
                needed = [_OURS, *(name for name in late if name != _OURS)]
                with waiting(prepare, {name: (name, source, Path(folder, name), step) for name in needed}) as turns:
                    take_turns(kept, network, turns, _OURS, arguments.rounds, until)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
    told = f"{arguments.pictures} photos of {width}x{height}, medians of rounds in turn"
    print(f"{told}; {runtime.precision} ({runtime.why}), {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    columns = [
        "network",
        "contestant",
        "rounds",
        "photos a second",
        "time / restorekit",
        "processor time / restorekit",
        "peak MiB",
    ]
    print_rows(columns, [row for network in networks for row in _rows(kept, network, names, arguments.pictures)])


def _conditions(arguments: argparse.Namespace, precision: str) -> dict[str, Any]:
    return {
        "pictures": arguments.pictures,
        "size": arguments.size,
        "data": arguments.data.is_dir(),
        "precision": precision,
        "threads": torch.get_num_threads(),
        "isa": os.environ.get("ONEDNN_MAX_CPU_ISA", ""),
        "torch": torch.__version__,
    }


def _rows(kept: Kept, network: str, names: Sequence[str], pictures: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in names:
        pairs = kept.beside(network, name, _OURS)
        if pairs:
            photos = pictures / statistics.median(own["wall"] for own, _ in pairs)
            ratios = (statistics.median(own[key] / ours[key] for own, ours in pairs) for key in ("wall", "processor"))
            rows.append([network, name, len(pairs), photos, *ratios, int(max(own["peak"] for own, _ in pairs)) >> 20])
    return rows


def prepare(name: str, source: Path, target: Path, step: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """Load what a contestant needs, in its own process; return what warms up, with one photo, and what is timed."""
    first = target.with_name(f"{name} first")
    first.mkdir()
    shutil.copy(min(source.iterdir()), first)
    made = _CONTESTANTS[name](step)
    return tuple(functools.partial(_into, target, made(given, target)) for given in (first, source))  # pyright: ignore


def _into(target: Path, run: Callable[[], None]) -> None:
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    run()


#: Given a folder of photos and one for the results, what restores them.
_Made = Callable[[Path, Path], Callable[[], None]]


def _loop(name: str, step: str) -> _Made:
    import loops

    return functools.partial(functools.partial, getattr(loops, name), restorekit.load(step).eval())


def _restorekit(step: str) -> _Made:
    def run(source: Path, target: Path) -> None:
        assert restorekit.restore_folder(source, target, Options(steps=(Step.parse(step),))).failed == 0

    return functools.partial(functools.partial, run)


def _bare(step: str) -> _Made:
    runtime = choose_runtime()
    restorer = restorekit.load(step).eval().to(runtime.device, memory_format=torch.channels_last)

    def run(pieces: Sequence[torch.Tensor]) -> None:
        with torch.inference_mode(), runtime.autocast(runtime.precision):
            for piece in pieces:
                restorer.restore(Batch(piece))
        if runtime.device.type == "cuda":
            torch.cuda.synchronize(runtime.device)

    return lambda source, target: functools.partial(run, _pieces(source, runtime.device))


def _pieces(source: Path, device: torch.device) -> list[torch.Tensor]:
    """Read photos and cut them to the executor's tiles without any overlap."""
    from restorekit.inference.capacity import DEFAULT_TILE
    from restorekit.inference.tiling import tile_grid

    pieces = []
    for path in sorted(source.iterdir()):
        image = torch.from_numpy(_read(path).astype(np.float32) / 255).permute(2, 0, 1)[None].to(device)
        for tile in tile_grid(image.shape[2], image.shape[3], DEFAULT_TILE, 0, even=True):
            part = image[:, :, tile.top : tile.bottom, tile.left : tile.right]
            pieces.append(part.contiguous(memory_format=torch.channels_last))
    return pieces


_CONTESTANTS: dict[str, Callable[[str], _Made]] = {
    _OURS: _restorekit,
    "real-esrgan": functools.partial(_loop, "real_esrgan"),
    "chainner": functools.partial(_loop, "chainner"),
    "bare": _bare,
}


def _step(network: str, folder: Path) -> str:
    if network not in _NETWORKS:
        return network
    spec = registry().spec("super-resolver")
    torch.manual_seed(0)
    generator: Any = registry().construct(spec, resolve(spec, spec.config)(**_NETWORKS[network]))
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
