"""Pairs of pictures with captions -> one contact sheet.  Knows Pillow only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from PIL import Image, ImageDraw, ImageFont

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont

LARGEST = 256  # pixels of a picture's longer side on the sheet, ...
_WIDEST = 1600  # ... and of the sheet, unless one pair is wider
_MARGIN, _GAP, _LEADING = 16, 4, 4
_TEXT_SIZE, _TITLE_SIZE = 12, 14
_PAPER, _INK, _FAINT, _FRAME = "#ffffff", "#222222", "#777777", "#dddddd"
_CHECKS = 8  # pixels of a square behind what is transparent
_RATIO = 1.4  # of a sheet's width to its height, as far as pairs allow
_NARROWEST, _NARROWEST_HEAD = 190, 480  # pixels of a pair and of a sheet, for what is written


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures, "L", "RGB" or "RGBA", and what is written below them."""

    left: Image.Image
    right: Image.Image
    name: str
    caption: tuple[str, ...]  # a line is broken between these


def scale_for(width: int, height: int) -> Fraction:
    """Return by what pictures are enlarged or reduced on a sheet: k or 1/k, k a whole number."""
    longest = max(width, height)
    if longest <= LARGEST:
        return Fraction(max(1, LARGEST * 5 // 8 // longest))
    return Fraction(1, math.ceil(longest / LARGEST))


def draw_sheet(title: str, notes: Sequence[str], pairs: Sequence[Pair]) -> Image.Image:
    """Return a contact sheet, RGB.

    Parameters
    ----------
    title
        The first line.
    notes
        Paragraphs below it.
    pairs
        What is shown: all left pictures of one size, and all right ones.
    """
    text, heading = ImageFont.load_default(_TEXT_SIZE), ImageFont.load_default(_TITLE_SIZE)
    scale = min(scale_for(*pairs[0].left.size), scale_for(*pairs[0].right.size))
    tiles = [(_tile(pair.left, scale), _tile(pair.right, scale)) for pair in pairs]
    width, height = (max(sides) for sides in zip(*(tile.size for tile in tiles[0]), strict=True))
    pair_width = max(2 * width + _GAP, _NARROWEST)
    names = [_shortened(_printable(pair.name), text, pair_width) for pair in pairs]
    captions = [_wrapped(pair.caption, text, pair_width) for pair in pairs]
    line = _TEXT_SIZE + _LEADING
    cell_height = height + _LEADING + line * (1 + max(map(len, captions)))
    columns = _columns(len(pairs), pair_width + _MARGIN, cell_height + _MARGIN)
    inner = max(columns * (pair_width + _MARGIN) - _MARGIN, _NARROWEST_HEAD)
    head = [(words, heading, _INK) for words in _wrapped(title.split(), heading, inner)]
    for note in notes:
        head += [(words, text, _FAINT) for words in _wrapped(note.split(), text, inner)]
    head_height = sum(_height(font) for _, font, _ in head)
    rows = math.ceil(len(pairs) / columns)
    top = 2 * _MARGIN + head_height
    size = inner + 2 * _MARGIN, top + rows * (cell_height + _MARGIN)
    sheet = Image.new("RGB", size, _PAPER)
    canvas = ImageDraw.Draw(sheet)
    y = _MARGIN
    for words, font, color in head:
        canvas.text((_MARGIN, y), words, color, font)
        y += _height(font)
    for number, (left, right) in enumerate(tiles):
        x = _MARGIN + number % columns * (pair_width + _MARGIN)
        y = top + number // columns * (cell_height + _MARGIN)
        for tile, place in ((left, x), (right, x + width + _GAP)):
            # A frame, for white pictures.
            frame = place - 1, y - 1, place + tile.width, y + tile.height
            canvas.rectangle(frame, outline=_FRAME)
            sheet.paste(tile, (place, y))
        y += height + _LEADING
        canvas.text((x, y), names[number], _FAINT, text)
        for words in captions[number]:
            y += line
            canvas.text((x, y), words, _INK, text)
    return sheet


def _height(font: Font) -> int:
    """Return how far apart lines are."""
    return int(getattr(font, "size", _TEXT_SIZE)) + _LEADING


def _columns(count: int, width: int, height: int) -> int:
    """Return how many cells of a size make a row of a sheet of a pleasant shape."""
    most = max(1, min(count, _WIDEST // width))

    def shape_error(columns: int) -> float:
        return abs(math.log(columns * width / (math.ceil(count / columns) * height) / _RATIO))

    return min(range(1, most + 1), key=shape_error)


def _tile(picture: Image.Image, scale: Fraction) -> Image.Image:
    """Return a picture as it is pasted: RGB, enlarged by repeating pixels or reduced by means."""
    if scale < 1:
        picture = picture.reduce(scale.denominator)
    else:
        size = picture.width * scale.numerator, picture.height * scale.numerator
        picture = picture.resize(size, Image.Resampling.NEAREST)
    if picture.mode == "RGBA":
        picture = Image.alpha_composite(_checks(picture.size), picture)
    return picture.convert("RGB")


def _checks(size: tuple[int, int]) -> Image.Image:
    """Return the grey checks that show through what is transparent."""
    checks = Image.new("RGBA", size, "#ffffff")
    canvas = ImageDraw.Draw(checks)
    for y in range(0, size[1], _CHECKS):
        for x in range(y // _CHECKS % 2 * _CHECKS, size[0], 2 * _CHECKS):
            canvas.rectangle((x, y, x + _CHECKS - 1, y + _CHECKS - 1), "#cccccc")
    return checks


def _printable(words: str) -> str:
    """Replace line breaks and other control characters, which a file name may hold."""
    return "".join(character if character.isprintable() else "?" for character in words)


def _wrapped(words: Sequence[str], font: Font, width: int) -> list[str]:
    """Put words into lines of at most a width; one word that is wider is shortened."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_shortened(word, font, width))
    return lines


def _shortened(words: str, font: Font, width: int) -> str:
    """Cut words in front, where a path is the least telling, until they are no wider."""
    short = words
    while font.getlength(short) > width and len(short) > 4:
        short = "..." + short.removeprefix("...")[1:]
    return short
