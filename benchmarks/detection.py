"""Measures detectors of damage: precision, recall and F1 of their marks on clean photos that were damaged.

    python benchmarks/detection.py scratch-detector top-hat --data photos/ --degradation scratches --degradation dust

Also, on the photos as they are, the share of pixels that a detector marks although nothing is damaged.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from common import print_rows
from numpy.typing import NDArray
from scipy import ndimage

from restorekit import images
from restorekit.batch.pipeline import picture_seed
from restorekit.degradations import parse
from restorekit.inference import Job, Restoration, choose_runtime
from restorekit.inference.arrays import to_array, to_tensor
from restorekit.registry import registry
from restorekit.specs import Step

#: Pixels that a mark may lie beside the damage: thin lines have no exact place.
TOLERANCE = 2


def found(restoration: Restoration, name: str, picture: images.Picture, pixels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return what a detector marks."""
    (outcome,) = restoration.restore([Job(name, dataclasses.replace(picture, pixels=pixels))])
    if outcome.error is not None:
        raise outcome.error
    return np.zeros(pixels.shape[:2], bool) if outcome.mask is None else outcome.mask


def scores(marked: NDArray[np.bool_], damage: NDArray[np.bool_]) -> tuple[float, float]:
    """Return precision and recall, both forgiving `TOLERANCE` pixels."""
    near_damage, near_marks = (np.asarray(ndimage.binary_dilation(m, iterations=TOLERANCE)) for m in (damage, marked))
    precision = float(near_damage[marked].mean()) if marked.any() else 1.0
    recall = float(near_marks[damage].mean()) if damage.any() else 1.0
    return precision, recall


def main() -> None:
    """Print one row a detector."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("detectors", nargs="+", help="steps, or weights files")
    parser.add_argument("--data", type=Path, required=True, help="folder of undamaged pictures")
    parser.add_argument("--degradation", action="append", required=True, help="repeat to chain")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    recipe = parse(arguments.degradation)
    pictures = []
    for path in sorted(arguments.data.iterdir()):
        picture = images.read(path)
        seeds = torch.tensor([picture_seed(arguments.seed, path.name)])
        damaged = recipe(to_tensor(picture.pixels).expand(3, -1, -1)[None], seeds)
        mask = np.zeros(picture.pixels.shape[:2], bool) if damaged.masks is None else damaged.masks[0, 0].numpy() > 0
        pictures.append((path.name, picture, to_array(damaged.images[0], picture.pixels.shape[2], np.uint8), mask))
    rows = []
    for step in arguments.detectors:
        restoration = Restoration([Step.parse(step)], registry=registry(), runtime=choose_runtime("auto", "auto"))
        each = [scores(found(restoration, name, picture, pixels), mask) for name, picture, pixels, mask in pictures]
        alarms = [found(restoration, name, picture, picture.pixels).mean() for name, picture, _, _ in pictures]
        precision, recall = np.mean(each, axis=0)
        f1 = np.mean([2 * p * r / (p + r) if p + r else 0.0 for p, r in each])
        rows.append([Path(step).name, *(float(v) for v in (precision, recall, f1)), f"{100 * np.mean(alarms):.3f} %"])
    print(
        f"{len(pictures)} pictures of {arguments.data.name}, {' '.join(arguments.degradation)}, {TOLERANCE} px forgiven"
    )
    print_rows(["detector", "precision", "recall", "F1", "marked on undamaged"], rows)


if __name__ == "__main__":
    main()
