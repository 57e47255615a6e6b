"""What a weights file says about itself: enough to run it, to judge it and to know where it came from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import ConfigDict, Field, FiniteFloat, JsonValue, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from restorekit.specs import API
from restorekit.weights.layout import Layout, LayoutError, brief, parse_json

__all__ = ["FORMAT", "KEY", "Header", "Metric", "header_of"]

#: Version of the header; a file with a higher one is refused.
FORMAT = 1

#: The metadata key of the safetensors header that holds ours.
KEY = "restorekit"

_PLAIN = ConfigDict(extra="ignore")  # a later release may add fields without another format


@dataclass(frozen=True, kw_only=True, config=_PLAIN)
class Metric:
    """A number that was measured with these weights.

    Parameters
    ----------
    name : str
        Such as ``"PSNR"``.
    value : float
        In the metric's own unit.
    protocol : str
        How it was computed: colour space, border crop, variant, sample count.
    data : str
        What it was computed on.
    """

    name: str
    value: FiniteFloat
    protocol: str
    data: str


@dataclass(frozen=True, kw_only=True, config=_PLAIN)
class Header:
    """The self-description of a weights file.

    Parameters
    ----------
    generator : str
        The generator's registered name.
    config : dict
        JSON form of the configuration that the generator is built with.
    tasks : tuple of str
        What it does.
    geometry : dict, optional
        JSON form of the restorer's `restorekit.contract.Geometry`, for people and listings.
    training : dict
        Whatever the trainer records: data and its terms, steps, seed, degradation.
    metrics : tuple of Metric
        What was measured.
    licence : str
        Under which the weights may be used; an SPDX name where there is one.
    limits : str
        What they are not good for, in a sentence or two.
    tensors_sha256 : str
        Checksum of the tensors; filled in when the file is written.
    api : int
        The contract's version of the generator.
    format : int
        The header's version.
    """

    generator: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=100)]
    config: dict[str, JsonValue]
    tasks: tuple[str, ...] = ()
    geometry: dict[str, JsonValue] | None = None
    training: dict[str, JsonValue] = Field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    licence: str = ""
    limits: str = ""
    tensors_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    api: Annotated[int, Field(ge=1)] = API
    format: Annotated[int, Field(ge=1)] = FORMAT

    def to_json(self) -> str:
        """Return the text that goes into the file: the same for equal headers."""
        return json.dumps(self.as_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields as JSON values."""
        return asdict(self)  # pyright: ignore[reportArgumentType]


_ADAPTER: TypeAdapter[Header] = TypeAdapter(Header)


def header_of(layout: Layout) -> Header:
    """Take our header out of a safetensors header.

    Raises
    ------
    LayoutError
        There is none, it is damaged, or it was written for a later release.
    """
    text = layout.metadata.get(KEY)
    if text is None:
        raise LayoutError("does not describe itself (no restorekit header); `restorekit weights convert` may know it")
    value = parse_json(text, "its restorekit header")
    if not isinstance(value, Mapping):
        raise LayoutError("is damaged: its restorekit header is no table")
    _refuse_newer(value, "format", FORMAT)
    _refuse_newer(value, "api", API)
    try:
        header = _ADAPTER.validate_python(value)
    except ValidationError as error:
        raise LayoutError(f"is damaged: its restorekit header {_first(error)}") from None
    if not header.tensors_sha256:
        raise LayoutError("is damaged: its restorekit header has no checksum of the tensors")
    return header


def _refuse_newer(value: Mapping[str, Any], field: str, known: int) -> None:
    number = value.get(field)
    if type(number) is int and number > known:
        raise LayoutError(f"has {field} {number}, this restorekit reads up to {known}; update restorekit")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"has no right {brief(where)} ({first['msg']})" if where else f"is wrong ({first['msg']})"
