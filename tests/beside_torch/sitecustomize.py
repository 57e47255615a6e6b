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
    """Waits for the import of torchvision; stays, because the operators go with the object that defined them."""

    def __init__(self):
        self.operators: Any = None
        self._prepared = False

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> None:
        """Prepare for torchvision, and find nothing."""
        if name == "torchvision" and not self._prepared:
            self._prepared = True
            found = importlib.machinery.PathFinder.find_spec("torchvision")
            if found is not None and found.origin is not None and not can_load(Path(found.origin).parent):
                self.operators = defined()


def can_load(folder: Path) -> bool:
    """Whether torchvision's own library of operators can be loaded; then it is."""
    import torch

    for library in folder.glob("_C*"):
        try:
            torch.ops.load_library(library)
            return True
        except OSError:
            continue
    return False


def defined() -> Any:
    """Define the operators that torchvision's Python code names."""
    import torch

    operators = torch.library.Library("torchvision", "DEF")
    operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    return operators


if not any(type(finder).__name__ == Finder.__name__ and hasattr(finder, "operators") for finder in sys.meta_path):
    sys.meta_path.insert(0, Finder())  # pyright: ignore[reportArgumentType]
