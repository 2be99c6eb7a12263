"""How large the features of a dataset become, from the declared shapes alone, before anything is fetched."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping

from talkset import registry, tables
from talkset.timeline import FPS

FRAMES = 3600 * FPS  # an hour of video


def size(array: registry.ArraySpec, options: Mapping) -> tuple[str, int, bool]:
    """What one array takes on disk.

    Args:
        array: as the plug-in declares it.
        options: the plug-in's, complete; `dtype` chooses among several declared types.

    Returns:
        The type as stored, bytes, and what they are for: True = an hour of video, False = one clip.
    """
    declared = array.dtype.split("|")
    dtype = options["dtype"] if len(declared) > 1 else declared[0]
    count, hourly = 1, False
    for length in (array.usual or array.shape).strip("[]").split(","):
        frames = re.fullmatch(r"(\d*)T", length)
        hourly |= bool(frames)
        count *= int(frames[1] or 1) * FRAMES if frames else int(length)
    return dtype, count * (1 if dtype == "bool" else int(re.search(r"\d+", dtype)[0]) // 8), hourly


def text(dataset: str, rows: Iterable[Mapping[str, str]], features: Mapping[str, Mapping]) -> str:
    """What a dataset's lists ask for, and the size of its features, for people.

    Args:
        dataset: its name.
        rows: of the clip table.
        features: options by modality, complete.
    """
    rows = list(rows)
    timed = [
        float(tables.seconds(row["end"]) - tables.seconds(row["start"])) for row in rows if row["start"] and row["end"]
    ]
    hours = math.fsum(timed) / 3600
    open_ended = len(rows) - len(timed)
    lines = [
        f"{dataset}: {len(rows)} clips of {len({row['video'] for row in rows})} videos, {hours:.2f} h annotated"
        + (f"; {open_ended} without a stated end are not counted" if open_ended else ""),
        f"{'modality':16} {'array':12} {'shape':16} {'type':8} {'GB per hour':>12} {'GB at most':>12}",
    ]
    hourly_sum = all_sum = 0.0
    for modality, options in features.items():
        for array in registry.load("features", modality).SPEC.arrays:
            dtype, count, hourly = size(array, options)
            per_hour = count / 1e9 if hourly else 0.0
            whole = count / 1e9 * (hours if hourly else len(rows))
            hourly_sum, all_sum = hourly_sum + per_hour, all_sum + whole
            shown = f"{per_hour:12.3f}" if hourly else f"{count / 1e3:.1f} kB/clip".rjust(12)
            shape = array.usual or array.shape
            lines.append(f"{modality:16} {array.name:12} {shape:16} {dtype:8} {shown} {whole:12.3f}")
    lines.append(f"{'all features':55} {hourly_sum:12.3f} {all_sum:12.3f}")
    lines.append("at most: if every annotated clip is there and kept")
    return "\n".join(lines) + "\n"
