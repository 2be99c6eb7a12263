"""Frame numbers that survive lossy coding: a strip of black and white cells, read back with a parity check."""

from __future__ import annotations

import numpy as np

BITS = 16
CELLS = BITS + 4  # white, black, 16 bits (high first), parity, white
STRIP = (0.0, 0.0, 1.0, 1 / 16)  # x0, y0, x1, y1 as fractions of the picture: its uppermost sixteenth


def draw(picture: np.ndarray, number: int, strip: tuple[float, float, float, float] = STRIP) -> None:
    """Draw `number` (0..65535) into a picture, in place.

    Args:
        picture: `[H,W]` or `[H,W,3]` uint8.
        strip: where, as fractions of the picture.
    """
    for cell, (y0, y1, x0, x1) in zip(_cells(number), _boxes(picture.shape, strip), strict=True):
        picture[y0:y1, x0:x1] = 235 if cell else 16


def read(picture: np.ndarray, strip: tuple[float, float, float, float] = STRIP) -> int | None:
    """Read the number from a picture of any size; `None` if guard cells or parity do not fit."""
    grey = picture if picture.ndim == 2 else picture.mean(axis=2)
    cells = []
    for y0, y1, x0, x1 in _boxes(grey.shape, strip):
        dy, dx = (y1 - y0) // 4, (x1 - x0) // 4  # the middle of a cell, away from scaling blur
        cells.append(int(grey[y0 + dy : y1 - dy, x0 + dx : x1 - dx].mean() > 125))
    number = int("".join(map(str, cells[2 : 2 + BITS])), 2)
    return number if cells == _cells(number) else None


def _cells(number: int) -> list[int]:
    if not 0 <= number < 1 << BITS:
        raise ValueError(f"frame number {number} does not fit {BITS} bits")
    bits = [int(bit) for bit in f"{number:0{BITS}b}"]
    return [1, 0, *bits, sum(bits) % 2, 1]


def _boxes(shape, strip):
    height, width = shape[:2]
    x0, y0, x1, y1 = strip[0] * width, strip[1] * height, strip[2] * width, strip[3] * height
    for cell in range(CELLS):
        left, right = x0 + (x1 - x0) * cell / CELLS, x0 + (x1 - x0) * (cell + 1) / CELLS
        yield round(y0), round(y1), round(left), round(right)
