"""Draws print and plain shapes, which photographs teach little of: lines of text, rules, outlines, areas of colour.

    python draw_pages.py pages --count 48 --fonts /usr/share/fonts

Everything is drawn four times as large and averaged down, so that edges are as smooth as a good scan's. The same fonts
and seed give the same pictures. The weights that come along learned from ``--count 32`` with the 50 fonts of Debian's
fonts-dejavu, fonts-liberation and fonts-freefont-ttf.
"""

from __future__ import annotations

import argparse
import string
from pathlib import Path

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

#: How much larger everything is drawn.
FINER = 4
#: How the letters of a text are mixed: mostly words in small letters, some in capitals, some numbers.
LETTERS = {string.ascii_lowercase: 0.72, string.ascii_uppercase: 0.14, string.digits: 0.1, "&%$§+=/()[]": 0.04}


def word(draw: Generator) -> str:
    """Return a few letters of one kind, some words with a capital or a mark of punctuation."""
    letters = list(LETTERS)[draw.choice(len(LETTERS), p=list(LETTERS.values()))]
    made = "".join(draw.choice(list(letters), size=draw.integers(1, 10)))
    made = made.capitalize() if draw.random() < 0.2 else made
    return made + str(draw.choice(list(",.;:!?"))) if draw.random() < 0.15 else made


def colours(draw: Generator) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Return paper and ink far enough apart to be read; most pages are black on white or nearly so."""
    if draw.random() < 0.4:
        paper, ink = draw.integers(225, 256, 3), draw.integers(0, 50, 3)
    else:
        paper, ink = draw.integers(0, 256, 3), draw.integers(0, 256, 3)
        while abs(int(paper.sum()) - int(ink.sum())) < 240:
            paper, ink = draw.integers(0, 256, 3), draw.integers(0, 256, 3)
    if draw.random() < 0.3:
        paper, ink = ink, paper
    return _rgb(paper), _rgb(ink)


def write(page: Image.Image, box: tuple[int, int, int, int], draw: Generator, fonts: list[Path]) -> None:
    """Fill a box with lines of one font and size."""
    left, top, right, bottom = box
    paper, ink = colours(draw)
    pen = ImageDraw.Draw(page)
    if draw.random() < 0.8:
        pen.rectangle(box, fill=paper)
    size = int(FINER * np.exp(draw.uniform(np.log(8), np.log(80))))
    font = _font(fonts[draw.integers(len(fonts))] if fonts else None, size)
    y = top + size // 3
    while y + size < bottom:
        line = ""
        while pen.textlength(line, font) < right - left:
            line += word(draw) + " "
        pen.text((left + size // 3, y), line[: line.rstrip().rfind(" ")] or line, fill=ink, font=font)
        y += int(size * draw.uniform(1.1, 1.5))


def figure(page: Image.Image, box: tuple[int, int, int, int], draw: Generator) -> None:
    """Draw a few shapes, filled or in outline."""
    left, top, right, bottom = box
    pen = ImageDraw.Draw(page)
    pen.rectangle(box, fill=colours(draw)[0])
    for _ in range(draw.integers(3, 12)):
        xs = np.sort(draw.integers(left, right, 2))
        ys = np.sort(draw.integers(top, bottom, 2))
        corners = (int(xs[0]), int(ys[0]), int(xs[1]) + 1, int(ys[1]) + 1)
        colour, width = _rgb(draw.integers(0, 256, 3)), int(FINER * np.exp(draw.uniform(0, 2.5)))
        inside = colour if draw.random() < 0.5 else None
        match draw.integers(5):
            case 0:
                pen.ellipse(corners, fill=inside, outline=colour, width=width)
            case 1:
                pen.rectangle(corners, fill=inside, outline=colour, width=width)
            case 2:
                points = [(int(x), int(y)) for x, y in draw.integers((left, top), (right, bottom), (4, 2))]
                pen.polygon(points, fill=inside, outline=colour, width=width)
            case 3:
                pen.line((corners[0], corners[1], corners[2], corners[3]), fill=colour, width=width)
            case _:  # a ruling: many lines, as in tables, fences and hatchings
                for x in range(corners[0], corners[2], max(3 * width, FINER * 4)):
                    pen.line((x, corners[1], x + int(draw.integers(1, 40)), corners[3]), fill=colour, width=width)


def page(draw: Generator, fonts: list[Path], side: int) -> Image.Image:
    """Return one picture of ``side`` pixels: two to six boxes of text and figures, sometimes turned a little."""
    large = side * FINER
    made = Image.new("RGB", (large, large), colours(draw)[0])
    for _ in range(draw.integers(2, 7)):
        width, height = (int(large * draw.uniform(0.25, 1.0)) for _ in range(2))
        left, top = int(draw.integers(0, large - width + 1)), int(draw.integers(0, large - height + 1))
        box = (left, top, left + width, top + height)
        if draw.random() < 0.7:
            write(made, box, draw, fonts)
        else:
            figure(made, box, draw)
    if draw.random() < 0.3:
        made = made.rotate(draw.uniform(-12, 12), Image.Resampling.BICUBIC, fillcolor=made.getpixel((0, 0)))
    return made.reduce(FINER)


def _font(path: Path | None, size: int) -> Font:
    return ImageFont.load_default(size) if path is None else ImageFont.truetype(str(path), size)


def _rgb(values: np.ndarray) -> tuple[int, int, int]:
    red, green, blue = (int(value) for value in values)
    return red, green, blue


def main() -> None:
    """Draw the pictures into a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=48)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fonts", type=Path, help="folder of TrueType fonts; by default Pillow's own font alone")
    arguments = parser.parse_args()
    fonts = sorted(arguments.fonts.rglob("*.ttf")) if arguments.fonts else []
    if arguments.fonts and not fonts:
        parser.error(f"{arguments.fonts} holds no .ttf file")
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for number in range(arguments.count):
        drawn = page(np.random.default_rng([arguments.seed, number]), fonts, arguments.side)
        drawn.save(arguments.folder / f"page-{number:03}.png", optimize=True)


if __name__ == "__main__":
    main()
