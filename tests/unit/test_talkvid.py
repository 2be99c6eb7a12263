"""TalkVid's file to clip table rows: a sample in the published form, its drifting times, and every way to be wrong."""

from __future__ import annotations

import json

import pytest

import list_clips
from talkset import annotations, tables
from talkset.datasets import talkvid
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in talkvid.SPEC.options["properties"].items()}
PART = 121 / 24  # seconds of a part


def record(name="videovideoTr6MMsoWAog-scene1-scene1", start=0.1, end=None, link=None, info=None, **changed):
    link = link or f"https://www.youtube.com/watch?v={name.removeprefix('videovideo')[:11]}"
    return {
        "id": name,
        "height": 1080,
        "width": 1920,
        "fps": 24.0,
        "start-time": start,
        "start-frame": 0,
        "end-time": start + PART if end is None else end,
        "end-frame": 121,
        "durations": "5.042s",
        "info": {
            "Person ID": "0812",
            "Ethnicity": "White",
            "Age Group": "60+",
            "Gender": "Male",
            "Video Link": link,
            "Language": "English",
            "Video Category": "Personal Experience",
        }
        | (info or {}),
        "description": "An older man in a suit, \u201cspeaking\u201d.",
        "dover_scores": 8.9,
        "cotracker_ratio": 0.9271857142448425,
        "head_detail": {"scores": {"avg_movement": 97.92236052453518, "min_orientation": 73}},
    } | changed


GOOD = [record(), record("videovideo-aB3dE5gH7i-scene4-scene2", 61.3, 66.341666666666665)]


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Rows, checked as `list_clips` does, and what was said, from records or a text; `only` are names."""

    def rows(records, only=None, **options):
        options = OPTIONS | options
        if only is not None:
            options |= {"only": "TalkVid-Core.json"}
            (tmp_path / options["only"]).write_text(only if isinstance(only, str) else json.dumps(only))
        content = records if isinstance(records, (str, bytes)) else json.dumps(records)
        (tmp_path / options["file"]).write_bytes(content if isinstance(content, bytes) else content.encode())
        said = []
        monkeypatch.setattr(annotations.progress, "say", said.append)
        files = {name: tmp_path / name for name in talkvid.annotation_files(options)}
        return list_clips.checked(talkvid.clips(files, options, "tv"), "tv"), said

    return rows


def test_rows_of_the_published_form(read):
    (first, second), said = read(GOOD)
    assert set(first) == set(tables.CLIP_COLUMNS)
    assert first["clip"] == "videovideoTr6MMsoWAog-scene1-scene1"
    assert (first["video"], first["url"]) == ("Tr6MMsoWAog", "https://www.youtube.com/watch?v=Tr6MMsoWAog")
    assert (first["start"], first["end"]) == ("0.1", "5.141666666666667")
    assert (first["identity"], first["language"], first["split"], first["subset"]) == ("0812", "English", "", "")
    assert first["x0"] == first["box_unit"] == first["ref_height"] == first["crop_scale"] == ""
    assert first["aliases"] == "videovideoTr6MMsoWAog-scene1_scene1;Tr6MMsoWAog_0.100_5.142"
    assert json.loads(first["labels"]) == {
        "scores": {
            "dover_scores": 8.9, "cotracker_ratio": 0.9271857142448425,
            "head_avg_movement": 97.92236052453518, "head_min_orientation": 73,
        },
        "height": 1080, "width": 1920, "fps": 24.0, "start-frame": 0, "end-frame": 121, "durations": "5.042s",
        "description": "An older man in a suit, \u201cspeaking\u201d.",
        "Ethnicity": "White", "Age Group": "60+", "Gender": "Male", "Video Category": "Personal Experience",
    }  # fmt: skip
    assert (second["video"], second["start"]) == ("-aB3dE5gH7i", "61.3")
    assert float(second["end"]) == 66.341666666666665
    assert talkvid.import_names(second) == ["-aB3dE5gH7i"]
    assert len(said) == 1 and said[0].startswith("tv: filtered_video_clips_with_captions.json, record 1: {")


def test_byte_order_mark_and_line_ends_change_nothing(read):
    text = "\ufeff" + json.dumps(GOOD, indent=2).replace("\n", "\r\n")
    assert read(text)[0] == read(GOOD)[0]


def test_video_is_that_of_the_link_whatever_the_id_says(read):
    link = "https://www.youtube.com/watch?v=bqbWi7VMraY&t=3s"
    (row,), _ = read([record("videovideo1844_bqbWi7VMraY_scene9_scene5", link=link)])
    assert (row["video"], row["url"]) == ("bqbWi7VMraY", "https://www.youtube.com/watch?v=bqbWi7VMraY")
    assert row["aliases"] == "bqbWi7VMraY_0.100_5.142"


def test_id_listed_twice_counts_once_as_the_first(read):
    rows, said = read([record(start=1.0), record(start=2.0), *GOOD[1:]])
    assert [row["start"] for row in rows] == ["1.0", "61.3"]
    assert any("the id is already that of an earlier record, which counts (1, " in text for text in said)


def test_unknown_people_scores_and_languages_stay_empty(read):
    bare = record(info={"Person ID": None, "Language": ""}, dover_scores=None, head_detail=None)
    (row,), _ = read([bare])
    assert (row["identity"], row["language"]) == ("", "")
    assert json.loads(row["labels"])["scores"] == {"cotracker_ratio": 0.9271857142448425}
    (row,), _ = read([record(info={"Person ID": 12}, dover_scores="8.25", cotracker_ratio=float("nan"))])
    scores = json.loads(row["labels"])["scores"]
    assert row["identity"] == "12" and scores["dover_scores"] == 8.25 and "cotracker_ratio" not in scores


def test_benchmark_has_its_split_and_its_own_fields(read):
    extra = {"video-path": "TalkVid-bench/age/videos/x.mp4", "head_detail": {"scores": {}, "passed": True}}
    (row,), _ = read([record(**extra)], file="TalkVid-bench.json")
    labels = json.loads(row["labels"])
    assert row["split"] == "test"
    assert labels["video-path"] == extra["video-path"] and labels["head_detail_passed"] is True


def test_odd_times_keep_their_row(read):
    for start, end in ((5.0, 1.0), (-0.5, 3.0), (4.0, 4.0)):
        (row,), said = read([record(start=start, end=end)])
        assert (row["start"], row["end"]) == (str(start), str(end))
        assert any("starts before its video" in text for text in said) == (start < 0)


def scene(starts, video="AAAAAAAAAAA", number=39, parts=None):
    """Records of the parts of one scene, from their starts."""
    parts = parts or range(1, len(starts) + 1)
    return [
        record(f"videovideo{video}-scene{number}-scene{part}", start) for part, start in zip(parts, starts, strict=True)
    ]


def added_up(first, parts):
    """Starts as the published pipeline makes them: each part's start is added to that of the part before."""
    starts = [first]
    for part in range(2, parts + 1):
        starts.append(starts[-1] + (part - 1) * PART)
    return starts


def test_drifting_times_are_said_and_can_be_taken_back(read):
    records = scene(added_up(100.0, 11))
    assert records[10]["start-time"] == pytest.approx(100 + 55 * PART)
    rows, said = read(records)
    assert [float(row["start"]) for row in rows] == [one["start-time"] for one in records]
    assert said[-1] == (
        "tv: the starts of 9 pairs of neighbouring parts add up, those of 0 follow: third and later parts of a scene "
        "are listed too late (options: times: corrected takes it back)"
    )
    rows, said = read(records, times="corrected")
    for part, row in enumerate(rows, start=1):
        assert float(row["start"]) == pytest.approx(100 + (part - 1) * PART, abs=1e-9)
        assert float(row["end"]) == pytest.approx(100 + part * PART, abs=1e-9)
        labels = json.loads(row["labels"])
        assert ("published_times" in labels) == (part >= 3)
        published = [records[part - 1][key] for key in ("start-time", "end-time")]
        assert row["aliases"].endswith(";AAAAAAAAAAA_{:.3f}_{:.3f}".format(*published))
    assert json.loads(rows[10]["labels"])["published_times"][0] == repr(records[10]["start-time"])


def test_last_part_that_laps_over_the_one_before_is_corrected_too(read):
    starts = added_up(100.0, 4)
    starts.append(starts[-1] + 3 * PART + 1.5)  # the fifth ends with the scene, 1.5 s after the fourth
    rows, said = read(scene(starts), times="corrected")
    assert float(rows[4]["start"]) == pytest.approx(100 + 3 * PART + 1.5, abs=1e-9)
    assert "3 pairs of neighbouring parts add up, those of 0 follow" in said[-1]


def test_order_of_the_records_does_not_matter_to_what_is_said(read):
    records = scene(added_up(100.0, 6))
    assert read(records[::-1])[1][-1] == read(records)[1][-1]


def test_times_without_the_fault_are_not_corrected(read):
    records = scene([100 + part * PART for part in range(6)])
    rows, said = read(records)
    assert said[-1] == "tv: the starts of 0 pairs of neighbouring parts add up, those of 4 follow"
    with pytest.raises(
        ToolFault, match="those of 4 follow: this file has not the fault; use options: times: published"
    ):
        read(records, times="corrected")


def test_parts_without_a_neighbour_say_nothing(read):
    rows, said = read(scene([100.0, 300.0], parts=[3, 7]))
    assert not any("neighbouring" in text for text in said)


def test_only_the_clips_of_a_list(read):
    names = ["videovideoTr6MMsoWAog-scene1_scene1", "videovideoZZZZZZZZZZZ-scene1_scene1"]
    training = [{"video": f"/data/TalkVid/videos-crop/{name}.mp4", "face_info": "x.pt"} for name in names]
    rows, said = read(GOOD, only=training)
    assert [row["video"] for row in rows] == ["Tr6MMsoWAog"] and rows[0]["subset"] == "TalkVid-Core"
    assert said[-1] == (
        "tv: filtered_video_clips_with_captions.json has no record for 1 of the 2 clips in TalkVid-Core.json; "
        "the first is 'videovideoZZZZZZZZZZZ-scene1_scene1'"
    )
    assert [row["video"] for row in read(GOOD, only=["-aB3dE5gH7i_61.300_66.342.mp4"])[0]] == ["-aB3dE5gH7i"]
    assert len(read(GOOD, only=[row["id"] for row in GOOD])[0]) == 2


@pytest.mark.parametrize(
    ("only", "says"),
    [("{", "is not JSON"), ([{"name": "x"}], "entry 1: \"{'name': 'x'}\": expected a name"), ([7], "entry 1: '7'")],
)
def test_broken_list_of_clips_is_named(read, tmp_path, only, says):
    with pytest.raises(ToolFault) as fault:
        read(GOOD, only=only)
    assert str(fault.value).startswith(str(tmp_path / "TalkVid-Core.json")) and says in str(fault.value)


def test_files_are_those_of_the_options():
    assert talkvid.annotation_files(OPTIONS) == talkvid.SPEC.files == (talkvid.FILE,)
    assert talkvid.annotation_files(OPTIONS | {"file": "a.json", "only": "b.json"}) == ("a.json", "b.json")


MALFORMED = {
    "no id": ({"id": ""}, "expected a text under 'id'"),
    "id of 300 letters": ({"id": "x" * 300}, "longer than 200"),
    "no info": ({"info": None}, "expected a text under 'info' / 'Video Link'"),
    "no link": ({"info": {}}, "expected a text under 'info' / 'Video Link'"),
    "channel": ({"info": {"Video Link": "https://www.youtube.com/@anna"}}, "not a YouTube address with a video id"),
    "no address": ({"info": {"Video Link": "Tr6MMsoWAog"}}, "not an address that begins with http"),
    "no start": ({"start-time": None}, "expected a number under 'start-time'"),
    "end in words": ({"end-time": "5 s"}, "expected a number under 'end-time'"),
    "score in words": ({"dover_scores": "good"}, "the score 'dover_scores' is 'good', not a number"),
}


@pytest.mark.parametrize(("change", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_record_is_named(read, tmp_path, change, says):
    with pytest.raises(ToolFault) as fault:
        read([GOOD[0], record() | change])
    assert str(fault.value).startswith(f"{tmp_path / talkvid.FILE}, record 2, line 1: '{{")
    assert says in str(fault.value)
