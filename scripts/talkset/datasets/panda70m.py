"""Panda-70M (Chen et al., CVPR 2024): CSV, one row a source video, its clips in lists written as Python does.

    videoID,url,timestamp,caption,matching_score,desirable_filtering,shot_boundary_detection
    ---aB3dE5gH,https://www.youtube.com/watch?v=---aB3dE5gH,"[['0:00:16.300', '0:00:32.566'], ['1:02:44.100', ...]]",
      "['A person talks.', ""A woman's hands.""]","[0.4538, 0.4487]","['desirable', '1_still_foreground_image']",
      "[[['0:00:00.000', '0:00:16.266']], [['0:00:00.000', '0:00:04.966']]]"          (one line in the file)

Source: README.md and dataset_dataloading/README.md of github.com/snap-research/Panda-70M at 9afd40b; the form of the
shots as shown by huggingface.co/datasets/WABC/Panda-70M. Files of before October 2024 lack the last two columns; what
they would filter is then not filtered, and that is said. Lists are read as literals and never run.

Of up to 70 million clips a subset is taken, people first, by the rule of `talkset/datasets/_people.py` on the captions
and by the filters below; within one video the clips of better rank, then of higher matching score, come first, and no
more than `per_video` are taken. Rows come out in the order of that choice, so a larger `count` adds rows at the end and
leaves the shards of the others as they are. The file is read as a stream, and only the rows of videos that can still be
among the chosen are looked into; a fault in another row's lists is not found.

- Clip `{videoID}.{i}` is number i, from 0, in the lists of the file at hand, as the authors name their samples. The
  files list different clips, so the number belongs to the file; its name is the `subset`.
- `split` is train, val or test, by the file's name. The authors' validation and test videos are in no training file.
- A clip that ends before it begins is not taken, and said. A video listed twice counts once: the first row.
- `labels`: `index`, `caption`, `talking` (whether the rule says so), `scores` / `matching_score`,
  `desirable_filtering`, and `shots`, seconds of the clip as listed.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

from talkset import annotations, progress
from talkset.annotations import Oddities, Record
from talkset.datasets import _people
from talkset.registry import DatasetSpec

FILE = "panda70m_training_2m.csv"
COLUMNS = ("videoID", "url", "timestamp", "caption", "matching_score")
LATER = ("desirable_filtering", "shot_boundary_detection")
TIME = re.compile(r"([0-9]{1,3}):([0-5][0-9]):([0-5][0-9](?:\.[0-9]{1,9})?)")
SPLITS = {"train": "train", "val": "val", "test": "test"}

SPEC = DatasetSpec(
    name="panda70m",
    version=1,
    title="Panda-70M",
    licence="Snap Inc., non-commercial research",
    access="CSV files linked in the authors' README (Google Drive, unpacked by hand), videos from YouTube",
    homepage="https://github.com/snap-research/Panda-70M",
    files=(FILE,),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "file": {
                "type": "string",
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$",
                "default": FILE,
                "description": "The CSV to use: panda70m_training_full.csv, _10m, _2m, panda70m_validation.csv, "
                "panda70m_testing.csv.",
            },
            **_people.OPTIONS,
            "per_video": {
                "type": ["integer", "null"],
                "minimum": 1,
                "default": 3,
                "description": "Most clips taken from one source video; null = no limit.",
            },
            "min_matching_score": {
                "type": "number",
                "default": 0.43,
                "description": "Least score of caption and clip; 0.43 is that of the authors' own 10M selection.",
            },
            "min_seconds": {
                "type": "number",
                "minimum": 0,
                "default": 3,
                "description": "Least length of a clip (seconds).",
            },
            "desirable": {
                "type": "array",
                "items": {"type": "string"},
                "default": ["desirable"],
                "description": "Verdicts of the authors' filter to take; [] = all.",
            },
            "single_shot": {
                "type": "boolean",
                "default": True,
                "description": "Take only clips of one shot.",
            },
            "require_window": {
                "type": "boolean",
                "default": False,
                "description": "End clips without a window as no-window; Panda-70M has none.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return (options["file"],)


def import_names(row: dict) -> list[str]:
    """The video's own id."""
    return [row["video"]]


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows of the chosen clips, in the order of the choice.

    Args:
        files: the annotation files by name, `annotation_files(options)`.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a row is malformed.
    """
    path = files[options["file"]]
    progress.say(f"{dataset}: reading {path} ({path.stat().st_size / 1e6:.0f} MB)")
    rule, choice, odd = _people.Rule(options), _people.Choice(options["count"], options["seed"]), Oddities(dataset)
    seen: dict[str, int] = {}
    number = 0
    for record in annotations.csv_rows(path, COLUMNS):
        number = record.number
        if number == 1:
            annotations.show(dataset, record)
            for column in LATER:
                if column not in record.value:
                    progress.say(f"{dataset}: {path.name} has no column {column}, so nothing is filtered by it")
        name = record.words("videoID")
        if not choice.open_to(choice.key(0, name, 0)):
            continue
        if name in seen:
            kind = "the same" if seen[name] == hash(record.text) else "another"
            odd.note(f"the video has an earlier row, which counts; this is {kind}", name)
            continue
        seen[name] = hash(record.text)
        for place, (tier, row) in enumerate(_fitting(record, name, rule, options, dataset, odd)):
            choice.add(choice.key(tier, name, place), row)
    odd.say()
    rows = choice.clips()
    if len(rows) < (options["count"] or 0):
        progress.say(f"{dataset}: {path.name} has only {len(rows)} of the {options['count']} clips that count asks for")
    progress.say(f"{dataset}: {len(rows)} clips chosen; {len(seen)} of {number} rows were looked into")
    yield from rows


def _fitting(
    record: Record, name: str, rule: _people.Rule, options: dict, dataset: str, odd: Oddities
) -> list[tuple[int, dict]]:
    """Tier and clip table row of the clips of one video that fit, best first."""
    video, url = record.source("url")
    if video != name:
        raise record.fault(f"the url is that of {video!r}, the videoID is {name!r}")
    lists = {column: _list(record, column) for column in (*COLUMNS[2:], *LATER) if column in record.value}
    if len({len(listed) for listed in lists.values()}) > 1:
        lengths = ", ".join(f"{column} {len(listed)}" for column, listed in lists.items())
        raise record.fault(f"expected lists of one length, found {lengths}")
    found = []
    for index, (span, caption, score) in enumerate(zip(*(lists[column] for column in COLUMNS[2:]), strict=True)):
        if not isinstance(caption, str):
            raise record.fault(f"caption {index} is {caption!r}, not a text")
        if annotations.decimal(score) is None:
            raise record.fault(f"matching_score {index} is {score!r}, not a number")
        start, end = _seconds(record, index, span)
        if end <= start:
            odd.note("a clip ends before it begins, and is not taken", f"{name}.{index}")
            continue
        tier = rule.tier(caption)
        verdict = lists["desirable_filtering"][index] if "desirable_filtering" in lists else None
        shots = lists["shot_boundary_detection"][index] if "shot_boundary_detection" in lists else None
        if (
            tier is None
            or end - start < Decimal(str(options["min_seconds"]))
            or float(score) < options["min_matching_score"]
            or (verdict is not None and options["desirable"] and verdict not in options["desirable"])
            or (shots is not None and options["single_shot"] and len(shots) != 1)
        ):
            continue
        labels = {
            "index": index,
            "caption": caption,
            "talking": tier == 0,
            "scores": {"matching_score": float(score)},
        }
        labels |= {} if verdict is None else {"desirable_filtering": verdict}
        labels |= {} if shots is None else {"shots": shots}
        row = {
            "clip": record.safe(f"{name}.{index}"),
            "dataset": dataset,
            "subset": Path(options["file"]).stem.removeprefix("panda70m_"),
            "video": video,
            "url": url,
            "start": format(start, "f"),
            "end": format(end, "f"),
            **dict.fromkeys(("x0", "y0", "x1", "y1", "box_unit", "ref_width", "ref_height", "crop_scale"), ""),
            "identity": "",
            "split": next((split for part, split in SPLITS.items() if part in options["file"]), ""),
            "language": "",
            "aliases": "",
            "labels": json.dumps(labels),
        }
        found.append(((tier, -float(score), index), tier, row))
    found.sort(key=lambda one: one[0])
    return [(tier, row) for _, tier, row in found[: options["per_video"]]]


def _list(record: Record, column: str) -> list:
    try:
        value = ast.literal_eval(record.value[column])
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise record.fault(f"{column} is no Python list ({error})") from None
    if not isinstance(value, (list, tuple)):
        raise record.fault(f"{column} is {str(value)[:100]!r}, not a list")
    return list(value)


def _seconds(record: Record, index: int, span: object) -> tuple[Decimal, Decimal]:
    """Start and end of a clip, exact."""
    ends = []
    for text in span if isinstance(span, (list, tuple)) else ():
        match = TIME.fullmatch(text) if isinstance(text, str) else None
        ends += [int(match[1]) * 3600 + int(match[2]) * 60 + Decimal(match[3])] if match else []
    if len(ends) != 2:
        raise record.fault(f"timestamp {index} is {span!r}, not a pair of times H:MM:SS.mmm")
    return ends[0], ends[1]
