"""What `restorekit weights` shows: a model card of one file, and a listing of all that there is."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

from restorekit.registry import Registry
from restorekit.weights.files import WeightsFile, file_sha256
from restorekit.weights.sources import variants

__all__ = ["card", "listing"]


def card(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a weights file; its tensors are not loaded.

    Returns
    -------
    dict
        JSON values: the fields of the header, and ``file``, ``bytes``, ``sha256``, ``dtypes`` (values of each),
        ``networks`` (values of each) and ``parameters``: all floating-point values, buffers included.

    Raises
    ------
    NotAvailable
        It is not there, or is no sound weights file for this restorekit.
    """
    dtypes: Counter[str] = Counter()
    networks: Counter[str] = Counter()
    with WeightsFile(path) as file:
        for name, entry in file.layout.entries.items():
            dtypes[entry.dtype] += entry.count
            networks[name.partition(".")[0]] += entry.count
        described = file.header.as_dict()
        size = file.size
    return {
        "file": str(path),
        "bytes": size,
        "sha256": file_sha256(file.path),
        "parameters": sum(count for dtype, count in dtypes.items() if "F" in dtype),
        "dtypes": dict(dtypes),
        "networks": dict(networks),
        **described,
    }


def listing(registry: Registry) -> list[dict[str, Any]]:
    """List every variant of every generator's weights.

    Returns
    -------
    list of dict
        ``{"generator", "variant", "summary", "status", "path", "url", "bytes"}``; ``bytes`` is ``None`` where the
        file is missing.
    """
    return [
        {
            "generator": spec.name,
            "variant": found.source.name,
            "summary": found.source.summary,
            "status": found.status,
            "path": str(found.path),
            "url": found.source.url or None,
            "bytes": None if found.status == "missing" else found.path.stat().st_size,
        }
        for spec in registry.generators
        for found in variants(spec)
    ]
