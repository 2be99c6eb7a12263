"""CelebV-HQ (Zhu et al., ECCV 2022): one JSON file, `celebvhq_info.json`, of 35,666 clips.

    {"meta_info": {"appearance_mapping": ["blurry", "male", ...], "action_mapping": ["blow", "chew", ...]},
     "clips": {"k_Lm-9QrS2t_1_0": {"ytb_id": "k_Lm-9QrS2t",
         "duration": {"start_sec": 101.0, "end_sec": 104.4},                              seconds in the YouTube video
         "bbox": {"top": 0.05, "bottom": 1.0, "left": 0.4, "right": 0.9},                 fractions of height and width
         "attributes": {"appearance": [1, 0, ...], "action": [0, 1, ...],                 in the order of the mappings
             "emotion": {"sep_flag": true, "labels": [{"emotion": "happy", "start_sec": 0, "end_sec": 1.2}, ...]}},
         "version": "v0.1"}, ...}}

Source: README.md and download_and_process.py of github.com/CelebV-HQ/CelebV-HQ at d1b6cf3 (an older README calls the
first member `mete_info`; both are read). Rules where the file leaves a choice:

- A clip's id is its key; the source video is `ytb_id`, never a part of the key (ids hold `_` and `-`). A key listed
  twice counts once, as JSON readers do: the last one.
- The window is the published box, as fractions. The authors' tool enlarges it by 0.02 of the frame on every side and
  takes the square of the shorter side about its centre: `crop: {way: annotated}` takes the square of the longer side.
  A box with no area is said, and the row has no window; one that reaches beyond the frame is said and kept.
- Clips begin and end loosely: some run into the next shot (issue 8 of the repository).
- `emotions` in the labels are seconds of the clip, whether the file gives one word for all of it or a list of spans.
  Spans are cut to the clip; those that end before they begin (issue 11: negative or equal ends) are no spans, and are
  listed as they are in `emotion_faults`. Spans may leave gaps (issue 18).
- `appearance` and `action` in the labels are the names of the attributes that hold, in lower case.
- There are no identities (issue 19: none will be published) and no splits. Not every clip shows speech: where the
  mapping has an action `talk`, it tells.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from talkset import annotations
from talkset.annotations import Oddities, Record
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec

FILE = "celebvhq_info.json"
META = ("meta_info", "mete_info")
MAPPINGS = {"appearance": "appearance_mapping", "action": "action_mapping"}
SIDES = ("left", "top", "right", "bottom")
SPAN = ("start_sec", "end_sec")

SPEC = DatasetSpec(
    name="celebv_hq",
    version=1,
    title="CelebV-HQ",
    licence="non-commercial research",
    access="annotations from the authors' repository, videos from YouTube",
    homepage="https://github.com/CelebV-HQ/CelebV-HQ",
    files=(FILE,),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "require_window": {
                "type": "boolean",
                "default": True,
                "description": "End clips without a usable box as no-window; false: cut them too, and crop them by "
                "detection.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return SPEC.files


def import_names(row: dict) -> list[str]:
    """`{ytb_id}`: what the authors' script calls the source video."""
    return [row["video"]]


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows in the order of the file.

    Args:
        files: the annotation files by name.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a record is malformed.
    """
    mappings, last = _overview(files[FILE])
    odd = Oddities(dataset)
    for section, record in annotations.json_members(files[FILE], "clips"):
        if not section:
            continue
        if record.number == 1:
            annotations.show(dataset, record)
        if record.number == last[record.name]:
            yield _row(record, mappings, dataset, odd)
        else:
            odd.note("the id comes again further down, and that record counts", record.name)
    odd.say()


def _overview(path: Path) -> tuple[dict[str, list[str]], dict[str, int]]:
    """The names of the attributes by kind, and the number of each clip's last record."""
    mappings: dict[str, list[str]] = {}
    last: dict[str, int] = {}
    for section, record in annotations.json_members(path, "clips"):
        if section:
            last[record.name] = record.number
        elif record.name in META:
            for kind, key in MAPPINGS.items():
                listed = record.find(key)
                if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
                    raise record.fault(f"expected a list of names under {key!r}")
                mappings[kind] = [name.lower() for name in listed]
    if not mappings:
        raise ToolFault(f"{path} has no {META[0]!r}: is it {FILE} of CelebV-HQ?")
    return mappings, last


def _row(record: Record, mappings: dict[str, list[str]], dataset: str, odd: Oddities) -> dict:
    video = record.words("ytb_id")
    if not annotations.YOUTUBE_ID.fullmatch(video):
        raise record.fault("expected a YouTube id of 11 letters, digits, - or _ under 'ytb_id'")
    if not record.name.startswith(f"{video}_"):
        odd.note("the id does not begin with the video's", record.name)
    start, end = record.decimal("duration", "start_sec"), record.decimal("duration", "end_sec")
    if start.startswith("-"):
        odd.note("the clip starts before its video and cannot be cut", record.name)
    labels: dict[str, Any] = {"version": record.find("version")}
    window = _window(record, labels, odd)
    for kind, names in mappings.items():
        flags = record.find("attributes", kind)
        if isinstance(flags, list) and len(flags) == len(names):
            labels[kind] = [name for name, flag in zip(names, flags, strict=True) if flag == 1]
        else:
            odd.note(f"{kind} has not one value for each of the {len(names)} names", record.name)
            labels[f"{kind}_flags"] = flags
    labels |= _emotions(record, float(Decimal(end) - Decimal(start)), odd)
    return {
        "clip": record.safe(record.name),
        "dataset": dataset,
        "subset": "",
        "video": video,
        "url": annotations.watch_page(video),
        "start": start,
        "end": end,
        **dict(zip(("x0", "y0", "x1", "y1"), window, strict=True)),
        "box_unit": "fraction" if window[0] else "",
        "ref_width": "",
        "ref_height": "",
        "crop_scale": "",
        "identity": "",
        "split": "",
        "language": "",
        "aliases": "",
        "labels": json.dumps(labels),
    }


def _window(record: Record, labels: dict, odd: Oddities) -> tuple[str, ...]:
    """Left, top, right and bottom edge; all empty where the box is no window, and then it goes into `labels`."""
    box = record.find("bbox")
    if box is None:
        odd.note("there is no box", record.name)
        return ("",) * 4
    edges = tuple(record.decimal("bbox", side) for side in SIDES)
    left, top, right, bottom = map(float, edges)
    if left >= right or top >= bottom:
        odd.note("the box has no area, so the clip has no window", record.name)
        labels["bbox"] = box
        return ("",) * 4
    if min(left, top) < 0 or max(right, bottom) > 1:
        odd.note("the box reaches beyond the frame", record.name)
    return edges


def _emotions(record: Record, length: float, odd: Oddities) -> dict[str, list]:
    """Labels `emotions` (emotion, start_s, end_s: seconds of the clip) and, if there are any, `emotion_faults`."""
    listed = record.find("attributes", "emotion", "labels")
    if isinstance(listed, str):
        return {"emotions": [{"emotion": listed, "start_s": 0.0, "end_s": length}]}
    found: dict[str, list] = {"emotions": []}
    for span in listed if isinstance(listed, list) else [listed]:
        start, end = (annotations.decimal(span.get(key)) if isinstance(span, dict) else None for key in SPAN)
        if start is not None and end is not None:
            begin, stop = max(float(start), 0.0), min(float(end), length)
            if begin < stop:
                found["emotions"].append({"emotion": span.get("emotion"), "start_s": begin, "end_s": stop})
                continue
        odd.note("an emotion has no span within the clip", record.name)
        found.setdefault("emotion_faults", []).append(span)
    return found
