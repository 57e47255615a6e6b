"""From a folder to diffusers' pipeline: nothing is downloaded, and no code of the folder's is run."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from restorekit.plugin import NotAvailable

__all__ = ["derived", "loaded"]

_INSTALL = "pip install 'restorekit[diffusers]'"

#: Libraries whose classes a pipeline may be put together from; the last holds only the safety checker.
_LIBRARIES = {"diffusers", "transformers", "stable_diffusion"}


def loaded(folder: str) -> Any:
    """Load a pipeline in float32, on the CPU.

    Raises
    ------
    NotAvailable
        diffusers cannot be imported, or the folder holds no pipeline that can be used safely.
    """
    path = Path(folder)
    _refuse_code(path)
    diffusers = _diffusers(path)
    narrow = not any(path.glob("unet/*model.safetensors")) and any(path.glob("unet/*.fp16.safetensors"))
    try:
        pipeline = diffusers.DiffusionPipeline.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            variant="fp16" if narrow else None,
            low_cpu_mem_usage=False,  # that needs accelerate
        )
    except Exception as error:  # diffusers and transformers raise what they like
        way_out = "its networks have to be .safetensors files; get the folder again"
        raise NotAvailable(folder, f"cannot be loaded as a pipeline ({_line(error)})", way_out) from error
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def derived(kind: str, pipeline: Any, folder: str) -> Any:
    """Return the pipeline of another kind (``"Inpainting"``, ``"Text2Image"``) that has the same networks.

    Raises
    ------
    NotAvailable
        There is none.
    """
    try:
        made = getattr(_diffusers(folder), f"AutoPipelineFor{kind}").from_pipe(pipeline)
    except ValueError as error:
        name = type(pipeline).__name__
        raise NotAvailable(folder, f"is a {name}, which has no form for this", "name another pipeline") from error
    made.set_progress_bar_config(disable=True)
    return made


def _refuse_code(folder: Path) -> None:
    """Refuse folders that bring programs, or name libraries that are none of a pipeline's."""
    index = folder / "model_index.json"
    try:
        parts = json.loads(index.read_bytes())
        named = {entry[0] for name, entry in parts.items() if not name.startswith("_") and isinstance(entry, list)}
        _ = parts["_class_name"] + ""
    except OSError as error:
        problem = f"is no pipeline folder ({index.name}: {error.strerror})"
        raise NotAvailable(folder, problem, "name the folder that holds model_index.json") from error
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise NotAvailable(index, "is damaged, or names no class of diffusers", "get the folder again") from error
    if strange := sorted(str(library) for library in named - _LIBRARIES - {None}):
        raise NotAvailable(folder, f"wants code of {strange[0]!r}, and was not loaded", "name another pipeline")
    if program := next(folder.rglob("*.py"), None):
        raise NotAvailable(program, "is a program in a pipeline's folder, which was not loaded", "take it away")


def _diffusers(subject: object) -> Any:
    try:
        diffusers = importlib.import_module("diffusers")
        for library in ("diffusers", "transformers"):
            importlib.import_module(f"{library}.utils.logging").disable_progress_bar()
        _ = diffusers.StableDiffusionPipeline, diffusers.StableDiffusionInpaintPipeline  # what comes in at first use
    except ImportError as error:
        missing = (error.name or "diffusers").partition(".")[0]
        raise NotAvailable(subject, f"needs {missing}, which is not installed", _INSTALL) from error
    except Exception as error:  # transformers looks for torchvision, which fails where it was built for another torch
        way_out = "uninstall torchvision where it is not needed, or install the one of torch's own build"
        raise NotAvailable("diffusers", f"cannot be used ({_line(error)})", way_out) from error
    return diffusers


def _line(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
