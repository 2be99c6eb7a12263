"""VoxCeleb2 (Chung et al., Interspeech 2018): one text for each utterance, and a table of the people.

    id09999/-aB3dE5gH7i/00007.txt in vox2_dev_txt.zip, vox2_test_txt.zip   (fields parted by tabs and blanks)

    Identity  :     id09999
    Reference :     -aB3dE5gH7i
    Offset    :     -2                     frames that sound and picture are apart (SyncNet)
    FV Conf   :     16.303  (1)            confidence of the face's verification
    ASD Conf  :     6.201                  confidence that it is the one that speaks

    FRAME   X   Y   W   H
    000349  0.319   0.067   0.424   0.753
    000350  0.319   0.067   0.424   0.753

    vox2_meta.csv
    VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set
    id09999 ,n009999 ,f ,test

What the format is known from: excerpts of published texts in public repositories (one is the docstring of a reader that
takes the frames as 25 a second), readers of vox2_meta.csv, and joonson/yousaidthat issue 2 for the three figures;
joonson/syncnet_trainer issue 11 for where the texts are. A byte-order mark, CRLF and empty lines are allowed; a line
that does not fit is a `ToolFault` with file, line number and text. Rules where the texts leave a choice:

- Frames count at 25 a second of the source, whatever its own rate: `start` is the first frame / 25, `end` the one after
  the last / 25.
- X, Y is the left upper corner, W, H the size of the face's box, as fractions of the frame (they are square in pixels).
  The window is what all boxes of the utterance cover; boxes without area do not count and are said, and a window that
  leaves the frame is kept and said. Boxes in whole pixels are those of VoxCeleb1 and a fault.
- A text without any frame has no times: it is said, and gives no row.
- A clip is called `<identity>_<video>_<number>`, the parts have fixed lengths; its alias is the path with `/`.
- The person's set (dev or test) in vox2_meta.csv is the clip's split and must agree with the archive's name.

1.13 million utterances are more than anyone fetches, so `count` takes a part, before the texts are read: the source
videos in the order of the SHA-256 of `<seed> <identity>/<video>`, of each at most `per_video` utterances in order of
their numbers, until `count` are there. A larger `count` keeps all that a smaller one took.

`source: local` takes the authors' archives of cropped 224 x 224 files (vox2_dev_mp4, vox2_test_mp4), unpacked below
`raw`, with their sound in them: each is a whole clip, found by the last three parts of its path; no texts are needed.
Then `start`, `end` and the window are empty and `url` is the path below `raw`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from talkset import annotations, listing, progress, texts
from talkset.annotations import Oddities, Record
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec
from talkset.texts import Text, Texts, exact

META = "vox2_meta.csv"
SETS = ("dev", "test")
RATE = 25  # frames a second that the texts count

UTTERANCE = re.compile(r"(?:.*/)?(id[0-9]{5})/([A-Za-z0-9_-]{11})/([0-9]{5})\.(?:txt|mp4)")
# What the lines before the frames begin with, and the labels that they give.
HEADS = {"Identity": "", "Reference": "", "Offset": "offset", "FV Conf": "fv_conf", "ASD Conf": "asd_conf"}
FRAME = re.compile(r"[0-9]{1,9}")
FRACTION = re.compile(r"-?[0-9]{1,3}(?:\.[0-9]{1,12})?")
PIXELS = Decimal("1.5")  # no fraction of a frame is so much: boxes leave it by a little at most


# A file or folder among the annotations.
TEXTS = {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$"}

SPEC = DatasetSpec(
    name="voxceleb2",
    version=1,
    title="VoxCeleb2",
    licence="CC BY 4.0 for the annotations; the videos remain their owners'",
    access="texts and vox2_meta.csv from the authors' page after its form, videos from YouTube",
    homepage="https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox2.html",
    files=(META, "vox2_dev_txt.zip", "vox2_test_txt.zip"),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "source": {
                "enum": ["youtube", "local"],
                "default": "youtube",
                "description": "Youtube: the videos that the texts name; local: the authors' mp4 archives, unpacked "
                "below the folder `raw`, cropped already (needs require_window: false).",
            },
            "sets": {
                "type": "array",
                "items": {"enum": list(SETS)},
                "minItems": 1,
                "uniqueItems": True,
                "default": list(SETS),
                "description": "The dataset's own parts to use.",
            },
            "dev_texts": TEXTS
            | {
                "default": "vox2_dev_txt.zip",
                "description": "Name of the archive with the texts of dev, or of the folder that you unpacked it to.",
            },
            "test_texts": TEXTS
            | {
                "default": "vox2_test_txt.zip",
                "description": "Name of the archive with the texts of test, or of the folder that you unpacked it to.",
            },
            "count": {
                "type": ["integer", "null"],
                "minimum": 1,
                "default": 10000,
                "description": "Utterances to take, whole videos in a seeded order; null: all.",
            },
            "per_video": {
                "type": ["integer", "null"],
                "minimum": 1,
                "default": None,
                "description": "Most utterances of one video: 1 gives the most people, and a download for each "
                "utterance; null: all (7 on average, so 10,000 utterances take about 1,400 downloads).",
            },
            "seed": {"type": "integer", "default": 0, "description": "Another seed takes other videos."},
            "require_window": {
                "type": "boolean",
                "default": True,
                "description": "End clips without a usable box as no-window; false: cut them too.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    if options["source"] == "local":
        return META, listing.NAME
    return META, *(options[f"{part}_texts"] for part in options["sets"])


def import_names(row: dict) -> list[str]:
    """The video's YouTube id; none for local files, which lie where `url` says."""
    return [row["video"]] if "://" in row["url"] else []


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows in the order in which `count` takes them.

    Args:
        files: the annotation files by name, at least `annotation_files(options)`.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a line is malformed or contradicts another file.
    """
    odd = Oddities(dataset)
    people = _people(files[META])
    if options["source"] == "local":
        if options["require_window"]:
            raise ToolFault(
                f"{dataset}: these files are cropped already and have no window: set options: require_window: false"
            )
        yield from _from_files(files[listing.NAME], people, options, odd, dataset)
    else:
        yield from _from_texts(files, people, options, odd, dataset)
    odd.say()


def _from_texts(files: dict[str, Path], people: dict, options: dict, odd: Oddities, dataset: str) -> Iterator[dict]:
    with ExitStack() as stack:
        open_texts = {part: stack.enter_context(Texts(files[options[f"{part}_texts"]])) for part in options["sets"]}
        found: dict[tuple[str, str, str], tuple[str, Text]] = {}
        for part, archive in open_texts.items():
            for text in archive.listed:
                if not (match := UTTERANCE.fullmatch(text.name)):
                    odd.note("the text is not called like id00012/<video>/00001.txt, left out", text.name)
                elif match.groups() in found:
                    raise ToolFault(f"{archive.where(text)}: utterance {'/'.join(match.groups())} is there twice")
                else:
                    found[match.groups()] = part, text
            if not any(listed == part for listed, _ in found.values()):
                raise ToolFault(f"{archive.path} holds no text that is called like id00012/<video>/00001.txt")
        for number, key in enumerate(_taken(found, options, dataset)):
            part, text = found[key]
            archive = open_texts[part]
            person = _person(people, key[0], part, archive.where(text))
            lines = archive.lines(text)
            if not number:
                progress.say(
                    f"{dataset}: first text, {text.name}: " + "; ".join(line.text.strip() for line in lines[:7])
                )
            facts = _facts(lines, key, archive.where(text), odd)
            if facts:
                yield _row(key, dataset, person) | facts | {"labels": _labels(person, facts["labels"])}


def _from_files(media: Path, people: dict, options: dict, odd: Oddities, dataset: str) -> Iterator[dict]:
    found: dict[tuple[str, str, str], str] = {}
    for entry in listing.read(media):
        match = UTTERANCE.fullmatch(entry.path)
        if entry.kind != "file" or entry.ending != "mp4" or not match:
            odd.note("not an utterance's file (id00012/<video>/00001.mp4), left out", entry.path)
        elif match.groups() in found:
            raise ToolFault(
                f"{dataset}: {entry.path!r} and {found[match.groups()]!r} are one utterance: keep one of them"
            )
        elif _person(people, match[1], None, entry.path)["Set"] in options["sets"]:
            found[match.groups()] = entry.path
        else:
            odd.note("of a set that is not asked for, left out", entry.path)
    if not found:
        raise ToolFault(
            f"{dataset}: no file below raw is called like id00012/<video>/00001.mp4; {SPEC.access}: {SPEC.homepage}"
        )
    for key in _taken(found, options, dataset):
        row = _row(key, dataset, people[key[0]])
        yield row | {"video": row["clip"], "url": found[key], "labels": _labels(people[key[0]], {})}


def _taken(found: Iterable[tuple[str, str, str]], options: dict, dataset: str) -> list[tuple[str, str, str]]:
    """The utterances that `count`, `per_video` and `seed` take (see the module's text)."""
    by_video: dict[tuple[str, str], list[tuple[str, str, str]]] = {}
    for key in found:
        by_video.setdefault(key[:2], []).append(key)

    def rank(video: tuple[str, str]) -> bytes:
        return hashlib.sha256(f"{options['seed']} {'/'.join(video)}".encode()).digest()

    taken: list[tuple[str, str, str]] = []
    for video in sorted(by_video, key=rank):
        if options["count"] is not None and len(taken) >= options["count"]:
            break
        taken += sorted(by_video[video])[: options["per_video"]]
    taken = taken[: options["count"]]
    progress.say(
        f"{dataset}: {len(taken)} of {sum(map(len, by_video.values()))} utterances taken (options: count, seed)"
    )
    return taken


def _people(path: Path) -> dict[str, dict[str, str]]:
    """The rows of vox2_meta.csv by identity; blanks or a tab may stand before each comma, or a tab in its place."""
    people: dict[str, dict[str, str]] = {}
    header: list[str] = []
    for line in texts.lines(path.read_bytes(), path):
        cells = [cell.strip() for cell in re.split(",|\t", re.sub(r"[ \t]+,", ",", line.text.strip()))]
        if not header:
            header = cells
            if not {"VoxCeleb2 ID", "Gender", "Set"} <= set(header):
                raise line.fault("expected a header with VoxCeleb2 ID, Gender and Set")
            continue
        row = dict(zip(header, cells, strict=False))
        if len(cells) != len(header) or not re.fullmatch(r"id[0-9]{5}", row["VoxCeleb2 ID"]) or row["Set"] not in SETS:
            raise line.fault(f"expected {', '.join(header)}, with an id like id00012 and the set dev or test")
        if people.setdefault(row["VoxCeleb2 ID"], row) != row:
            raise line.fault("an earlier line says something else of this id")
    return people


def _person(people: dict, identity: str, part: str | None, where: Path | str) -> dict[str, str]:
    if identity not in people:
        raise ToolFault(f"{where}: {META} has no line for {identity}")
    if part not in (None, people[identity]["Set"]):
        raise ToolFault(f"{where}: {META} has {identity} in the set {people[identity]['Set']}, not in {part}")
    return people[identity]


def _row(key: tuple[str, str, str], dataset: str, person: dict[str, str]) -> dict:
    return {
        "clip": "_".join(key),
        "dataset": dataset,
        "identity": key[0],
        "split": person["Set"],
        "aliases": "/".join(key),
    }


def _labels(person: dict[str, str], more: dict) -> str:
    return json.dumps({"gender": person["Gender"], **more})


def _figure(value: str) -> float | str:
    """The number that a value begins with, else the value."""
    first = value.split()[0] if value else ""
    if not re.fullmatch(r"-?[0-9]{1,9}(?:\.[0-9]{1,9})?", first):
        return value
    return float(first) if "." in first else int(first)


def _facts(lines: list[Record], key: tuple[str, str, str], where: Path, odd: Oddities) -> dict | None:
    """Columns that a text gives (`labels` not as JSON yet), or `None` without any frame."""
    heads: dict[str, tuple[str, Record]] = {}
    frames: list[int] = []
    boxes: list[tuple[Decimal, ...]] = []
    name = "/".join(key)
    for line in lines:
        if FRAME.fullmatch(line.value[0]):
            if len(line.value) != 5 or not all(FRACTION.fullmatch(field) for field in line.value[1:]):
                raise line.fault("expected a frame's number, then x, y, width, height as fractions of the frame")
            x, y, width, height = map(Decimal, line.value[1:])
            if max(map(abs, (x, y, width, height))) > PIXELS:
                raise line.fault("expected fractions of the frame; whole pixels are boxes of VoxCeleb1")
            frames.append(int(line.value[0]))
            if width > 0 and height > 0:
                boxes.append((x, y, x + width, y + height))
            else:
                odd.note("the utterance has a box without area, which does not count", name)
            continue
        if line.value[0] == "FRAME":
            continue
        head, mark, value = (part.strip() for part in line.text.partition(":"))
        if head not in HEADS or not mark:
            raise line.fault(f"expected one of {', '.join(HEADS)} with a colon, FRAME, or the row of a frame")
        if head in heads:
            raise line.fault(f"{head} is already in line {heads[head][1].line}")
        heads[head] = value, line
    for head, expected in (("Identity", key[0]), ("Reference", key[1])):
        if head not in heads:
            raise ToolFault(f"{where}: no line begins with {head}; is the file whole?")
        if heads[head][0] != expected:
            raise heads[head][1].fault(f"the file's path says {expected!r}")
    if not frames:
        odd.note("the text has no frames, so there is no clip", name)
        return None
    window: tuple[str, ...] = ("", "", "", "")
    if boxes:
        edges = [pick(side) for pick, side in zip((min, min, max, max), zip(*boxes, strict=True), strict=True)]
        if min(edges) < 0 or max(edges) > 1:
            odd.note("the window leaves the frame; kept as listed", name)
        window = tuple(exact(Fraction(edge)) for edge in edges)
    else:
        odd.note("the text has no box with an area, so the clip has no window", name)
    said = {HEADS[head]: _figure(value) for head, (value, _) in heads.items() if HEADS[head]}
    return {
        "video": key[1],
        "url": annotations.watch_page(key[1]),
        "start": exact(Fraction(min(frames), RATE)),
        "end": exact(Fraction(max(frames) + 1, RATE)),
        **dict(zip(("x0", "y0", "x1", "y1"), window, strict=True)),
        "box_unit": "fraction" if boxes else "",
        "labels": said | {"frames": [min(frames), max(frames)], "rows": len(frames)},
    }
