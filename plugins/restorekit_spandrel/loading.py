"""From a file of weights to spandrel's description of the network in it; no code of the file's is run."""

from __future__ import annotations

import importlib
from typing import Any

from restorekit.plugin import NotAvailable, read_tensors

__all__ = ["described"]

_INSTALL = "pip install 'restorekit[spandrel]'"

#: Where torchvision comes in the same builds as torch.
_INDEX = "https://download.pytorch.org/whl"


def described(path: str) -> Any:
    """Detect the architecture of a file's network and build it.

    The file is read by restorekit, which takes tensors and nothing else from it; spandrel's own reader of ``.pt``
    files would run the program in them.

    Returns
    -------
    spandrel.ImageModelDescriptor or spandrel.MaskedImageModelDescriptor
        With the weights, on the CPU, in float32.

    Raises
    ------
    NotAvailable
        spandrel cannot be imported, the file cannot be read, or its network is not known or damaged.
    """
    spandrel = _spandrel()
    state = spandrel.canonicalize_state_dict(read_tensors(path))
    for known in spandrel.MAIN_REGISTRY.architectures("detection"):
        architecture = known.architecture
        if known.detect(state):
            try:
                return architecture.load(state)
            except Exception as error:  # each architecture finds out in its own way that something does not fit
                problem = f"looks like a network of architecture {architecture.name}, and is none ({_line(error)})"
                raise NotAvailable(path, problem, "get the file again, or another one of that network") from error
    problem = f"holds no network that spandrel {spandrel.__version__} knows ({len(state)} tensors)"
    raise NotAvailable(path, problem, "try a newer spandrel; `restorekit weights convert` knows a few others")


def _spandrel() -> Any:
    try:
        return importlib.import_module("spandrel")
    except ImportError as error:
        missing = (error.name or "spandrel").partition(".")[0]
        raise NotAvailable("spandrel", f"needs {missing}, which is not installed", _INSTALL) from error
    except Exception as error:  # torchvision raises a RuntimeError where it was built for another torch
        import torch

        build = "cpu" if torch.version.cuda is None else f"cu{torch.version.cuda.replace('.', '')}"
        problem = f"the installed torchvision does not fit torch {torch.__version__} ({_line(error)})"
        way_out = f"uninstall it, then: pip install torchvision torch=={torch.__version__} --index-url {_INDEX}/{build}"
        raise NotAvailable("spandrel", problem, way_out) from error


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
