"""MEAD (Wang et al., ECCV 2020): acted speech, known by the folders that its files lie in below `raw`.

    M003/video/front/angry/level_2/017.mp4        actor, view, emotion, level, sentence
    W015/video/1/left_30/neutral/level_1/040.mp4  some actors have `1` or `2` for `video`, or a folder more
    M003/audio/angry/level_2/017.m4a              the sound alone; the videos have it too

What the layout is known from: uniBruce/Mead README and issues 9 and 12; radekd91/inferno
`inferno/datasets/MEADDataModule.py`, which looks for the emotion one folder further down where a view or a number
stands in its place, and takes the sound from the videos because not all have an .m4a. So each part of a path is told by
its value, wherever it stands; upper and lower case are the same, and an actor's folder may go on behind the id
(`M003_video`, as archives unpack). Rules:

- A clip is called `<actor>_<view>_<emotion>_<level>_<sentence>` and is a whole file. If two files give one name, the
  first path counts and the other is said. Files that lack a part are said, and give no row.
- `identity` is the actor. 48 of the 60 are released; W017 lacks all views but `down`, M011 and M019 some folders (issue
  9). Actors that are not there at all are said.
- MEAD is for evaluation: `split` is `test` in every row. The authors' own division of the sentences (README) is the
  label `sentence_split`: `test` are the last 10 of 40 neutral ones and the last 6 of 30 of the others, at each level.
- The same number is not the same sentence for all: M003 lacks one (issue 12).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from talkset import listing, progress
from talkset.annotations import Oddities
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec

VIEWS = ("front", "down", "top", "left_30", "left_60", "right_30", "right_60")
EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
LEVELS = (1, 2, 3)
# radekd91/inferno inferno_apps/TalkingHead/evaluation/TalkingHeadWrapper.py
ACTORS = {
    "M": "003 005 007 009 011 012 013 019 022 023 024 025 026 027 028 029 030 031 032 033 034 035 037 039 040 041 042",
    "W": "009 011 014 015 016 017 018 019 021 023 024 025 026 028 029 033 035 036 037 038 040",
}
RELEASED = tuple(sex + number for sex, numbers in ACTORS.items() for number in numbers.split())
TRAINING = {"neutral": 30}  # sentences up to this one; of the other emotions those up to 24
TRAINING_ELSE = 24

ACTOR = re.compile(r"([MW][0-9]{3})(?![0-9A-Za-z]).*", re.IGNORECASE)
LEVEL = re.compile(r"level_?([1-3])", re.IGNORECASE)
SENTENCE = re.compile(r"([0-9]{1,4})\.mp4", re.IGNORECASE)

SPEC = DatasetSpec(
    name="mead",
    version=1,
    title="MEAD",
    licence="the authors' Terms of Use: non-commercial research",
    access="read and sign the Terms of Use on the project page, then fetch the actors' archives from the Google Drive "
    "or Baidu folder named there, and unpack them into the folder given as raw",
    homepage="https://wywu.github.io/projects/MEAD/MEAD.html",
    files=(listing.NAME,),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "views": {
                "type": "array",
                "items": {"enum": list(VIEWS)},
                "minItems": 1,
                "uniqueItems": True,
                "default": ["front"],
                "description": "Camera angles to use.",
            },
            "emotions": {
                "type": "array",
                "items": {"enum": list(EMOTIONS)},
                "minItems": 1,
                "uniqueItems": True,
                "default": list(EMOTIONS),
                "description": "Emotions to use.",
            },
            "levels": {
                "type": "array",
                "items": {"enum": list(LEVELS)},
                "minItems": 1,
                "uniqueItems": True,
                "default": list(LEVELS),
                "description": "Levels of intensity to use (neutral has level 1 alone).",
            },
            "actors": {
                "type": ["array", "null"],
                "items": {"type": "string", "pattern": "^[MW][0-9]{3}$"},
                "minItems": 1,
                "uniqueItems": True,
                "default": None,
                "description": "Actors to use, e.g. [M003, M030, W009, W015], the four that many papers test on; "
                "null: all that are there.",
            },
            "sentences": {
                "enum": ["all", "test"],
                "default": "all",
                "description": "Test: only the sentences that the authors test on.",
            },
            "require_window": {
                "type": "boolean",
                "default": False,
                "description": "End clips without an annotated window as no-window; MEAD has none, so true ends all.",
            },
        },
    },
)


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return SPEC.files


def import_names(row: dict) -> list[str]:
    """None: the files lie where `url` says."""
    return []


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows, clips in order of their names.

    Args:
        files: the listing of the media folder, by its name.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: there is no file of the dataset.
    """
    odd = Oddities(dataset)
    found: dict[tuple[str, str, str, int, int], str] = {}
    for entry in listing.read(files[listing.NAME]):
        if entry.kind == "images" or entry.ending != "mp4":
            odd.note(f"no .mp4 file{f' but .{entry.ending}' if entry.ending else ''}, left out", entry.path)
        elif (parts := _parts(entry.path, odd)) and parts in found:
            odd.note("a second file for a clip, left out", f"{entry.path} (first: {found[parts]})")
        elif parts:
            found[parts] = entry.path
    if not found:
        raise ToolFault(
            f"{dataset}: no file below raw lies in folders like M003/video/front/angry/level_2/017.mp4. "
            f"To get {SPEC.title}: {SPEC.access} ({SPEC.homepage})"
        )
    there = {actor for actor, *_ in found}
    if missing := sorted(set(options["actors"] or RELEASED) - there):
        progress.say(f"{dataset}: {len(missing)} actors are not there: {' '.join(missing)}")
    if unknown := sorted(there - set(RELEASED)):
        progress.say(f"{dataset}: not among the 48 released actors, kept: {' '.join(unknown)}")
    for parts, path in sorted(found.items()):
        actor, view, emotion, level, sentence = parts
        part = "train" if sentence <= TRAINING.get(emotion, TRAINING_ELSE) else "test"
        wanted = {
            "view": view in options["views"],
            "emotion": emotion in options["emotions"],
            "level": level in options["levels"],
            "actor": options["actors"] is None or actor in options["actors"],
            "sentence": options["sentences"] in ("all", part),
        }
        if not all(wanted.values()):
            odd.note(f"its {next(name for name in wanted if not wanted[name])} is not asked for, left out", path)
            continue
        clip = f"{actor}_{view}_{emotion}_level_{level}_{sentence:03d}"
        labels = {"view": view, "emotion": emotion, "level": level, "sentence": sentence, "sentence_split": part}
        yield {
            "clip": clip,
            "dataset": dataset,
            "video": clip,
            "url": path,
            "identity": actor,
            "split": "test",
            "language": "English",
            "aliases": f"{actor}/{view}/{emotion}/level_{level}/{sentence:03d}",
            "labels": json.dumps(labels),
        }
    odd.say()


def _parts(path: str, odd: Oddities) -> tuple[str, str, str, int, int] | None:
    """Actor, view, emotion, level and sentence of a path, or `None` if one is lacking."""
    *folders, name = path.split("/")
    lower = [folder.lower() for folder in folders]
    actors = [match[1].upper() for folder in folders if (match := ACTOR.fullmatch(folder))]
    views = [folder for folder in lower if folder in VIEWS]
    emotions = [folder for folder in lower if folder in EMOTIONS]
    levels = [int(match[1]) for folder in folders if (match := LEVEL.fullmatch(folder))]
    sentence = SENTENCE.fullmatch(name)
    for values, what in ((actors, "actor"), (views, "view"), (emotions, "emotion"), (levels, "level")):
        if not values:
            odd.note(f"no folder names its {what}, left out", path)
            return None
    if not sentence:
        odd.note("the name is not a number, left out", path)
        return None
    return actors[-1], views[-1], emotions[-1], levels[-1], int(sentence[1])
