"""Turn a dataset's annotation files into the clip table and the index of its source videos."""

import json
import re
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from talkset import glue, names, progress, registry, shards, tables
from talkset.faults import ToolFault

WINDOW = ("x0", "y0", "x1", "y1")
NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,20}|/[1-9][0-9]{0,11})?")  # 12, 12.5 or 25025/1001


def main(
    annotations: list[Path],
    clips: Path,
    videos: Path,
    *,
    dataset: str,
    adapter: str,
    options: dict,
    shard_size: int,
    version: int,
) -> None:
    """Write the clip table `clips` and the index `videos` (columns: `shards.INDEX_COLUMNS`).

    Args:
        annotations: the dataset's annotation files.
        clips: output.
        videos: output.
        dataset: name in the config.
        adapter: name of the dataset plug-in.
        options: the adapter's options, complete.
        shard_size: source videos a shard.
        version: of this step and the adapter.

    Raises:
        ToolFault: an annotation file is malformed, or the adapter gives a row that the clip table cannot hold.
    """
    plugin = registry.load("datasets", adapter)
    rows = checked(plugin.clips({path.name: path for path in annotations}, options, dataset), dataset)
    index = shards.index(rows, shard_size, require_window=options["require_window"], import_names=plugin.import_names)
    tables.write(clips, tables.CLIP_COLUMNS, rows)
    tables.write(videos, shards.INDEX_COLUMNS, index)
    progress.say(f"{dataset}: {summary(rows)}")


def checked(rows: Iterable[dict], dataset: str) -> list[dict[str, str]]:
    """The rows with all columns, each one checked.

    Raises:
        ToolFault: a row breaks a rule of the clip table; the text shows the row's number, clip and value.
    """
    table: list[dict[str, str]] = []
    number_of: dict[str, int] = {}
    url_of: dict[str, str] = {}
    for number, given in enumerate(rows, start=1):
        row = dict.fromkeys(tables.CLIP_COLUMNS, "") | given
        broken = _broken_rule(row, dataset)
        if not broken and row["clip"] in number_of:
            broken = f"the id is already that of row {number_of[row['clip']]}"
        if not broken and url_of.setdefault(row["video"], row["url"]) != row["url"]:
            broken = f"video {row['video']!r} has two urls: {url_of[row['video']]!r} and {row['url']!r}"
        if broken:
            raise ToolFault(f"{dataset}: row {number} of the clip table (clip {row['clip']!r}): {broken}")
        number_of[row["clip"]] = number
        table.append(row)
    if not table:
        raise ToolFault(f"{dataset}: the annotation files hold no clips")
    return table


def summary(rows: list[dict[str, str]]) -> str:
    """One line on a clip table: clips, videos, hours, and what is missing or odd."""
    spans = [tables.seconds(row["end"]) - tables.seconds(row["start"] or "0") for row in rows if row["end"]]
    windows = sum(row["x0"] != "" for row in rows)
    text = (
        f"{len(rows)} clips of {len({row['video'] for row in rows})} videos, {windows} with a window, "
        f"{len(rows) - windows} without, {float(sum(span for span in spans if span > 0)) / 3600:.2f} h"
    )
    whole, inverted = len(rows) - len(spans), sum(span <= 0 for span in spans)
    if whole:
        text += f" and {whole} to the end of their video"
    if inverted:
        text += f"; {inverted} end before they start and cannot be cut"
    return text


def _broken_rule(row: dict, dataset: str) -> str | None:
    """The first rule of the clip table that `row` breaks, with the value, or `None`."""
    if unknown := sorted(set(row) - set(tables.CLIP_COLUMNS)):
        return f"unknown columns {unknown}"
    for column, value in row.items():
        if not isinstance(value, str):
            return f"{column} is {value!r}, not a text"
        if re.search(r"[\x00-\x1f\x7f]", value):
            return f"{column} is {value!r}, with control characters"
    for column in ("clip", "video"):
        if not re.fullmatch(names.SAFE, row[column]):
            return f"{column} is {row[column]!r}, not a safe file name ({names.SAFE})"
    if row["dataset"] != dataset:
        return f"dataset is {row['dataset']!r}"
    if not row["url"]:
        return "url is empty"
    for column in ("start", "end", *WINDOW):
        if row[column] and _number(row[column]) is None:
            return f"{column} is {row[column]!r}, not a number"
    for column in ("ref_width", "ref_height", "crop_scale"):
        if row[column] and not (_number(row[column]) or 0) > 0:
            return f"{column} is {row[column]!r}, not a number above 0"
    if len({row[column] == "" for column in WINDOW}) > 1:
        return f"the window is {[row[column] for column in WINDOW]}, with a part missing"
    if row["box_unit"] not in (("pixel", "fraction") if row["x0"] else ("",)):
        return f"box_unit is {row['box_unit']!r}; pixel or fraction with a window, empty without"
    if row["labels"] and not _is_object(row["labels"]):
        return f"labels is {row['labels']!r}, not a JSON object"
    return None


def _number(text: str) -> Fraction | None:
    return Fraction(text) if NUMBER.fullmatch(text) else None


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
