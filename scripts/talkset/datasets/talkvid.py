"""TalkVid (Chen et al., 2025): a JSON list, one record a clip; 181,752 of them in the full set.

    [{"id": "videovideo-aB3dE5gH7i-scene4-scene2", "height": 1080, "width": 1920, "fps": 24.0,
      "start-time": 61.3, "start-frame": 121, "end-time": 66.341666666666665, "end-frame": 242, "durations": "5.042s",
      "info": {"Person ID": "0812", "Ethnicity": "Asian", "Age Group": "31-45", "Gender": "Female",
               "Video Link": "https://www.youtube.com/watch?v=-aB3dE5gH7i", "Language": "Korean",
               "Video Category": "Interview"},
      "description": "...", "dover_scores": 8.4, "cotracker_ratio": 0.91,
      "head_detail": {"scores": {"avg_movement": 97.1, "min_movement": 88.0, ...}}}, ...]

Source: README.md of github.com/FreedomIntelligence/TalkVid at b3e15e6 and data/ of the dataset of that name on Hugging
Face. Rules where the file leaves a choice:

- Times are the seconds; the frame numbers are left over from an earlier cut and stay in the labels.
- **The published seconds drift.** In the pipeline (data_pipeline/1_video_rough_segmentation/utils/utils.py,
  `find_scenes_new_fixed_frames`) a scene is cut into parts `-scene1`, `-scene2`, ... of equal length d, and each part's
  start is added to that of the part before instead of the scene's. Part k is listed d (k - 1)(k - 2) / 2 too late: 0 s
  for the first two, 5 s for the third, 227 s for the eleventh; many lie past the end of their video (issue 5 of the
  repository). `times: corrected` takes that back. It follows from the code, not from the authors, so it is not the
  default; what is said of neighbouring parts shows whether the file at hand has the fault.
- The source video is that of `Video Link`; an id is no way to it (`videovideo1844_bqbWi7VMraY_scene9_scene5` exists).
- An id listed twice counts once: the first one.
- There is no window: crops are `tracked`.
- `identity` is `Person ID`, `language` is `Language`, as published. The benchmark's records have the split `test`.
- `scores` in the labels: `dover_scores`, `cotracker_ratio`, and the members of `head_detail` / `scores` as
  `head_avg_movement` and so on. All other members of a record are in the labels under their own names.
- Aliases: the id as the authors' files spell it (`..._scene2` for the last `-scene2`), and what their download script
  calls the clip, `{video}_{start}_{end}` with three decimals of the published seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from talkset import annotations, names, progress
from talkset.annotations import Oddities, Record
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec

FILE = "filtered_video_clips_with_captions.json"
PART = re.compile(r"(.+)[-_]scene([1-9][0-9]{0,4})")
# Members of a record, and of its `info`, that have a column or are scores.
TOLD = ("id", "start-time", "end-time", "info", "dover_scores", "cotracker_ratio", "head_detail")
TOLD_INFO = ("Person ID", "Video Link", "Language")
LONGER = Decimal("1.01")  # times are rounded by this much of a part's length at most

SPEC = DatasetSpec(
    name="talkvid",
    version=1,
    title="TalkVid",
    licence="CC BY-NC 4.0",
    access="annotations from Hugging Face (FreedomIntelligence/TalkVid), videos from YouTube",
    homepage="https://github.com/FreedomIntelligence/TalkVid",
    files=(FILE,),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "file": {
                "type": "string",
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$",
                "default": FILE,
                "description": "The list of records; filtered_video_clips.json is the same without descriptions, one "
                "with bench in its name is the benchmark (branch bench).",
            },
            "only": {
                "type": ["string", "null"],
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$",
                "default": None,
                "description": "A JSON list beside it that names the clips to use, by a text or by the `video` path "
                "that the authors' training lists have (TalkVid-Core.json); null = all.",
            },
            "times": {
                "enum": ["published", "corrected"],
                "default": "published",
                "description": "Seconds as listed, or with the drift of a scene's third and later parts taken back.",
            },
            "require_window": {
                "type": "boolean",
                "default": False,
                "description": "End clips without a window as no-window; TalkVid has none.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return tuple(options[key] for key in ("file", "only") if options[key])


def import_names(row: dict) -> list[str]:
    """The video's own id."""
    return [row["video"]]


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows in the order of the file.

    Args:
        files: the annotation files by name, `annotation_files(options)`.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a record is malformed, or the times that should be corrected have not that fault.
    """
    wanted = _listed(files[options["only"]]) if options["only"] else None
    odd, drift, taken = Oddities(dataset), _Drift(), {}
    for record in annotations.json_list(files[options["file"]]):
        if record.number == 1:
            annotations.show(dataset, record)
        row = _row(record, options, dataset, odd, drift)
        known = {row["clip"], *row["aliases"].split(";")}
        if wanted is not None and known.isdisjoint(wanted):
            continue
        if row["clip"] in taken:
            odd.note("the id is already that of an earlier record, which counts", row["clip"])
            continue
        taken[row["clip"]] = known & wanted if wanted is not None else known
        yield row
    odd.say()
    drift.say(dataset, options["times"])
    if wanted is not None and (lacking := sorted(wanted.difference(*taken.values()))):
        progress.say(
            f"{dataset}: {options['file']} has no record for {len(lacking)} of the {len(wanted)} clips in "
            f"{options['only']}; the first is {lacking[0]!r}"
        )


def _listed(path: Path) -> set[str]:
    """The names in a list of texts, or of objects with a `video`, as ids or aliases: without folder and ending."""
    try:
        listed = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise ToolFault(f"{path} is not JSON: {error}") from None
    found = set()
    for number, entry in enumerate(listed if isinstance(listed, list) else [listed], start=1):
        name = entry.get("video") if isinstance(entry, dict) else entry
        if not isinstance(name, str) or not name:
            raise ToolFault(
                f"{path}, entry {number}: {str(entry)[:500]!r}: expected a name, or an object with a 'video'"
            )
        found.add(names.safe_name(re.sub(r"\.[A-Za-z0-9]{2,4}$", "", re.split(r"[/\\]", name)[-1])))
    return found


def _row(record: Record, options: dict, dataset: str, odd: Oddities, drift: _Drift) -> dict:
    name = record.words("id")
    video, url = record.source("info", "Video Link")
    start, end = record.decimal("start-time"), record.decimal("end-time")
    if start.startswith("-"):
        odd.note("the clip starts before its video and cannot be cut", name)
    labels = _labels(record)
    spelt = re.sub(r"-(scene[0-9]+)$", r"_\1", name)
    aliases = [spelt] if spelt != name else []
    aliases.append(f"{video}_{float(start):.3f}_{float(end):.3f}")
    late = drift.late(name, Decimal(start), Decimal(end))
    if late and options["times"] == "corrected":
        labels["published_times"] = [start, end]
        start, end = (format(Decimal(time) - late, "f") for time in (start, end))
    return {
        "clip": record.safe(name),
        "dataset": dataset,
        "subset": Path(options["only"]).stem if options["only"] else "",
        "video": video,
        "url": url,
        "start": start,
        "end": end,
        **dict.fromkeys(("x0", "y0", "x1", "y1", "box_unit", "ref_width", "ref_height", "crop_scale"), ""),
        "identity": _text(record, "Person ID"),
        "split": "test" if "bench" in options["file"].lower() else "",
        "language": _text(record, "Language"),
        "aliases": ";".join(record.safe(alias) for alias in aliases),
        "labels": json.dumps(labels),
    }


def _text(record: Record, key: str) -> str:
    """A member of `info`, empty where the dataset does not tell."""
    value = record.find("info", key)
    return str(value).strip() if isinstance(value, (str, int)) else ""


def _labels(record: Record) -> dict[str, Any]:
    scores = {key: record.find(key) for key in ("dover_scores", "cotracker_ratio")}
    detail = record.find("head_detail", "scores")
    if isinstance(detail, dict):
        scores |= {f"head_{key}": value for key, value in detail.items()}
    labels: dict[str, Any] = {"scores": {}}
    for key, value in scores.items():
        number = annotations.number(value)
        if number is not None:
            labels["scores"][key] = number
        elif value is not None and value == value:  # NaN is none
            raise record.fault(f"the score {key!r} is {value!r}, not a number")
    labels |= {key: value for key, value in record.value.items() if key not in TOLD}
    labels |= {key: value for key, value in record.value["info"].items() if key not in TOLD_INFO}
    passed = record.find("head_detail", "passed")
    return labels if passed is None else labels | {"head_detail_passed": passed}


class _Drift:
    """How late the published times of a scene's parts are, and what neighbouring parts say of it."""

    def __init__(self):
        self._starts: dict[tuple[str, int], Decimal] = {}
        self._added, self._followed = 0, 0

    def late(self, name: str, start: Decimal, end: Decimal) -> Decimal:
        """Seconds that a part is listed too late if starts add up; 0 for the first two and ids of another kind."""
        match = PART.fullmatch(name)
        if not match or end <= start:
            return Decimal(0)
        scene, part, length = match[1], int(match[2]), end - start
        self._starts[scene, part] = start
        for later in (part, part + 1):
            pair = self._starts.get((scene, later - 1)), self._starts.get((scene, later))
            if later >= 3 and None not in pair:
                self._compare(later, (pair[1] - pair[0]) / length)
        return length * ((part - 1) * (part - 2) // 2)

    def _compare(self, part: int, apart: Decimal) -> None:
        """What the distance of a part's start from that of the part before tells, in lengths of a part.

        The last part of a scene may lap over the one before, so it comes up to a length earlier than the others would.
        """
        if 0 < apart <= LONGER:
            self._followed += 1
        elif part - 2 < apart <= (part - 1) * LONGER:
            self._added += 1

    def say(self, dataset: str, times: str) -> None:
        """Say what was found.

        Raises:
            ToolFault: the times were corrected, and most neighbours say that they were right.
        """
        if not self._added and not self._followed:
            return
        found = f"the starts of {self._added} pairs of neighbouring parts add up, those of {self._followed} follow"
        if times == "corrected" and self._followed > self._added:
            raise ToolFault(f"{dataset}: {found}: this file has not the fault; use options: times: published")
        if times == "published" and self._added > self._followed:
            found += ": third and later parts of a scene are listed too late (options: times: corrected takes it back)"
        progress.say(f"{dataset}: {found}")
