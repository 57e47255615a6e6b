"""Where weights are: bundled with a plugin, fetched into a cache when the user asks for it, or brought by the user."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Literal

from restorekit.downloads import cache_folder, download
from restorekit.errors import NotAvailable, UsageError
from restorekit.specs import GeneratorSpec, Step, WeightsSource

__all__ = ["Variant", "brought", "fetch", "locate", "variant", "variants"]


@dataclass(frozen=True, slots=True)
class Variant:
    """A variant of a generator's weights, and where it is on this machine.

    Parameters
    ----------
    generator : str
        Whose weights.
    source : WeightsSource
        As the plugin declares it.
    path : Path
        Where the file is, or will be.
    status : str
        ``"bundled"``, ``"fetched"``, or ``"missing"`` where there is no file.
    """

    generator: str
    source: WeightsSource
    path: Path
    status: Literal["bundled", "fetched", "missing"]

    @property
    def name(self) -> str:
        """``GENERATOR:VARIANT``, as in a step."""
        return f"{self.generator}:{self.source.name}"

    def require(self) -> Path:
        """Return the file.

        Raises
        ------
        NotAvailable
            There is none yet; the message says how to get it.
        """
        if self.status != "missing":
            return self.path
        if self.source.url:
            way_out = f"`restorekit weights fetch {self.name}` downloads them"
            raise NotAvailable(self.name, "these weights have not been fetched", way_out)
        raise NotAvailable(self.name, f"its file {self.source.file} is not installed", "install the plugin again")

    def require_sha256(self, sha256: str) -> None:
        """Compare a file's checksum with the one that the plugin promises, where it promises one.

        Raises
        ------
        NotAvailable
            They differ.
        """
        if self.source.sha256.lower() not in ("", sha256):
            way_out = "delete it and fetch it again" if self.source.url else "install the plugin again"
            raise NotAvailable(self.path, "is not the file that the plugin promises", way_out)


def variants(spec: GeneratorSpec) -> tuple[Variant, ...]:
    """Look for each variant of a generator's weights; the first is the default."""
    return tuple(_found(spec, source) for source in spec.weights)


def variant(spec: GeneratorSpec, name: str = "") -> Variant:
    """Look for one variant of a generator's weights, by default the first.

    Raises
    ------
    UsageError
        The generator has no such variant.
    """
    for source in spec.weights:
        if name in ("", source.name):
            return _found(spec, source)
    names = [source.name for source in spec.weights]
    near = difflib.get_close_matches(name, names, n=1)
    way_out = f"did you mean {near[0]}?" if near else f"it has {', '.join(names) or 'none'}"
    raise UsageError(f"{spec.name}:{name}", f"{spec.name} has no weights {name!r}", way_out)


def locate(spec: GeneratorSpec, name: str = "") -> Path:
    """Return the file of a variant.

    Raises
    ------
    UsageError
        The generator has no such variant.
    NotAvailable
        It is not on this machine.
    """
    return variant(spec, name).require()


def brought(spec: GeneratorSpec, step: Step) -> dict[str, Path]:
    """Return what a step names for a generator whose weights the user brings, by field: the weights, then other files.

    Raises
    ------
    UsageError
        It does not name all of them.
    NotAvailable
        There is no such file or folder.
    """
    fields = (spec.weights_setting, *spec.files)
    given = {key.replace("-", "_"): value for key, value in step.settings.items()}
    given |= {spec.choice: step.choice} if step.choice and spec.choice else {}
    if missing := [field for field in fields if field not in given]:
        what = "weights" if missing[0] == spec.weights_setting else "a file"
        way_out = f"write {spec.name},{','.join(f'{field}=PATH' for field in fields)}"
        raise UsageError(spec.name, f"computes with {what} that you bring", way_out)
    # Path's own way home fails for a home that nobody has.
    paths = {field: Path(os.path.expanduser(given[field])) for field in fields}  # noqa: PTH111
    for field, path in paths.items():
        if not path.exists():
            what = "the weights" if field == spec.weights_setting else "a file"
            raise NotAvailable(path, "is not there", f"{field}=PATH names {what} of {spec.name}")
    return paths


def fetch(spec: GeneratorSpec, name: str = "", *, progress: Any = None) -> Path:
    """Download a variant into the cache, unless it is there already, and check it.

    Parameters
    ----------
    spec : GeneratorSpec
        Whose weights.
    name : str
        The variant; by default the first.
    progress : object, optional
        Has a ``total`` and is told of bytes through ``update``, ``reset`` and ``close``, as pooch does it.

    Returns
    -------
    Path
        The file: also of weights that are bundled and need no download.

    Raises
    ------
    UsageError
        The generator has no such variant.
    NotAvailable
        The download failed or is not what it should be; nothing of it is kept.
    OutputError
        The cache cannot be written.
    """
    wanted = variant(spec, name)
    if not wanted.source.url:
        return wanted.require()
    download(wanted.source.url, f"sha256:{wanted.source.sha256}", wanted.path, wanted.name, progress=progress)
    return wanted.path


def _found(spec: GeneratorSpec, source: WeightsSource) -> Variant:
    path = _bundled(source) if source.file else _cached(spec, source)
    present: Literal["bundled", "fetched"] = "bundled" if source.file else "fetched"
    return Variant(spec.name, source, path, present if path.is_file() else "missing")


def _bundled(source: WeightsSource) -> Path:
    package, _, inside = source.file.partition(":")
    try:
        return Path(str(resources.files(package).joinpath(inside)))
    except Exception:  # importing a package may raise anything
        return Path(package, inside)


def _cached(spec: GeneratorSpec, source: WeightsSource) -> Path:
    # The checksum in the name: a plugin's next release may fetch another file, and both can be in use.
    return cache_folder() / "weights" / spec.name / f"{source.name}-{source.sha256[:12].lower()}.safetensors"
