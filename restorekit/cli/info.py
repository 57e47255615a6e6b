"""``restorekit info``: what this machine has, and what will be used."""

from __future__ import annotations

import platform
from typing import Annotated, Any

import typer

from restorekit.cli.console import print_json, print_table

_LIBRARIES = ("torch", "opencv-python-headless", "scikit-image", "numpy", "pillow", "tifffile", "imagecodecs", "typer")


def info(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Show versions, devices and what will be used."""
    import torch

    import restorekit
    from restorekit.batch.engines.share import divided
    from restorekit.inference.device import LAYOUT, LAYOUT_REASON, available_devices, choose_runtime
    from restorekit.inference.threads import cores
    from restorekit.registry import registry

    runtime = choose_runtime()
    facts: dict[str, Any] = {
        "restorekit": restorekit.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cores": cores(),
        "torch_threads": divided(cores(), limit=torch.get_num_threads()).network,
        "devices": available_devices(),
        "device": str(runtime.device),
        "precision": runtime.precision,
        "precision_reason": runtime.why,
        "layout": str(LAYOUT).removeprefix("torch."),
        "layout_reason": LAYOUT_REASON,
        "plugins": {plugin.name: plugin.status for plugin in registry().plugins},
        "libraries": {name: _version(name) for name in _LIBRARIES},
    }
    if as_json:
        print_json(facts)
        return
    shown = {**facts, "devices": ", ".join(facts["devices"])}
    for key in ("plugins", "libraries"):
        shown[key] = ", ".join(f"{name} {value}" for name, value in facts[key].items())
    print_table(["what", "value"], [[key.replace("_", " "), value] for key, value in shown.items()])


def _version(name: str) -> str:
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "missing"
