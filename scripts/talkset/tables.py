"""Tables of rows as tab-separated text: clip table, shard lists, scores, lists, ledger.

A table is read as text, never guessed into numbers: ids like `00012` or `-1e5` stay what they are.
"""

from __future__ import annotations

import csv
import numbers
from collections.abc import Container, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from talkset import files
from talkset.faults import ToolFault

# The columns of every dataset's clip table (design: they do not vary).
CLIP_COLUMNS = (
    "clip",  # unique, stable, file-name safe; the dataset's own naming
    "dataset",  # name in the config
    "subset",  # the dataset's own part, e.g. RD
    "video",  # source id, file-name safe
    "url",  # or relative path for imported media
    "start",  # seconds in the source, the dataset's own value; empty = from its beginning
    "end",  # seconds in the source; empty = to its end
    "x0",  # annotated window, left edge; empty if there is none
    "y0",  # top edge
    "x1",  # right edge, exclusive
    "y1",  # bottom edge, exclusive
    "box_unit",  # pixel (of ref_width x ref_height) or fraction (of the frame)
    "ref_width",  # pixels; empty if unknown: the source's own aspect ratio is used
    "ref_height",  # pixels: resolution that the annotation was made at; empty if unknown
    "crop_scale",  # enlargement of a detected window; empty = the config's default
    "identity",  # person, where the dataset tells
    "split",  # the dataset's own split, where it has one
    "language",  # spoken language, where the dataset tells
    "aliases",  # other names in use, `;`-separated
    "labels",  # JSON object: everything else that the dataset says
)

csv.field_size_limit(1 << 24)


def rows(path: str | Path) -> Iterator[dict[str, str]]:
    """Yield a table's rows as text by column name."""
    with open(path, encoding="utf-8", newline="") as handle:
        yield from csv.DictReader(handle, delimiter="\t", strict=True)


def write(path: str | Path, columns: Sequence[str], table: Iterable[dict]) -> None:
    """Write rows as a table, whole or not at all; `None` and absent columns become empty.

    Raises:
        ValueError: a row holds a column that the table does not have.
    """
    with files.whole(path) as partial, open(partial, "w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, columns, restval="", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


def all_there(path: str | Path, clips: Container[str], listed: Iterable[str], shard_list: str | Path) -> None:
    """Refuse a shard's file that lacks a clip of the shard's list: clips in are rows out at every stage.

    Args:
        path: the file.
        clips: the clips it has.
        listed: the clips of the list, in order.
        shard_list: the list.
    """
    for clip in listed:
        if clip not in clips:
            raise ToolFault(f"{path} lacks clip {clip!r} of {shard_list}; delete it and repeat the command")


def seconds(text: str) -> Fraction | None:
    """An annotated time as an exact number of seconds; `None` where the table leaves it open."""
    return Fraction(text) if text else None


def cell(value: str | int | float | None) -> str:
    """A value as a table shows it: numbers with 6 significant digits at most, `None` and NaN empty.

    Six digits are more than any score means and fewer than the last bits in which machines differ.
    """
    if value is None or value != value:
        return ""
    whole = isinstance(value, (str, numbers.Integral))
    return str(value) if whole else format(value, ".6g")
