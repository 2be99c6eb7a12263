"""Panda-70M's rows to clip table rows: people first, the same subset anywhere, and every way a row can be wrong."""

from __future__ import annotations

import ast
import csv
import io
import json
import random

import pytest

import list_clips
from talkset import annotations, shards, tables
from talkset.datasets import _people, panda70m
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in panda70m.SPEC.options["properties"].items()}
COLUMNS = (*panda70m.COLUMNS, *panda70m.LATER)


def clip(
    caption="A man is talking.", start="0:00:16.300", end="0:00:32.566", score=0.4538, verdict="desirable", shots=1
):
    return [start, end], caption, score, verdict, [["0:00:00.000", "0:00:05.000"]] * shots


def video(name, *clips):
    """A row as the authors write it: lists as Python shows them."""
    lists = zip(*(clips or (clip(),)), strict=True)
    return dict(
        zip(COLUMNS, [name, f"https://www.youtube.com/watch?v={name}", *map(repr, map(list, lists))], strict=True)
    )


def table(rows, columns=COLUMNS):
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def name(number):
    return f"-{number:010d}"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Rows, checked as `list_clips` does, and what was said, from videos or a text."""

    def rows(videos, **options):
        options = OPTIONS | options
        path = tmp_path / options["file"]
        content = videos if isinstance(videos, (str, bytes)) else table(videos)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        said = []
        monkeypatch.setattr(annotations.progress, "say", said.append)
        return list_clips.checked(panda70m.clips({path.name: path}, options, "panda"), "panda"), said

    return rows


def ids(found):
    return [row["clip"] for row in found[0]]


PUBLISHED = """videoID,url,timestamp,caption,matching_score,desirable_filtering,shot_boundary_detection
---aB3dE5gH,https://www.youtube.com/watch?v=---aB3dE5gH,\
"[['0:00:16.300', '0:00:32.566'], ['1:02:44.100', '1:02:49.066']]",\
"[""A person's talk, and waves."", 'A woman\\'s ""hands"".']","[0.4538, 0.4487]",\
"['desirable', '1_still_foreground_image']",\
"[[['0:00:00.000', '0:00:16.266']], [['0:00:00.000', '0:00:04.966']]]"
"""
SAMPLE = [video("---aB3dE5gH")]


def test_rows_of_the_published_form(read):
    (first, second), said = read(PUBLISHED, desirable=[])
    assert set(first) == set(tables.CLIP_COLUMNS)
    assert (first["clip"], first["video"]) == ("---aB3dE5gH.0", "---aB3dE5gH")
    assert first["url"] == "https://www.youtube.com/watch?v=---aB3dE5gH"
    assert (first["start"], first["end"]) == ("16.300", "32.566")
    assert (second["clip"], second["start"], second["end"]) == ("---aB3dE5gH.1", "3764.100", "3769.066")
    assert (first["split"], first["subset"]) == ("train", "training_2m")
    assert first["identity"] == first["language"] == first["aliases"] == first["x0"] == first["box_unit"] == ""
    assert json.loads(first["labels"]) == {
        "index": 0, "caption": "A person's talk, and waves.", "talking": True, "scores": {"matching_score": 0.4538},
        "desirable_filtering": "desirable", "shots": [["0:00:00.000", "0:00:16.266"]],
    }  # fmt: skip
    assert json.loads(second["labels"])["caption"] == 'A woman\'s "hands".'
    assert panda70m.import_names(first) == ["---aB3dE5gH"]
    assert said[1].startswith("panda: panda70m_training_2m.csv, record 1: ---aB3dE5gH,https://")
    assert said[-1] == "panda: 2 clips chosen; 1 of 1 rows were looked into"


def test_byte_order_mark_and_line_ends_change_nothing(read):
    assert read("\ufeff" + table(SAMPLE).replace("\n", "\r\n"))[0] == read(SAMPLE)[0]


def test_columns_are_found_by_name(read):
    assert read(table(SAMPLE, COLUMNS[::-1]))[0] == read(SAMPLE)[0]


def test_file_of_before_the_filters_is_read_and_said(read):
    rows, said = read(table(SAMPLE, panda70m.COLUMNS))
    assert len(rows) == 1 and "desirable_filtering" not in rows[0]["labels"]
    assert [text for text in said if "has no column" in text] == [
        f"panda: panda70m_training_2m.csv has no column {column}, so nothing is filtered by it"
        for column in panda70m.LATER
    ]


@pytest.mark.parametrize(
    ("file", "split", "subset"),
    [
        ("panda70m_training_full.csv", "train", "training_full"), ("panda70m_validation.csv", "val", "validation"),
        ("panda70m_testing.csv", "test", "testing"), ("mine.csv", "", "mine"),
    ],
)  # fmt: skip
def test_split_is_that_of_the_file(read, file, split, subset):
    (row,), _ = read(SAMPLE, file=file)
    assert (row["split"], row["subset"]) == (split, subset)
    assert panda70m.annotation_files(OPTIONS | {"file": file}) == (file,)


# A clip; options under which it is not taken; options under which it is.
LEFT_OUT = {
    "nobody": (clip("A rocket launches into space."), {}, {"people": []}),
    "cartoon": (clip("A cartoon man is talking."), {}, {"exclude": []}),
    "in capitals": (clip("A CARTOON man is talking."), {}, {"exclude": []}),
    "part of a word": (clip("A mannequin, womanly, manned."), {"exclude": []}, {"people": []}),
    "low score": (clip(score=0.42), {}, {"min_matching_score": 0.42}),
    "short": (clip(end="0:00:19.299"), {}, {"min_seconds": 2.9}),
    "still": (clip(verdict="1_still_foreground_image"), {}, {"desirable": []}),
    "two shots": (clip(shots=2), {}, {"single_shot": False}),
}  # fmt: skip


@pytest.mark.parametrize(("one", "options", "other"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_what_the_rule_leaves_out(read, one, options, other):
    videos = [video(name(1), clip()), video(name(2), one)]
    assert ids(read(videos, **options)) == [f"{name(1)}.0"]
    assert f"{name(2)}.0" in ids(read(videos, **options, **other))


def test_length_is_exact(read):
    assert len(ids(read([video(name(1), clip(start="0:00:16.300", end="0:00:19.300"))]))) == 1


def test_people_who_talk_come_first(read):
    videos = [video(name(n), clip("A man is walking." if n % 2 else "A man is talking.")) for n in range(40)]
    rows, _ = read(videos)
    talking = [json.loads(row["labels"])["talking"] for row in rows]
    assert talking == [True] * 20 + [False] * 20
    rows, _ = read(videos, count=10)
    assert all(json.loads(row["labels"])["talking"] for row in rows)


def test_best_clips_of_a_video_are_taken(read):
    scores = [0.44, 0.50, 0.47, 0.50, 0.45]
    one = video(name(1), *(clip(score=score) for score in scores), clip("A man walks.", score=0.9))
    assert ids(read([one])) == [f"{name(1)}.{index}" for index in (1, 3, 2)]
    assert ids(read([one], per_video=None)) == [f"{name(1)}.{index}" for index in (1, 3, 2, 4, 0, 5)]


MANY = [
    video(name(n), *(clip(("A man talks.", "A man walks.", "A dog.")[n * n % 7 % 3]) for _ in range(n % 4 + 1)))
    for n in range(300)
]


@pytest.mark.parametrize("count", [1, 7, 50, 150])
def test_subset_does_not_depend_on_the_order_of_the_file_and_grows_at_its_end(read, count):
    everything = ids(read(MANY, count=None))
    assert len(everything) > 250
    chosen = ids(read(MANY, count=count))
    assert chosen == everything[:count]
    assert ids(read(random.Random(1).sample(MANY, len(MANY)), count=count)) == chosen
    assert ids(read(MANY, count=count, seed=1)) != chosen


def test_larger_subset_leaves_the_shards_as_they_are(read):
    few, many = ({row["video"]: row for row in read(MANY, count=count)[0]} for count in (50, 150))
    before, after = shards.split(few.values(), 4), shards.split(many.values(), 4)
    assert all(after[video] == shard for video, shard in before.items())


def test_rows_that_cannot_be_chosen_are_not_looked_into(read, monkeypatch):
    parsed = []
    monkeypatch.setattr(
        panda70m.ast, "literal_eval", lambda text, real=ast.literal_eval: parsed.append(1) or real(text)
    )
    videos = [video(name(n)) for n in range(2000)]
    rows, said = read(videos, count=10)
    assert len(rows) == 10 and len(parsed) < 5 * 300
    assert said[-1].startswith("panda: 10 clips chosen; ") and said[-1].endswith(" of 2000 rows were looked into")


def test_too_few_are_said(read):
    _, said = read(SAMPLE, count=10)
    assert "panda: panda70m_training_2m.csv has only 1 of the 10 clips that count asks for" in said


def test_video_listed_twice_counts_once(read):
    again = video(name(1), clip(start="0:00:00.000"))
    rows, said = read([video(name(1)), video(name(2)), video(name(1)), again])
    assert sorted(row["clip"] for row in rows) == [f"{name(1)}.0", f"{name(2)}.0"]
    assert {row["start"] for row in rows} == {"16.300"}
    assert [text for text in said if "earlier row" in text] == [
        f"panda: the video has an earlier row, which counts; this is the same (1, the first in '{name(1)}')",
        f"panda: the video has an earlier row, which counts; this is another (1, the first in '{name(1)}')",
    ]


def test_clip_that_ends_before_it_begins_is_said(read):
    for end in ("0:00:10.000", "0:00:16.300"):
        rows, said = read([video(name(1), clip(end=end), clip())], min_seconds=0)
        assert [row["clip"] for row in rows] == [f"{name(1)}.1"]
        assert f"panda: a clip ends before it begins, and is not taken (1, the first in '{name(1)}.0')" in said


def broken(**cells):
    return video("aaaaaaaaaaa") | cells


CODE = "__import__('os').system('touch /tmp/should-not-be-there')"
MALFORMED = {
    "no id": (broken(videoID=""), "expected a text under 'videoID'"),
    "other video": (broken(videoID="aaaaaaaaaab"), "the url is that of 'aaaaaaaaaaa', the videoID is 'aaaaaaaaaab'"),
    "no address": (broken(url="x"), "'x' is not an address"),
    "code": (broken(caption=f"[{CODE}]"), "caption is no Python list"),
    "code alone": (broken(timestamp=CODE), "timestamp is no Python list"),
    "open list": (broken(timestamp="[['0:00:16.300'"), "timestamp is no Python list"),
    "deep list": (broken(timestamp="[" * 5000), "timestamp is no Python list"),
    "no list": (broken(matching_score="0.45"), "matching_score is '0.45', not a list"),
    "lengths": (broken(caption="[]"), "expected lists of one length, found timestamp 1, caption 0, matching_score 1"),
    "one time": (broken(timestamp="[['0:00:16.300']]"), "timestamp 0 is ['0:00:16.300'], not a pair of times"),
    "time of two parts": (broken(timestamp="[['16.300', '00:32']]"), "timestamp 0 is ['16.300', '00:32'], not a pair"),
    "numbers": (broken(timestamp="[[16.3, 32.5]]"), "timestamp 0 is [16.3, 32.5], not a pair of times"),
    "minutes above 59": (broken(timestamp="[['0:60:00.000', '0:61:00.000']]"), "not a pair of times"),
    "caption": (broken(caption="[7]"), "caption 0 is 7, not a text"),
    "score": (broken(matching_score="['high']"), "matching_score 0 is 'high', not a number"),
}  # fmt: skip


@pytest.mark.parametrize(("row", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_row_is_named(read, tmp_path, row, says):
    with pytest.raises(ToolFault) as fault:
        read([*SAMPLE, row])
    assert str(fault.value).startswith(f"{tmp_path / panda70m.FILE}, record 2, line 3: ")
    assert says in str(fault.value)


OTHER_FILES = {
    "other columns": ("videoID,url\na,b\n", "lacking: timestamp, caption, matching_score"),
    "zip": (b"PK\x03\x04...", "is a zip archive; unpack it"),
    "page of the drive": ("<!DOCTYPE html><html>", "is a web page"),
    "no rows": (",".join(COLUMNS) + "\n", "the annotation files hold no clips"),
}


@pytest.mark.parametrize(("content", "says"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_another_file_is_refused(read, content, says):
    with pytest.raises(ToolFault) as fault:
        read(content)
    assert says in str(fault.value)


def test_default_words_tell_captions_of_the_published_files_apart():
    rule = _people.Rule(OPTIONS)
    tiers = {
        "A man is talking to the camera in front of a whiteboard.": 0,
        "It is a news broadcast with a woman who speaks at a desk in front of a city skyline.": 0,
        "A man with a microphone is talking to a group of people in a room.": 0,
        "A person is kneading dough and putting jam on it.": 1,
        "A little boy is playing with a basketball in the city.": 1,
        "A rhino and a lion are fighting in the dirt.": None,
        "A 3d rendering of a zoo with animals and a train.": None,
        "A tv screen showing a man standing in front of a dam.": None,
        "The sheepherd school logo on a black background.": None,
    }
    assert {caption: rule.tier(caption) for caption in tiers} == tiers
