"""Any videos that are at hand: the general way in for files without a published list.

`raw` is the folder, of any depth; it is only read. Without a table each video in it is one clip from beginning to end.
With `table`, a CSV file among the annotations (UTF-8, commas, a header), each line is a clip:

    url,start,end,identity,split
    talks/Müller 1.mov,12.5,20,Müller,train
    talks/Müller 1.mov,31,44.2,Müller,train

The columns are those of the clip table, in any order; only `url` is needed, the file's path below `raw`:

    clip                 the id; else made from the path, and from the times where there are any
    video                the source's id; else made from the path
    start, end           seconds; empty = from its beginning, to its end
    x0 y0 x1 y1          a window, with box_unit (pixel or fraction) and, for pixels, ref_width and ref_height
    crop_scale, subset, identity, split, language, aliases (parted by ;), labels (a JSON object)

Ids from paths leave out the file's ending and are safe file names whatever the path holds (`listing.media_id`):
`talks/Müller 1.mov` is `talks+M=C3=BCller=201`. The same path gives the same id, whatever else is in the folder; two
files that differ in nothing but their ending need another name, a table, or `endings`. Rules for odd input:

- A byte-order mark, CRLF and empty lines are allowed. A line that does not fit, an unknown column, an id that two lines
  have and a path that leaves the folder are a `ToolFault` with file, line number and text. A line that is repeated word
  for word counts once and is said.
- Paths with `\\` or a `./` before them, and names whose accents are written another way (as on macOS), find their file.
- A path without a file keeps its row, which ends as gone. Times that are negative, or the wrong way round, keep theirs
  too; cutting fails those clips.
- What is in the folder but gives no clip is said, by kind.

What other datasets' downloads need:

LRS2     raw: mvlrs_v1/main (files of 5 digits below one folder a programme, which is no identity); a table with `split`
         from the published train.txt, val.txt, test.txt: url is each line up to the blank, with .mp4. Access: form of
         the BBC, https://www.robots.ox.ac.uk/~vgg/data/lip_reading/lrs2.html
GRID     raw: the folder that holds s1 ... s34 with the .mpg files (s21 has none); identity_folder: 0. CC BY 4.0,
         https://zenodo.org/records/3625687
CMLR     raw: the folder video, with s1 ... s11; identity_folder: 0. Research only, https://www.vipazoo.cn/CMLR.html
AVSpeech raw: what a downloader wrote as <id>_<start>_<end>.mp4, each file a clip; or whole videos <id>.mp4 with a table
         whose url, start and end come from avspeech_train.csv (id, start, end, x, y, without a header; x and y are a
         point of the face and no window). CC BY 4.0, https://looking-to-listen.github.io/avspeech/
"""

from __future__ import annotations

import json
import posixpath
import re
import unicodedata
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from talkset import annotations, listing, names, tables
from talkset.annotations import Oddities, Record
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec
from talkset.texts import UNSEEN

WINDOW = ("x0", "y0", "x1", "y1")
SIZES = ("ref_width", "ref_height", "crop_scale")
NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,20}|/[1-9][0-9]{0,11})?")

SPEC = DatasetSpec(
    name="folder",
    version=1,
    title="Folder of videos",
    licence="that of the videos",
    access="a folder of your own, given as raw",
    homepage="see the text of scripts/talkset/datasets/folder.py",
    files=(listing.NAME,),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "table": {
                "type": ["string", "null"],
                "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
                "default": None,
                "description": "Name of a CSV file in the folder `annotations`, with a line for each clip; null: each "
                "video is one clip.",
            },
            "endings": {
                "type": "array",
                "items": {"type": "string", "pattern": "^[a-z0-9]{1,10}$"},
                "minItems": 1,
                "uniqueItems": True,
                "default": list(listing.VIDEOS),
                "description": "Endings of the files that are videos, in lower case; a table may name others.",
            },
            "identity_folder": {
                "type": ["integer", "null"],
                "default": None,
                "description": "Which folder of a path below raw names the person, where the table does not: 0 = the "
                "first, -1 = the one that holds the file; null: none.",
            },
            "require_window": {
                "type": "boolean",
                "default": False,
                "description": "End clips without a window as no-window instead of cutting them.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return (*SPEC.files, options["table"]) if options["table"] else SPEC.files


def import_names(row: dict) -> list[str]:
    """None: the files lie where `url` says."""
    return []


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows: in the table's order, or else in the order of the paths.

    Args:
        files: the listing of the media folder and the table, by name.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a line of the table is malformed, or two files give one id.
    """
    odd = Oddities(dataset)
    videos: dict[str, listing.Media] = {}
    others: list[str] = []
    for entry in listing.read(files[listing.NAME]):
        if entry.ending in options["endings"]:
            videos[entry.path] = entry
        elif entry.kind == "file":
            others.append(entry.path)
        else:
            odd.note("a folder of pictures or nothing, left out", entry.path)
    if options["table"]:
        rows = _from_table(files[options["table"]], [*videos, *others], videos, odd)
    else:
        rows = _from_files(videos, others, odd, dataset)
    for row in rows:
        path = row["url"]
        if path in videos and not videos[path].bytes:
            odd.note("the file is empty, so its clip will fail", path)
        identity = row.get("identity") or _identity(path, options["identity_folder"], odd)
        yield row | {"dataset": dataset, "identity": identity}
    odd.say()


def _from_files(videos: dict[str, listing.Media], others: list[str], odd: Oddities, dataset: str) -> Iterator[dict]:
    path_of: dict[str, str] = {}
    for path in others:
        odd.note(f"no video (.{listing.ending(path)}), left out", path)
    for path in videos:
        clip = listing.media_id(path)
        if path_of.setdefault(clip, path) != path:
            raise ToolFault(
                f"{dataset}: {path_of[clip]!r} and {path!r} differ in their ending alone and would be one clip: rename "
                "one, take one ending (options: endings), or name the clips in a table (options: table)"
            )
        yield {"clip": clip, "video": clip, "url": path}


def _from_table(
    table: Path, there: list[str], videos: dict[str, listing.Media], odd: Oddities
) -> Iterator[dict[str, str]]:
    """Rows of the table, one for each clip; files that it does not name are noted."""
    known = {_form(path): path for path in there} | {path: path for path in there}
    first_of: dict[str, tuple[Record, dict]] = {}
    path_of: dict[str, str] = {}
    for record in annotations.csv_rows(table, ("url",)):
        row = _row(record, known)
        if path_of.setdefault(row["video"], row["url"]) != row["url"]:
            raise record.fault(
                f"the video id {row['video']!r} is already that of {path_of[row['video']]!r}; name it in a column video"
            )
        first, before = first_of.setdefault(row["clip"], (record, row))
        if first is not record:
            if before != row:
                raise record.fault(f"the clip id {row['clip']!r} is already that of line {first.line}")
            odd.note("the line is there twice and counts once", record.text.strip())
            continue
        if row["url"] not in known:
            odd.note("the file is not in the media folder, so its clip ends as gone", row["url"])
        yield row
    used = set(path_of.values())
    for path in videos:
        if path not in used:
            odd.note("a video that the table does not name, left out", path)


def _row(record: Record, known: dict[str, str]) -> dict[str, str]:
    """A line of the table as a row, checked; `known` has the listed paths by any form of them."""
    cells = {column: value.strip() for column, value in record.value.items()}
    if unknown := [column for column in cells if column not in tables.CLIP_COLUMNS]:
        raise record.fault(f"unknown column {unknown[0]!r}; known: {', '.join(tables.CLIP_COLUMNS)}")
    for column, value in cells.items():
        if UNSEEN.search(value) or "\t" in value:
            raise record.fault(f"{column} holds control characters")
    row = {column: value for column, value in cells.items() if value and column != "dataset"}
    row["url"] = _path(record, cells["url"], known)
    for column in ("start", "end", *WINDOW, *SIZES):
        if column in row and not NUMBER.fullmatch(row[column]):
            raise record.fault(f"{column} is {row[column]!r}; expected a number such as 12.5")
    for column in SIZES:
        if column in row and Fraction(row[column]) <= 0:
            raise record.fault(f"{column} is {row[column]!r}; expected a number above 0")
    window = [column for column in WINDOW if column in row]
    if window and (len(window) < 4 or row.get("box_unit") not in ("pixel", "fraction")):
        raise record.fault("a window needs x0, y0, x1, y1, and pixel or fraction as box_unit")
    if not window:
        row.pop("box_unit", None)
    labels = _labels(record, row.get("labels", "{}"))
    for column in ("clip", "video"):
        if column in row and (safe := record.safe(row[column])) != row[column]:
            labels.setdefault(column, row[column])
            row[column] = safe
    if labels:
        row["labels"] = json.dumps(labels, ensure_ascii=False)
    row.setdefault("video", listing.media_id(row["url"]))
    if "clip" not in row:
        span = f"+{row.get('start', '0')}-{row.get('end', 'end')}" if {"start", "end"} & set(row) else ""
        row["clip"] = row["video"] + span.replace(".", "=2E").replace("/", "=2F")
        if not re.fullmatch(names.SAFE, row["clip"]):
            raise record.fault("the id would be longer than 200 characters; give one in a column clip")
    return row


def _path(record: Record, url: str, known: dict[str, str]) -> str:
    """The listed path that a line means, or, where there is none, the path that it says."""
    if not url or "://" in url:
        raise record.fault("expected a path below raw as url (for videos of a site, use that dataset's adapter)")
    for text in (url, url.replace("\\", "/")):
        path = posixpath.normpath(text)
        if path.startswith(("/", "../")) or path in (".", ".."):
            raise record.fault("expected a path below raw as url, without a / at its beginning and without ..")
        if found := known.get(path) or known.get(_form(path)):
            return found
    return path


def _labels(record: Record, text: str) -> dict:
    try:
        labels = json.loads(text)
    except ValueError:
        labels = None
    if not isinstance(labels, dict):
        raise record.fault("expected a JSON object as labels")
    return labels


def _identity(path: str, position: int | None, odd: Oddities) -> str:
    if position is None:
        return ""
    folders = path.split("/")[:-1]
    if not -len(folders) <= position < len(folders):
        odd.note("no such folder in the path, so the person is not known (options: identity_folder)", path)
        return ""
    return folders[position]


def _form(path: str) -> str:
    """One way of writing accents for all."""
    return unicodedata.normalize("NFC", path)
