"""A user's WebVid CSV to clip table rows."""

from __future__ import annotations

import json

import pytest

import list_clips
from talkset import annotations, tables
from talkset.datasets import webvid
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in webvid.SPEC.options["properties"].items()}
HEADER = "videoid,contentUrl,duration,page_dir,name"
URL = "https://ak.example.org/videos/{0}/preview/stock-footage-{0}.mp4"


def line(
    number="1099999991", caption='"Woman talks, close up"', duration="PT00H00M12S", url=None, page="006001_006050"
):
    return f"{number},{URL.format(number) if url is None else url},{duration},{page},{caption}"


@pytest.fixture
def read(tmp_path, monkeypatch):
    """Rows, checked as `list_clips` does, and what was said, from lines or a text."""

    def rows(lines, **options):
        options = OPTIONS | options
        path = tmp_path / options["file"]
        text = lines if isinstance(lines, str) else "\n".join([HEADER, *lines]) + "\n"
        path.write_text(text, encoding="utf-8", newline="")
        said = []
        monkeypatch.setattr(annotations.progress, "say", said.append)
        return list_clips.checked(webvid.clips({path.name: path}, options, "web"), "web"), said

    return rows


def test_rows_of_the_published_form(read):
    (row,), said = read([line()])
    assert set(row) == set(tables.CLIP_COLUMNS)
    assert (row["clip"], row["video"], row["url"]) == ("1099999991", "1099999991", URL.format("1099999991"))
    assert (row["start"], row["end"]) == ("0", "12")
    assert (row["split"], row["subset"], row["identity"], row["x0"]) == ("train", "10M", "", "")
    assert json.loads(row["labels"]) == {
        "caption": "Woman talks, close up", "talking": True, "duration": "PT00H00M12S", "page_dir": "006001_006050",
    }  # fmt: skip
    assert webvid.import_names(row) == ["1099999991"]
    assert said[0] == (
        "web: the addresses of WebVid were withdrawn on 23 February 2024 and most no longer work; "
        "Panda-70M is the set to use instead"
    )
    assert said[-1] == "web: 1 of 1 videos chosen"


def test_columns_come_in_any_order_and_there_may_be_more(read):
    wild = (
        f"videoid,name,page_idx,page_dir,duration,contentUrl\r\n00012,A man,27732,027701_027750,PT00H01M00S,{URL}\r\n"
    )
    (row,), _ = read("\ufeff" + wild)
    assert (row["clip"], row["end"]) == ("00012", "60")
    assert json.loads(row["labels"])["page_idx"] == "27732"


@pytest.mark.parametrize(
    ("duration", "end"), [("PT01H02M03S", "3723"), ("PT9S", "9"), ("PT2M", "120"), ("", ""), ("null", ""), ("PT0S", "")]
)
def test_durations(read, duration, end):
    (row,), said = read([line(duration=duration)])
    assert (row["start"], row["end"]) == ("0", end)
    assert any("the length is unknown" in text for text in said) == (not end)


@pytest.mark.parametrize(
    ("file", "split", "subset"),
    [("results_2M_val.csv", "val", "2M"), ("0322.csv", "", ""), (webvid.FILE, "train", "10M")],
)
def test_split_is_that_of_the_file(read, file, split, subset):
    (row,), _ = read([line()], file=file)
    assert (row["split"], row["subset"]) == (split, subset)


def test_people_who_talk_come_first_and_nobody_else(read):
    captions = ["Cat climbing on tree", "A man walks", "A man speaks", "Cartoon man speaks"]
    lines = [line(str(number), captions[number % 4]) for number in range(40)]
    rows, said = read(lines, count=15)
    assert [json.loads(row["labels"])["talking"] for row in rows] == [True] * 10 + [False] * 5
    assert said[-1] == "web: 15 of 40 videos chosen"
    assert read(lines[::-1], count=15)[0] == rows
    assert len(read(lines, people=[], exclude=[], count=None)[0]) == 40


def test_video_listed_twice_counts_once_as_the_first_that_fits(read):
    rows, said = read([line("7", "A tree"), line("7", "A man"), line("7", "A woman speaks"), line("8", "A man")])
    captions = {row["clip"]: json.loads(row["labels"])["caption"] for row in rows}
    assert captions == {"7": "A man", "8": "A man"}
    assert "web: the video has an earlier row, which counts (1, the first in '7')" in said


def test_page_that_is_lacking_does_not_matter(read):
    assert len(read([line(page="")])[0]) == 1


def test_hostile_id_stays_a_file_name(read):
    assert [row["clip"] for row in read([line("../x"), line("-rf")])[0]] in (["=2E.=2Fx", "-rf"], ["-rf", "=2E.=2Fx"])


MALFORMED = {
    "no address": (line(url="null"), "expected an address that begins with https:// or http://"),
    "no id": (line(number=" ", url="https://a.org"), "expected a text under 'videoid'"),
    "duration": (line(duration="12 s"), "the duration is '12 s', not one like PT00H00M12S"),
    "bare duration": (line(duration="PT"), "the duration is 'PT'"),
    "caption without quotes": (line(caption="Woman talks, close up"), "expected 5 cells as in the header, found 6"),
}


@pytest.mark.parametrize(("row", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_row_is_named(read, tmp_path, row, says):
    with pytest.raises(ToolFault) as fault:
        read([line("1"), row])
    assert str(fault.value).startswith(f"{tmp_path / webvid.FILE}, record 2, line 3: {row + chr(10)!r}: ")
    assert says in str(fault.value)


def test_another_table_is_refused(read):
    with pytest.raises(ToolFault, match="lacking: contentUrl, duration, name"):
        read("videoid,caption\n1,2\n")
