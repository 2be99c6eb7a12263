"""Boxes, and where the crop window lies. Pure: numbers in, numbers out.

A window is a square of whole pixels of the upright source picture. Three ways give one:

`annotated`  The dataset's own window, from the size that it was made at (`ref_width` x `ref_height`; without a
             `ref_width` both axes are scaled by the heights) to the source's. Without a `ref_height` it is taken to be
             in the source's own pixels if it fits in there. Beyond the picture by up to `BEYOND` of its size it is
             moved inside (and shrunk if it is larger than the picture); by more the clip fails: its annotation was
             made for another picture. By `margin`, a part of the picture's width and height, each edge moves outwards,
             up to the picture's own. `square` says what becomes of one that is not square: `outer`, the square of its
             longer side; `inner`, of its shorter side, an even number, about the middle of the edges in whole pixels
             (half ones: to the left and up), which is how CelebV-HQ's authors crop, with a margin of 0.02
             (download_and_process.py of github.com/CelebV-HQ/CelebV-HQ at d1b6cf3).
`tracked`    Around the followed face: from its boxes over the whole clip the 1st percentile of the left and upper
             edges and the 99th of the right and lower ones (so that single wild pictures do not count), the square of
             the longer side of that about its centre, moved up by `shift_up` and enlarged by `scale` times the clip's
             own `crop_scale`. The face's box reaches from forehead to chin, which is why hair needs the shift.
`whole`      The largest square in the middle of the picture.

A window that would reach beyond the picture is moved inside; one larger than the picture shrinks to the largest square
that fits. It is never enlarged to a wanted number of pixels: how many it has is for the filter to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from talkset.faults import ClipFault, ToolFault

BEYOND = 0.02  # of the picture's width or height: rounding of the annotation and of encoders' sizes
PERCENTILES = (1, 99)


@dataclass(frozen=True)
class Window:
    """A crop window: x0 and y0 are its first pixels, x1 and y1 the first ones after it."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def side(self) -> int:
        return self.x1 - self.x0


def window(
    way: str, row: Mapping[str, str], size: tuple[int, int], boxes: np.ndarray | None, settings: Mapping
) -> Window:
    """The crop window of a clip.

    Args:
        way: `annotated`, `tracked` or `whole`.
        row: the clip's row of the clip table.
        size: width and height of the upright source picture.
        boxes: `[n,4]` the followed face in each analysed picture (`tracks.boxes`), NaN where it is not; only for
            `tracked`.
        settings: `scale`, `crop_scale` (for clips that have none of their own), `shift_up` (part of the face's side);
            `margin` (part of the picture) and `square` (`outer` or `inner`).

    Raises:
        ClipFault: there is no window, it lies beyond the picture, or there is no face; with the numbers.
        ToolFault: unknown way.
    """
    if way == "annotated":
        return _annotated(row, size, settings)
    if way == "tracked":
        return _tracked(row, size, boxes, settings)
    if way == "whole":
        return _fit(size[0] / 2, size[1] / 2, min(size), size)
    raise ToolFault(f"crop: way: {way!r} is none of annotated, tracked, whole")


def annotation(row: Mapping[str, str], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    """The annotated window in pixels of a source of this size: x0, y0, x1, y1; `None` if the clip has none.

    It is not checked against the picture; `tracks.follow` takes it to tell which face is meant.
    """
    if not row["x0"]:
        return None
    x0, y0, x1, y1 = (float(row[side]) for side in ("x0", "y0", "x1", "y1"))
    if row["box_unit"] == "fraction":
        across, down = size
    else:
        down = size[1] / float(row["ref_height"]) if row["ref_height"] else 1.0
        across = size[0] / float(row["ref_width"]) if row["ref_width"] else down
    return x0 * across, y0 * down, x1 * across, y1 * down


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two boxes x0 y0 x1 y1."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    if (sides <= 0).any():
        return 0.0
    common = sides[0] * sides[1]
    return float(common / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - common))


def _annotated(row: Mapping[str, str], size: tuple[int, int], settings: Mapping) -> Window:
    place = annotation(row, size)
    if place is None:
        raise ClipFault("the annotation has no crop window", status="no-window")
    x0, y0, x1, y1 = place
    if x1 - x0 < 1 or y1 - y0 < 1:
        raise ClipFault(f"the annotated window is empty: {_text(place)} in a picture of {size[0]}x{size[1]}")
    beyond = max(-x0 / size[0], (x1 - size[0]) / size[0], -y0 / size[1], (y1 - size[1]) / size[1])
    known = row["ref_height"] or row["box_unit"] == "fraction"
    if beyond > (BEYOND if known else 0):
        made = f"made at height {row['ref_height']}" if row["ref_height"] else "made at an unknown height"
        raise ClipFault(
            f"the annotated window {_text(place)} ({made}) reaches beyond the picture of {size[0]}x{size[1]} "
            f"by {100 * beyond:.1f} % of its size"
        )
    if settings["margin"]:
        across, down = (settings["margin"] * length for length in size)
        x0, y0, x1, y1 = max(0, x0 - across), max(0, y0 - down), min(size[0], x1 + across), min(size[1], y1 + down)
    if settings["square"] == "inner":
        x0, y0, x1, y1 = map(round, (x0, y0, x1, y1))
        return _fit((x0 + x1) // 2, (y0 + y1) // 2, min(x1 - x0, y1 - y0) // 2 * 2, size)
    return _fit((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0), size)


def _tracked(row: Mapping[str, str], size: tuple[int, int], boxes: np.ndarray, settings: Mapping) -> Window:
    seen = boxes[~np.isnan(boxes).any(axis=1)]
    if not len(seen):
        raise ClipFault(f"no face found in {len(boxes)} frames")
    low, high = PERCENTILES
    x0, y0 = np.percentile(seen[:, :2], low, axis=0)
    x1, y1 = np.percentile(seen[:, 2:], high, axis=0)
    face = max(x1 - x0, y1 - y0)
    ratio = float(row["crop_scale"] or settings["crop_scale"])
    middle = (y0 + y1) / 2 - settings["shift_up"] * face
    return _fit((x0 + x1) / 2, middle, face * settings["scale"] * ratio, size)


def _fit(x: float, y: float, side: float, size: tuple[int, int]) -> Window:
    """The square about a centre, moved and, if need be, shrunk into the picture."""
    length = max(1, min(round(side), *size))
    x0, y0 = (
        min(max(0, round(centre - length / 2)), limit - length) for centre, limit in zip((x, y), size, strict=True)
    )
    return Window(x0, y0, x0 + length, y0 + length)


def _text(place: Sequence[float]) -> str:
    return "x {0:.0f}..{2:.0f}, y {1:.0f}..{3:.0f}".format(*place)
