"""MEAD's folders to clip table rows: parts known by their value, frontal by default, and what is left out is said."""

from __future__ import annotations

import json

import pytest
from jsonschema import Draft202012Validator
from told import told

import list_clips
from talkset import listing, tables
from talkset.datasets import mead
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in mead.SPEC.options["properties"].items()}
GOOD = "M003/video/front/angry/level_2/017.mp4"


def read(folder, *paths, **options):
    """Rows as the clip table takes them."""
    for path in paths:
        (folder / "raw" / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / "raw" / path).write_bytes(b"x")
    listing.write(folder / "raw", folder / "media.tsv", "mead")
    assert mead.annotation_files(OPTIONS) == ("media.tsv",)
    rows = mead.clips({"media.tsv": folder / "media.tsv"}, OPTIONS | options, "mead")
    return list_clips.checked(rows, "mead")


def test_row_in_full(tmp_path):
    (row,) = read(tmp_path, GOOD)
    assert row == dict.fromkeys(tables.CLIP_COLUMNS, "") | {
        "clip": "M003_front_angry_level_2_017",
        "dataset": "mead",
        "video": "M003_front_angry_level_2_017",
        "url": GOOD,
        "identity": "M003",
        "split": "test",
        "language": "English",
        "aliases": "M003/front/angry/level_2/017",
        "labels": row["labels"],
    }
    assert json.loads(row["labels"]) == {
        "view": "front", "emotion": "angry", "level": 2, "sentence": 17, "sentence_split": "train",
    }  # fmt: skip
    assert mead.import_names(row) == []


@pytest.mark.parametrize(
    "path",
    [
        "M003/1/front/angry/level_2/017.mp4",
        "M003/video/2/front/angry/level_2/017.mp4",
        "M003/video-001/video/front/angry/level_2/017.mp4",
        "M003_video/front/angry/level_2/017.mp4",
        "Part0/M003 (1)/front/angry/level_2/017.mp4",
        "m003/VIDEO/Front/Angry/Level_2/017.MP4",
        "level_2/angry/front/M003/017.mp4",
        "happy new/M003/front/angry/level_2/17.mp4",
    ],
)
def test_parts_are_known_by_their_value_wherever_they_stand(tmp_path, path):
    (row,) = read(tmp_path, path)
    assert (row["clip"], row["url"]) == ("M003_front_angry_level_2_017", path)


def test_only_the_frontal_view_by_default(tmp_path, capsys):
    paths = [GOOD.replace("front", view) for view in mead.VIEWS]
    assert [row["url"] for row in read(tmp_path, *paths)] == [GOOD]
    assert told(capsys.readouterr().err, "its view is not asked for, left out", 6, "M003/video/down")
    assert len(read(tmp_path, views=list(mead.VIEWS))) == 7
    assert [row["url"] for row in read(tmp_path, views=["left_30"])] == [GOOD.replace("front", "left_30")]


def test_emotions_levels_actors_and_sentences_can_be_chosen(tmp_path):
    read(tmp_path, *(f"{actor}/video/front/{emotion}/level_{level}/{number}.mp4"
         for actor in ("M003", "W009") for emotion in ("happy", "sad") for level in (1, 2, 3)
         for number in ("024", "025")))  # fmt: skip
    assert len(read(tmp_path)) == 24
    assert {row["clip"] for row in read(tmp_path, emotions=["sad"], levels=[3], actors=["W009"])} == {
        "W009_front_sad_level_3_024", "W009_front_sad_level_3_025",
    }  # fmt: skip
    assert {row["clip"][-3:] for row in read(tmp_path, sentences="test")} == {"025"}


def test_split_is_test_and_the_authors_own_is_a_label(tmp_path):
    rows = read(
        tmp_path,
        *(f"M003/video/front/neutral/level_1/{number:03d}.mp4" for number in range(1, 41)),
        *(f"M003/video/front/fear/level_3/{number:03d}.mp4" for number in range(1, 31)),
    )
    assert {row["split"] for row in rows} == {"test"}
    labels = [json.loads(row["labels"]) for row in rows]
    tested = {
        emotion: sorted(
            label["sentence"] for label in labels if label["emotion"] == emotion and label["sentence_split"] == "test"
        )
        for emotion in ("neutral", "fear")
    }
    assert tested == {"neutral": list(range(31, 41)), "fear": list(range(25, 31))}


def test_what_gives_no_clip_is_said(tmp_path, capsys):
    rows = read(
        tmp_path, GOOD, "M003/audio/angry/level_2/017.m4a", "M003/video/front/angry/level_2/take.mp4",
        "M003/video/angry/level_2/017.mp4", "M003/video/front/level_2/017.mp4", "M003/video/front/angry/017.mp4",
        "Z003/video/front/angry/level_2/017.mp4", "readme.pdf", "M003/2/front/angry/level_2/017.mp4",
    )  # fmt: skip
    assert len(rows) == 1
    said = capsys.readouterr().err
    assert told(said, "no .mp4 file but .m4a, left out", 1, "M003/audio") and told(said, "but .pdf, left out", 1)
    for what, path in (("view", "M003/video/angry"), ("emotion", "M003/video/front/level"), ("actor", "Z003")):
        assert told(said, f"no folder names its {what}, left out", 1, path)
    assert told(said, "no folder names its level, left out", 1, "M003/video/front/angry/017.mp4")
    assert told(said, "the name is not a number, left out", 1, "take.mp4")
    assert told(said, "a second file for a clip, left out", 1, "M003/video/front/angry/level_2/017.mp4")


def test_released_actors_are_48_and_the_missing_and_unknown_are_said(tmp_path, capsys):
    assert len(set(mead.RELEASED)) == 48 and sum(actor.startswith("M") for actor in mead.RELEASED) == 27
    read(tmp_path, GOOD, GOOD.replace("M003", "M999"), GOOD.replace("M003", "W017").replace("front", "down"))
    said = capsys.readouterr().err
    assert "mead: 46 actors are not there: M005 " in said
    assert "mead: not among the 48 released actors, kept: M999" in said
    read(tmp_path, actors=["M003", "M030"])
    assert "mead: 1 actors are not there: M030\n" in capsys.readouterr().err


def test_folder_without_mead_says_how_to_apply(tmp_path):
    with pytest.raises(
        ToolFault, match=r"no file below raw lies in folders like .*sign the Terms of Use .*wywu\.github"
    ):
        read(tmp_path, "talk.mp4")


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({"views": ["front", "top"]}, True),
        ({"views": ["back"]}, False),
        ({"levels": [4]}, False),
        ({"actors": ["M3"]}, False),
        ({"actors": None}, True),
    ],
)
def test_options(given, fits):
    assert Draft202012Validator(mead.SPEC.options).is_valid(given) is fits
