"""CelebV-HQ's file to clip table rows: a sample in the published form, and everything known to be wrong in it."""

from __future__ import annotations

import copy
import json

import pytest

import list_clips
from talkset import annotations, tables
from talkset.datasets import celebv_hq
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in celebv_hq.SPEC.options["properties"].items()}


def clip(video="-aB3dE5gH7i", start=81.62, end=86.17, emotion="neutral", **changed):
    if isinstance(emotion, str):
        emotion = {"sep_flag": False, "labels": emotion}
    return {
        "ytb_id": video,
        "duration": {"start_sec": start, "end_sec": end},
        "bbox": {"top": 0.0, "bottom": 0.8815, "left": 0.1964, "right": 0.6922},
        "attributes": {"appearance": [0, 1, 1], "action": [0, 1], "emotion": emotion},
        "version": "v0.1",
    } | changed


META = {"appearance_mapping": ["Blurry", "Male", "Young"], "action_mapping": ["blow", "talk"]}
CLIPS = {
    "-aB3dE5gH7i_0": clip(),
    "-aB3dE5gH7i_1": clip(start=1e2, end=104.4),
    "k_Lm-9QrS2t_1_0": clip(
        "k_Lm-9QrS2t",
        52.72,
        56.1,
        {
            "sep_flag": True,
            "labels": [
                {"emotion": "neutral", "start_sec": 0, "end_sec": 0.28000000000000114},
                {"emotion": "happy", "start_sec": 1.2800000000000011, "end_sec": 3.280000000000001},
            ],
        },
    ),
}
DOCUMENT = {"meta_info": META, "clips": CLIPS}


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Rows, checked as `list_clips` does, and what was said, from a document or a text."""

    def rows(document, **options):
        path = tmp_path / celebv_hq.FILE
        content = document if isinstance(document, (str, bytes)) else json.dumps(document)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        said = []
        monkeypatch.setattr(annotations.progress, "say", said.append)
        table = list_clips.checked(celebv_hq.clips({path.name: path}, OPTIONS | options, "celeb"), "celeb")
        return table, said

    return rows


def changed(name, *path, to):
    """`DOCUMENT` with one value of a clip replaced."""
    document = copy.deepcopy(DOCUMENT)
    place = document["clips"][name]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return document


def only(rows, name):
    (row,) = [row for row in rows if row["clip"] == name]
    return row, json.loads(row["labels"])


def test_rows_of_the_published_form(read):
    rows, said = read(DOCUMENT)
    assert [row["clip"] for row in rows] == list(CLIPS)
    row, labels = only(rows, "-aB3dE5gH7i_0")
    assert set(row) == set(tables.CLIP_COLUMNS)
    assert (row["video"], row["url"]) == ("-aB3dE5gH7i", "https://www.youtube.com/watch?v=-aB3dE5gH7i")
    assert (row["start"], row["end"]) == ("81.62", "86.17")
    assert [row[side] for side in ("x0", "y0", "x1", "y1")] == ["0.1964", "0.0", "0.6922", "0.8815"]
    assert (row["box_unit"], row["ref_height"], row["crop_scale"]) == ("fraction", "", "")
    assert row["identity"] == row["split"] == row["language"] == row["aliases"] == row["subset"] == ""
    assert labels == {
        "version": "v0.1",
        "appearance": ["male", "young"],
        "action": ["talk"],
        "emotions": [{"emotion": "neutral", "start_s": 0.0, "end_s": 4.55}],
    }
    assert rows[1]["start"] == "100.0"
    assert len(said) == 1 and said[0].startswith('celeb: celebvhq_info.json, record 1: {"ytb_id": "-aB3dE5gH7i"')


def test_video_is_its_own_field_and_not_a_part_of_the_key(read):
    row, _ = only(read(DOCUMENT)[0], "k_Lm-9QrS2t_1_0")
    assert row["video"] == "k_Lm-9QrS2t"
    assert celebv_hq.import_names(row) == ["k_Lm-9QrS2t"]


def test_emotions_keep_their_gaps(read):
    _, labels = only(read(DOCUMENT)[0], "k_Lm-9QrS2t_1_0")
    assert labels["emotions"] == [
        {"emotion": "neutral", "start_s": 0.0, "end_s": 0.28000000000000114},
        {"emotion": "happy", "start_s": 1.2800000000000011, "end_s": 3.280000000000001},
    ]
    assert "emotion_faults" not in labels


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_byte_order_marks_and_line_ends_change_nothing(read, mark, end):
    text = mark + json.dumps(DOCUMENT, indent=1).replace("\n", end)
    assert read(text)[0] == read(DOCUMENT)[0]


def test_mappings_may_follow_the_clips_and_have_the_name_of_the_old_readme(read):
    assert read({"clips": CLIPS, "mete_info": META})[0] == read(DOCUMENT)[0]


def test_id_listed_twice_counts_once_as_the_last(read):
    first, last = json.dumps(clip(start=1, end=5)), json.dumps(clip(start=7, end=11))
    text = f'{{"meta_info": {json.dumps(META)}, "clips": {{"a_0": {first}, "b_0": {first}, "a_0": {last}}}}}'
    rows, said = read(text)
    assert [(row["clip"], row["start"]) for row in rows] == [("b_0", "1"), ("a_0", "7")]
    assert "celeb: the id comes again further down, and that record counts (1, the first in 'a_0')" in said


# Emotion labels of a clip of 3.38 s; the spans that are kept; the ones that are none.
SPANS = {
    "negative end": ([("happy", 0, 1.2), ("sadness", 1.2, -0.4)], [("happy", 0.0, 1.2)], [("sadness", 1.2, -0.4)]),
    "equal ends": ([("happy", 2.0, 2.0)], [], [("happy", 2.0, 2.0)]),
    "past the end": ([("fear", 1, 9.5)], [("fear", 1.0, 3.38)], []),
    "wholly past the end": ([("fear", 4, 9.5)], [], [("fear", 4, 9.5)]),
    "before the start": ([("anger", -1, 1)], [("anger", 0.0, 1.0)], []),
    "no number": ([("anger", "?", 1)], [], [("anger", "?", 1)]),
    "nothing": ([], [], []),
}


@pytest.mark.parametrize(("listed", "kept", "faults"), SPANS.values(), ids=SPANS)
def test_emotions_with_known_faults(read, listed, kept, faults):
    labels = [dict(zip(("emotion", "start_sec", "end_sec"), span, strict=True)) for span in listed]
    rows, said = read(changed("k_Lm-9QrS2t_1_0", "attributes", "emotion", "labels", to=labels))
    _, found = only(rows, "k_Lm-9QrS2t_1_0")
    assert [tuple(span.values()) for span in found["emotions"]] == kept
    assert [tuple(span.values()) for span in found.get("emotion_faults", [])] == faults
    told = "celeb: an emotion has no span within the clip (1, the first in 'k_Lm-9QrS2t_1_0')" in said
    assert told == bool(faults)


@pytest.mark.parametrize(
    ("path", "value", "window", "says"),
    [
        (("bbox", "right"), 1.0321, ("0.1964", "0.0", "1.0321", "0.8815"), "the box reaches beyond the frame"),
        (("bbox", "top"), -1.1102230246251565e-16, ("0.1964", "-0.00000000000000011102", "0.6922", "0.8815"), "beyond"),
        (("bbox", "left"), 0.9, ("",) * 4, "the box has no area"),
        (("bbox", "bottom"), 0, ("",) * 4, "the box has no area"),
        (("bbox",), None, ("",) * 4, "there is no box"),
    ],
)
def test_odd_boxes_are_said(read, path, value, window, says):
    rows, said = read(changed("-aB3dE5gH7i_0", *path, to=value))
    row, labels = only(rows, "-aB3dE5gH7i_0")
    assert tuple(row[side] for side in ("x0", "y0", "x1", "y1")) == window
    assert row["box_unit"] == ("fraction" if window[0] else "")
    assert any(says in text for text in said)
    assert ("bbox" in labels) == (says == "the box has no area")


def test_odd_times_keep_their_row(read):
    for start, end in ((86.17, 81.62), (-0.5, 3), (5, 5)):
        rows, said = read(changed("-aB3dE5gH7i_0", "duration", to={"start_sec": start, "end_sec": end}))
        row, _ = only(rows, "-aB3dE5gH7i_0")
        assert (row["start"], row["end"]) == (str(start), str(end))
        assert any("starts before its video" in text for text in said) == (start < 0)


def test_flags_that_do_not_fit_the_names_are_kept_as_they_are(read):
    rows, said = read(changed("-aB3dE5gH7i_0", "attributes", "action", to=[1]))
    _, labels = only(rows, "-aB3dE5gH7i_0")
    assert labels["action_flags"] == [1] and "action" not in labels and labels["appearance"] == ["male", "young"]
    assert any("action has not one value for each of the 2 names" in text for text in said)


def test_key_of_another_video_is_said(read):
    rows, said = read(changed("-aB3dE5gH7i_0", "ytb_id", to="_bB3dE5gH7i"))
    assert only(rows, "-aB3dE5gH7i_0")[0]["video"] == "_bB3dE5gH7i"
    assert any("the id does not begin with the video's" in text for text in said)


MALFORMED = {
    "short id": (("ytb_id",), "aB3", "expected a YouTube id of 11 letters"),
    "no id": (("ytb_id",), None, "expected a text under 'ytb_id'"),
    "no times": (("duration",), None, "expected a number under 'duration' / 'start_sec'"),
    "time in words": (("duration", "end_sec"), "end", "expected a number under 'duration' / 'end_sec'"),
    "endless time": (("duration", "end_sec"), float("inf"), "expected a number under 'duration' / 'end_sec'"),
    "side missing": (("bbox",), {"top": 0, "bottom": 1, "left": 0}, "expected a number under 'bbox' / 'right'"),
    "side as true": (("bbox", "right"), True, "expected a number under 'bbox' / 'right'"),
}


@pytest.mark.parametrize(("path", "value", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_record_is_named(read, tmp_path, path, value, says):
    with pytest.raises(ToolFault) as fault:
        read(changed("-aB3dE5gH7i_1", *path, to=value))
    assert str(fault.value).startswith(f"{tmp_path / celebv_hq.FILE}, record 2 '-aB3dE5gH7i_1', line 1: '{{")
    assert says in str(fault.value)


OTHER_FILES = {
    "CelebV-Text": (CLIPS, "has no 'meta_info': is it celebvhq_info.json of CelebV-HQ?"),
    "a list": ([CLIPS], "expected a JSON object with 'clips'"),
    "no clips": ({"meta_info": META}, "the annotation files hold no clips"),
    "mapping without names": ({"meta_info": {"action_mapping": []}, "clips": {}}, "a list of names under 'appearance_"),
    "cut off": (json.dumps(DOCUMENT)[:-200], "record 3 'k_Lm-9QrS2t_1_0', line 1: "),
    "pointer": ("version https://git-lfs.github.com/spec/v1", "is a Git LFS pointer"),
}


@pytest.mark.parametrize(("document", "says"), OTHER_FILES.values(), ids=OTHER_FILES)
def test_another_file_is_refused(read, document, says):
    with pytest.raises(ToolFault) as fault:
        read(document)
    assert says in str(fault.value)


def test_hostile_key_stays_a_file_name(read):
    rows, _ = read({"meta_info": META, "clips": {"../x_0": clip(), "a;b": clip(), "-rf": clip()}})
    assert [row["clip"] for row in rows] == ["=2E.=2Fx_0", "a=3Bb", "-rf"]
