"""Measures the FID of two folders beside pytorch-fid and torch-fidelity: whole commands, and the matrix root alone.

    python -m venv peers && peers/bin/pip install torch torchvision scipy tqdm
    peers/bin/pip install --no-deps pytorch-fid torch-fidelity
    python benchmarks/evaluation.py --peers peers --inception pt_inception-2015-12-05-6726825d.pth

``--random-weights`` takes the place of the published file: same layout, same work, numbers without a meaning. All
contestants get the same file, pictures, batch size and threads, and start from a cold process; restorekit also runs
with the reference's statistics in its cache, where they are from the second comparison on.

Where torchvision was built for another torch, the peers do not import; a ``sitecustomize`` in a folder of ours then
declares the two operators that it misses. Neither peer uses them.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
from common import in_turn, make_pictures, median_ratio, print_rows

from restorekit.evaluation.distribution import Statistics, published
from restorekit.evaluation.distribution.frechet import trace_of_root
from restorekit.evaluation.distribution.inception import DIMENSIONS, random_state

_OURS = """
import sys
from pathlib import Path
from restorekit.evaluation.distribution import Reading, compare_folders
ours, theirs, weights, batch, cache = sys.argv[1:]
scores = compare_folders(Path(ours), Path(theirs), ["fid"], files={"inception": Path(weights)}, device="cpu",
                         reading=Reading(batch_size=int(batch)), cache=cache == "cache")
print("FID:", repr(scores.values["fid"]))
"""
_FIDELITY = """
import sys
from torch_fidelity import calculate_metrics
ours, theirs, weights, batch = sys.argv[1:]
found = calculate_metrics(input1=ours, input2=theirs, fid=True, cuda=False, cache=False, verbose=False,
                          batch_size=int(batch), feature_extractor_weights_path=weights)
print("FID:", repr(found["frechet_inception_distance"]))
"""
_SHIM = """
import torch
torchvision = torch.library.Library("torchvision", "DEF")
torchvision.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
torchvision.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
"""


class Contestants:
    """The commands, and the number that each printed last.

    Parameters
    ----------
    arguments : argparse.Namespace
        Of this benchmark.
    folder : Path
        For whatever the contestants need.
    weights : Path
        The Inception file that all read.
    """

    def __init__(self, arguments: argparse.Namespace, folder: Path, weights: Path):
        self.folder = folder
        self.sides = str(folder / "a"), str(folder / "b")
        self.batch = str(arguments.batch)
        self.weights = weights
        self.peer = str(arguments.peers / "bin" / "python") if arguments.peers else ""
        self.environment = {**os.environ, "OMP_NUM_THREADS": str(arguments.threads)}
        self.environment["RESTOREKIT_CACHE"] = str(folder / "cache")
        self.values: dict[str, float] = {}
        if self.peer:
            self._prepare_peers()

    def restorekit(self, cache: bool) -> None:
        """Run ours."""
        name = "restorekit, reference in cache" if cache else "restorekit"
        arguments = [*self.sides, str(self.weights), self.batch, "cache" if cache else "-"]
        self._run(name, [sys.executable, "-c", _OURS, *arguments])

    def pytorch_fid(self) -> None:
        """Run pytorch-fid's command."""
        command = [self.peer, "-m", "pytorch_fid", *self.sides, "--device", "cpu", "--batch-size", self.batch]
        self._run("pytorch-fid", [*command, "--num-workers", "1"])

    def torch_fidelity(self) -> None:
        """Run torch-fidelity."""
        self._run("torch-fidelity", [self.peer, "-c", _FIDELITY, *self.sides, str(self.weights), self.batch])

    def _run(self, name: str, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, env=self.environment)
        found = re.search(r"FID:\s+([-\d.e]+)", done.stdout)
        if found is None:
            raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
        self.values[name] = float(found[1])

    def _prepare_peers(self) -> None:
        """Put the weights where pytorch-fid looks for its download, and mend torchvision's import if need be."""
        checkpoints = self.folder / "torch-home" / "hub" / "checkpoints"
        checkpoints.mkdir(parents=True)
        (checkpoints / published.URL.rpartition("/")[2]).symlink_to(self.weights.absolute())
        self.environment["TORCH_HOME"] = str(self.folder / "torch-home")
        imported = subprocess.run([self.peer, "-c", "import torchvision"], capture_output=True, text=True)
        if imported.returncode:
            shim = self.folder / "shim"
            shim.mkdir()
            (shim / "sitecustomize.py").write_text(_SHIM, encoding="utf-8")
            self.environment["PYTHONPATH"] = str(shim)
            print("torchvision does not import by itself there; its operators nms and qnms are declared for it")


def covariances(dimensions: int) -> tuple[np.ndarray, np.ndarray]:
    """Return two covariances whose eigenvalues fall off as those of real features do."""

    def one(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(3 * dimensions, dimensions)) * np.exp(-np.arange(dimensions) * 8 / dimensions)
        return np.cov(rows @ np.linalg.qr(rng.normal(size=(dimensions, dimensions)))[0], rowvar=False)

    return one(0), one(1)


def compare_roots(dimensions: int) -> None:
    """Print what the trace of the root costs by three ways."""
    first, second = covariances(dimensions)
    sides = [Statistics(mean=torch.zeros(dimensions), spread=torch.from_numpy(s), facts={}) for s in (first, second)]
    ways = {
        "restorekit": lambda: trace_of_root(*sides),
        "torch-fidelity's way (eigvals)": lambda: np.sum(
            np.real(np.sqrt(np.linalg.eigvals(first @ second).astype(complex)))
        ),
        "pytorch-fid's way (sqrtm)": lambda: np.real(np.trace(np.asarray(scipy.linalg.sqrtm(first @ second)))),
    }
    rows, ours, wanted = [], 0.0, 0.0
    for name, way in ways.items():
        begun = time.perf_counter()
        value = float(way())
        seconds = time.perf_counter() - begun
        ours, wanted = (seconds, value) if name == "restorekit" else (ours, wanted)
        rows.append([name, seconds, seconds / ours, f"{abs(value - wanted):.1e}"])
    print(f"\ntrace of the root, {dimensions} dimensions")
    print_rows(["way", "seconds", "time / restorekit", "difference"], rows)


def compare_commands(arguments: argparse.Namespace, folder: Path, weights: Path) -> None:
    """Print what whole commands cost."""
    make_pictures(folder / "a", arguments.pictures, arguments.side)
    make_pictures(folder / "b", arguments.pictures, arguments.side, sigma=40.0)
    runs = Contestants(arguments, folder, weights)
    contestants: Mapping[str, object] = {
        "restorekit": lambda: runs.restorekit(cache=False),
        "restorekit, reference in cache": lambda: runs.restorekit(cache=True),
    }
    if runs.peer:
        contestants = {**contestants, "pytorch-fid": runs.pytorch_fid, "torch-fidelity": runs.torch_fidelity}
    runs.restorekit(cache=True)  # fills the cache, which is what is measured
    seconds = in_turn(contestants, arguments.rounds)  # pyright: ignore[reportArgumentType]
    print(f"\n2 x {arguments.pictures} pictures of {arguments.side} px, batches of {runs.batch}, ", end="")
    print(f"{arguments.threads} threads, {os.cpu_count()} cores")
    rows = [
        [
            name,
            float(np.median(times)),
            median_ratio(times, seconds["restorekit"]),
            f"{runs.values[name]:.6f}",
            f"{abs(runs.values[name] - runs.values['restorekit']):.1e}",
        ]
        for name, times in seconds.items()
    ]
    print_rows(["whole command", "seconds", "time / restorekit", "FID", "difference"], rows)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="virtual environment with pytorch-fid and torch-fidelity")
    file = parser.add_mutually_exclusive_group(required=True)
    file.add_argument("--inception", type=Path, help="the published file, or another in its layout")
    file.add_argument("--random-weights", action="store_true", help="use random weights in the published layout")
    parser.add_argument("--pictures", type=int, default=300, help="in each of the two folders")
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--dimensions", type=int, default=DIMENSIONS, help="of the matrix root")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory() as name:
        weights = arguments.inception or Path(name, "random.pth")
        if arguments.random_weights:
            torch.save(random_state(0), weights)
        compare_commands(arguments, Path(name), weights)
    compare_roots(arguments.dimensions)


if __name__ == "__main__":
    main()
