"""Writes a new plugin package to begin with: complete, tested by the kit, ready to be installed."""

from __future__ import annotations

import datetime
import importlib.util
import keyword
import re
import sys
from pathlib import Path

from restorekit.errors import OutputError, UsageError

__all__ = ["KINDS", "LICENCES", "create"]

#: What a new plugin can be; each has a folder of templates.
KINDS = ("classical", "restorer", "trainable")
LICENCES = ("Apache-2.0", "BSD-3-Clause", "MIT")

_TEMPLATES = Path(__file__).parent / "templates"
_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def create(name: str, kind: str, folder: Path, *, licence: str = "MIT", author: str = "") -> list[Path]:
    """Write a plugin package.

    Parameters
    ----------
    name : str
        Of the distribution and of its generator: lower-case words joined by ``-``.
    kind : str
        One of `KINDS`.
    folder : Path
        A new or empty folder.
    licence : str
        One of `LICENCES`, by its SPDX identifier.
    author : str
        For the licence and the metadata.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    UsageError
        The name is not allowed or taken, the kind or licence unknown, or the folder holds something.
    OutputError
        The folder cannot be written.
    """
    if kind not in KINDS:
        raise UsageError("--kind", f"{kind!r} is unknown", f"choose one of {', '.join(KINDS)}")
    if licence not in LICENCES:
        raise UsageError("--licence", f"{licence!r} is unknown", f"choose one of {', '.join(LICENCES)}")
    _check_name(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(folder, "is there already", "choose another -o")
    files = _rendered(name, kind, licence, author)
    try:
        for place, text in files.items():
            (folder / place).parent.mkdir(parents=True, exist_ok=True)
            (folder / place).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise OutputError(folder, f"cannot be written ({error.strerror})", "choose another -o") from error
    return [folder / place for place in files]


def _check_name(name: str) -> None:
    """Refuse what cannot be a distribution (PEP 503 and 508), a package and a generator at once, or is taken."""
    if not _NAME.fullmatch(name):
        words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        way_out = "use lower-case words joined by '-', beginning with a letter"
        raise UsageError(repr(name), "is no name for a plugin", f"{way_out}: {words}" if words else way_out)
    package = name.replace("-", "_")
    if keyword.iskeyword(package) or package in sys.stdlib_module_names:
        raise UsageError(repr(name), "is a word of Python's own", "choose another name, such as my-restorer")
    from restorekit.registry import registry

    for plugin in registry().plugins:
        if name == plugin.name or name in {spec.name for spec in plugin.generators}:
            taken = f"is taken: {plugin.distribution} {plugin.version} (plugin {plugin.name}) brings it"
            raise UsageError(repr(name), taken, "choose another name")
    found = importlib.util.find_spec(package)
    if found is not None and found.origin is not None:
        raise UsageError(repr(name), f"would hide the installed package {package}", "choose another name")


def _rendered(name: str, kind: str, licence: str, author: str) -> dict[str, str]:
    """Return the package's files: texts by their places."""
    import jinja2

    from restorekit import __version__

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python and TOML, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    package = name.replace("-", "_")
    facts = {
        "name": name,
        "package": package,
        "class_name": "".join(word.capitalize() for word in name.split("-")),
        "kind": kind,
        "licence": licence,
        "author": author,
        "holder": author or f"The {name} authors",
        "year": datetime.datetime.now(tz=datetime.timezone.utc).year,
        "restorekit": __version__,
    }
    files = {}
    for place in ("shared", kind):
        for template in sorted((_TEMPLATES / place).rglob("*.j2")):
            target = template.relative_to(_TEMPLATES / place).as_posix().removesuffix(".j2")
            if target.startswith("dot_"):  # so that no tool takes the templates' own files for its own
                target = f".{target.removeprefix('dot_')}"
            elif target.startswith("src/package/"):
                target = f"src/{package}/{target.removeprefix('src/package/')}"
            files[target] = environment.get_template(template.relative_to(_TEMPLATES).as_posix()).render(facts)
    files["LICENSE"] = environment.get_template(f"licences/{licence}.j2").render(facts)
    return dict(sorted(files.items()))
