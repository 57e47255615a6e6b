"""What may be chosen: the network's file, and how large pictures are cut."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

__all__ = ["Network"]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Network:
    """A network of another project.

    Parameters
    ----------
    weights : path
        Its file: ``.safetensors``, or what ``torch.save`` wrote (``.pth``, ``.ckpt``), of which no code is run.
    halo : int or "auto"
        Input pixels by which the tiles of large pictures overlap on each side. ``auto`` tiles where spandrel does not
        advise against it, with the overlap that is measured; a number tiles in any case, to save memory.
    """

    weights: str = ""
    halo: Annotated[int, Field(ge=0, le=1024)] | Literal["auto"] = "auto"
