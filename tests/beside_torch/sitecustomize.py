"""For tests: lets torchvision be imported beside a torch that it was not built for.

PyPI's torchvision is compiled for CUDA. Beside the CPU build of torch its library of operators does not load, and its
Python code fails where it names two of them. They are defined here, empty, before torchvision is imported. A process
that has this folder on its PYTHONPATH runs this file at its start.
"""

from __future__ import annotations

import importlib.machinery
import sys
from pathlib import Path
from typing import Any


class Finder:
    """Waits for the import of torchvision."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Prepare for torchvision, and find nothing."""
        if name == "torchvision":
            sys.meta_path[:] = [each for each in sys.meta_path if each is not self]
            found = importlib.machinery.PathFinder.find_spec("torchvision")
            if found is not None and found.origin is not None:
                define_missing(Path(found.origin).parent)


def define_missing(folder: Path) -> None:
    """Define the operators that torchvision's library would, where it cannot be loaded."""
    import torch

    for library in folder.glob("_C*"):
        try:
            torch.ops.load_library(library)
            return
        except OSError:
            continue
    global operators  # a library goes with its object
    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")


sys.meta_path.insert(0, Finder())  # pyright: ignore[reportArgumentType]
