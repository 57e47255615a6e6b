"""Draws architecture.svg, the house as its imports are: ``python docs/make_architecture.py``.

Arrows are the imports between parts that no chain of arrows tells already. An import that goes up ends the script, and
so does a plugin that looks behind `restorekit.plugin` and `restorekit.nn`.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs/architecture.svg"


@dataclass(frozen=True)
class Part:
    """A box: its modules under ``restorekit``, what it says, and its middle; rows count from the top."""

    modules: tuple[str, ...]
    caption: str
    row: int
    x: int
    width: int = 168


#: Parts by name. An import goes to a lower row; parts of one row know nothing of each other.
PARTS = {
    "cli": Part(("cli", "__main__"), "parses, calls, prints", 0, 400, 752),
    "api": Part(("api",), "restore() and its kin", 1, 108),
    "evaluation": Part(("evaluation",), "numbers with protocols", 1, 303),
    "testing": Part(("testing",), "the kit for plugins", 1, 497),
    "scaffold": Part(("scaffold",), "a new plugin", 1, 692),
    "training": Part(("training",), "one runner for all", 2, 400),
    "batch": Part(("batch",), "folders, safely", 3, 206),
    "sampling": Part(("sampling",), "pictures from latents", 3, 497),
    "inference": Part(("inference",), "whole pictures: tiles, masks", 4, 352, 190),
    "degradations": Part(("degradations",), "seeded damages", 5, 108),
    "registry, weights": Part(("registry", "weights", "discovery", "values"), "find, list, load one", 5, 392),
    "sources": Part(("sources",), "training data", 5, 574),
    "images": Part(("images",), "bytes to pixels and back", 6, 206),
    "files": Part(("files", "downloads"), "written aside, renamed", 6, 449),
    "nn": Part(("nn",), "shared building blocks", 6, 692),
    "contract": Part(
        ("plugin", "contract", "specs", "hookspecs", "errors", "deprecation"),
        "plugin · contract · specs · hookspecs · errors",
        7,
        400,
        752,
    ),
}
#: Where arrows that pass other boxes bend: they leave downwards or to the side, and run along these lines.
BENDS = {
    ("training", "nn"): "M 484 {training} H 680 Q 692 {training} 692 {training+12} V {nn}",
    ("scaffold", "registry, weights"): "M 738 {scaffold} V {above} Q 738 {above+12} 726 {above+12} H 452 "
    "Q 440 {above+12} 440 {above+24} V {registry}",
}

WIDTH, ROW, BOX, TOP = 1010, 86, 50, 26
STYLE = """
  .ground { fill: #ffffff; }
  .band { fill: #f2f6f6; }
  .part { fill: #ffffff; stroke: #00796b; stroke-width: 1.5; }
  .base { fill: #00695c; }
  .plugin { fill: #fff8e1; stroke: #b26a00; stroke-width: 1.5; }
  .name { font: 600 15px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #12302c; }
  .says { font: 12px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #54706c; }
  .base-name { fill: #ffffff; }
  .base-says { fill: #cfe8e4; }
  .arrow { fill: none; stroke: #7d9a96; stroke-width: 1.4; }
  .loads { fill: none; stroke: #b26a00; stroke-width: 1.4; stroke-dasharray: 5 4; }
  text { text-anchor: middle; }
"""


def imports(folder: Path, package: str) -> Iterator[tuple[str, str]]:
    """Yield every import of ``restorekit`` in a package: the importing and the imported module."""
    for path in sorted((folder / package).rglob("*.py")):
        importer = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            else:
                continue
            yield from ((importer, name) for name in names if name.split(".")[0] == "restorekit")


def part_of(module: str) -> str | None:
    """Return the part a module belongs to; the package itself, with its version alone, belongs to none."""
    _, _, below = module.partition(".")
    first = below.partition(".")[0]
    if not first or first in ("load", "restore", "restore_folder", "__version__"):
        return None
    for name, part in PARTS.items():
        if first in part.modules:
            return name
    raise SystemExit(f"{module} belongs to no part of the picture: name it in PARTS")


def arrows() -> dict[str, set[str]]:
    """Return which parts import which."""
    found: dict[str, set[str]] = {name: set() for name in PARTS}
    for importer, imported in imports(ROOT, "restorekit"):
        source, target = part_of(importer), part_of(imported)
        if source and target and source != target:
            if PARTS[source].row >= PARTS[target].row:
                raise SystemExit(f"{importer} imports {imported}: {source} stands no higher than {target}")
            found[source].add(target)
    return found


def check_plugins() -> None:
    """Refuse a bundled plugin that imports more than is public for plugins."""
    for folder in sorted((ROOT / "plugins").glob("restorekit_*")):
        for importer, imported in imports(ROOT / "plugins", folder.name):
            if not f"{imported}.".startswith(("restorekit.plugin.", "restorekit.nn.")):
                raise SystemExit(f"{importer} imports {imported}: a plugin knows restorekit.plugin and restorekit.nn")


def needed(found: Mapping[str, set[str]]) -> list[tuple[str, str]]:
    """Leave out arrows that a chain of others tells already."""

    def reached(name: str) -> set[str]:
        return set().union(*({each} | reached(each) for each in found[name])) if found[name] else set()

    return [
        (source, target)
        for source, targets in found.items()
        for target in sorted(targets)
        if not any(target in reached(other) for other in targets)
    ]


def _top(name: str) -> int:
    return TOP + PARTS[name].row * ROW


def _arrow(source: str, target: str) -> str:
    end = _top(target) - 2
    if (source, target) in BENDS:
        path = BENDS[source, target]
        lines = {
            "{training}": _top("training") + BOX // 2,
            "{training+12}": _top("training") + BOX // 2 + 12,
            "{nn}": end,
            "{scaffold}": _top("scaffold") + BOX,
            "{above}": _top("registry, weights") - 36,
            "{above+12}": _top("registry, weights") - 24,
            "{above+24}": _top("registry, weights") - 12,
            "{registry}": end,
        }
        for word, y in lines.items():
            path = path.replace(word, str(y))
    else:
        begin = _top(source) + BOX
        x1, x2 = _ends(PARTS[source], PARTS[target])
        bend = min(end - begin, 2 * ROW) / 2
        path = f"M {x1} {begin} C {x1} {begin + bend:g} {x2} {end - bend:g} {x2} {end}"
    return f'<path class="arrow" d="{path}" marker-end="url(#tip)"/>'


def _ends(source: Part, target: Part) -> tuple[int, int]:
    """Return where an arrow leaves and arrives: straight down where a box is wide, else leaning to the other."""
    if source.width > 400:
        return target.x, target.x
    if target.width > 400:
        return source.x, source.x
    lean = max(-48, min(48, (target.x - source.x) // 3))
    return source.x + lean, target.x - lean


def _box(x: float, y: float, width: float, name: str, says: str, kind: str, height: float = BOX) -> str:
    light = ("base-name", "base-says") if kind == "base" else ("", "")
    middle = y + height / 2
    return (
        f'<rect class="{kind}" x="{x - width / 2:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="7"/>\n'
        f'<text class="name {light[0]}" x="{x:g}" y="{middle - 3:g}">{name}</text>\n'
        f'<text class="says {light[1]}" x="{x:g}" y="{middle + 15:g}">{says}</text>'
    )


def picture() -> str:
    """Return the SVG."""
    check_plugins()
    height = TOP + 7 * ROW + BOX + TOP
    bands = [
        f'<rect class="band" x="12" y="{TOP + row * ROW - 12}" width="776" height="{BOX + 24}" rx="10"/>'
        for row in range(8)
    ]
    boxes = [
        _box(part.x, _top(name), part.width, name, part.caption, "base" if name == "contract" else "part")
        for name, part in PARTS.items()
    ]
    shelf, middle = _top("registry, weights"), 905
    plugins = [
        _box(middle, shelf, 170, "plugins/", "bundled, and everyone's", "plugin"),
        f'<path class="arrow" d="M {middle - 40} {shelf + BOX} C {middle - 40} {_top("nn") + 25} {middle - 60} '
        f'{_top("nn") + 25} 780 {_top("nn") + 25}" marker-end="url(#tip)"/>',
        f'<path class="arrow" d="M {middle + 20} {shelf + BOX} C {middle + 20} {_top("contract") + 25} {middle - 20} '
        f'{_top("contract") + 25} 780 {_top("contract") + 25}" marker-end="url(#tip)"/>',
        f'<path class="loads" d="M 476 {shelf + 14} H {middle - 88}" marker-end="url(#found)"/>',
        f'<text class="says" x="{middle}" y="{shelf - 28}">found by entry points,</text>',
        f'<text class="says" x="{middle}" y="{shelf - 12}">loaded by name</text>',
    ]
    lines = [_arrow(*each) for each in needed(arrows())]
    tips = "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" orient="auto">'
        f'<path d="M 0 0.8 L 7.5 4 L 0 7.2 z" fill="{colour}"/></marker>'
        for name, colour in (("tip", "#7d9a96"), ("found", "#b26a00"))
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            "<title>The parts of restorekit; arrows are imports, and point down</title>",
            f"<style>{STYLE}</style>",
            f"<defs>{tips}</defs>",
            f'<rect class="ground" width="{WIDTH}" height="{height}" rx="12"/>',
            *bands,
            *lines,
            *plugins,
            *boxes,
            "</svg>\n",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8", newline="\n")
