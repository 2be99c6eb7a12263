"""WebVid-10M (Bain et al., ICCV 2021): a CSV of stock videos with captions and direct addresses.

    videoid,contentUrl,duration,page_dir,name
    1099999991,https://.../1099999991/preview/stock-footage-x.mp4,PT00H00M12S,006001_006050,"Woman talks, close up"

Columns come in any order, and some files have more (`page_idx`); source: README.md of github.com/m-bain/webvid at
459d655, and the example in video2dataset's tests. Its authors withdrew the addresses on 23 February 2024 at the request
of the site they are from; talkset has no list and asks for none. Who holds a CSV under its terms gives its folder; most
addresses no longer work, and Panda-70M is the set to use instead.

- A clip is the whole video: from 0 to `duration`, which is rounded to whole seconds and may pass the end a little.
- Of the captions (`name`) a subset is taken, people first, by the rule of `talkset/datasets/_people.py`; rows come out
  in the order of that choice, as for Panda-70M.
- A video listed twice (crawled again with another caption) counts once: the first row that fits.
- `split` is train or val, by the file's name; `subset` is its middle, as in results_10M_train.csv.
- The videos carry a watermark and, as a rule, no sound: clips keep their visual modalities and say so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from talkset import annotations, progress
from talkset.annotations import Oddities, Record
from talkset.datasets import _people
from talkset.registry import DatasetSpec

FILE = "results_10M_train.csv"
COLUMNS = ("videoid", "contentUrl", "duration", "name")
DURATION = re.compile(r"PT(?:([0-9]{1,3})H)?(?:([0-9]{1,4})M)?(?:([0-9]{1,6})S)?")
UNKNOWN = ("", "null", "nan", "None")  # how tools write an empty cell
NAMED = re.compile(r"results_([A-Za-z0-9]+)_(train|val)\.csv")

SPEC = DatasetSpec(
    name="webvid",
    version=1,
    title="WebVid-10M",
    licence="non-commercial research, 12 months (TERMS.md)",
    access="withdrawn by its authors on 23 February 2024: only with a CSV that you hold; use Panda-70M instead",
    homepage="https://github.com/m-bain/webvid",
    files=(FILE,),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "file": {
                "type": "string",
                "pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.+=-]*$",
                "default": FILE,
                "description": "The CSV to use.",
            },
            **_people.OPTIONS,
            "require_window": {
                "type": "boolean",
                "default": False,
                "description": "End clips without a window as no-window; WebVid has none.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return (options["file"],)


def import_names(row: dict) -> list[str]:
    """`{videoid}`: what the authors' script calls the video."""
    return [row["video"]]


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows of the chosen videos, in the order of the choice.

    Args:
        files: the annotation files by name, `annotation_files(options)`.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a row is malformed.
    """
    path = files[options["file"]]
    progress.say(
        f"{dataset}: the addresses of WebVid were withdrawn on 23 February 2024 and most no longer work; "
        "Panda-70M is the set to use instead"
    )
    progress.say(f"{dataset}: reading {path} ({path.stat().st_size / 1e6:.0f} MB)")
    rule, choice, odd = _people.Rule(options), _people.Choice(options["count"], options["seed"]), Oddities(dataset)
    taken: set[str] = set()
    number = 0
    for record in annotations.csv_rows(path, COLUMNS):
        number = record.number
        if number == 1:
            annotations.show(dataset, record)
        name = record.words("videoid")
        tier = rule.tier(record.value["name"])
        if tier is None or not choice.open_to(choice.key(tier, name, 0)):
            continue
        if name in taken:
            odd.note("the video has an earlier row, which counts", name)
            continue
        taken.add(name)
        choice.add(choice.key(tier, name, 0), _row(record, name, tier, options, dataset, odd))
    odd.say()
    rows = choice.clips()
    progress.say(f"{dataset}: {len(rows)} of {number} videos chosen")
    yield from rows


def _row(record: Record, name: str, tier: int, options: dict, dataset: str, odd: Oddities) -> dict:
    url = record.words("contentUrl")
    if not url.startswith(("https://", "http://")):
        raise record.fault("expected an address that begins with https:// or http:// under contentUrl")
    end = _end(record)
    if not end:
        odd.note("the length is unknown, so the clip goes to the end of its video", name)
    file = NAMED.fullmatch(options["file"])
    labels = {key: value for key, value in record.value.items() if key not in ("videoid", "contentUrl", "name")}
    return {
        "clip": record.safe(name),
        "dataset": dataset,
        "subset": file[1] if file else "",
        "video": record.safe(name),
        "url": url,
        "start": "0",
        "end": end,
        **dict.fromkeys(("x0", "y0", "x1", "y1", "box_unit", "ref_width", "ref_height", "crop_scale"), ""),
        "identity": "",
        "split": file[2] if file else "",
        "language": "",
        "aliases": "",
        "labels": json.dumps({"caption": record.value["name"], "talking": tier == 0} | labels),
    }


def _end(record: Record) -> str:
    """Length in seconds; empty where it is not told."""
    text = record.value["duration"].strip()
    if text in UNKNOWN:
        return ""
    match = DURATION.fullmatch(text)
    if not match or not any(match.groups()):
        raise record.fault(f"the duration is {text!r}, not one like PT00H00M12S")
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return str(hours * 3600 + minutes * 60 + seconds or "")
