"""Any folder of videos to clip table rows, with and without a table of clips."""

from __future__ import annotations

import json
import re
import unicodedata

import pytest
from told import told

import list_clips
from talkset import listing, names, tables
from talkset.datasets import folder
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in folder.SPEC.options["properties"].items()}
MEDIA = ("b.mp4", "talks/Müller 1.mov", "-x.webm")


def read(work, *paths, table=None, content=b"x", **options):
    """Rows as the clip table takes them."""
    (work / "raw").mkdir(exist_ok=True)
    for path in paths:
        (work / "raw" / path).parent.mkdir(parents=True, exist_ok=True)
        (work / "raw" / path).write_bytes(content)
    listing.write(work / "raw", work / "media.tsv", "mine")
    options = OPTIONS | options
    files = {"media.tsv": work / "media.tsv"}
    if table is not None:
        files["clips.csv"] = work / "clips.csv"
        files["clips.csv"].write_bytes(table if isinstance(table, bytes) else table.encode())
        options["table"] = "clips.csv"
    assert set(folder.annotation_files(options)) == set(files)
    return list_clips.checked(folder.clips(files, options, "mine"), "mine")


def test_every_video_is_a_clip(tmp_path):
    rows = read(tmp_path, *MEDIA)
    assert [row["url"] for row in rows] == ["-x.webm", "b.mp4", "talks/Müller 1.mov"]
    assert [row["clip"] for row in rows] == ["-x", "b", "talks+M=C3=BCller=201"]
    assert rows[2] == dict.fromkeys(tables.CLIP_COLUMNS, "") | {
        "clip": "talks+M=C3=BCller=201",
        "dataset": "mine",
        "video": "talks+M=C3=BCller=201",
        "url": "talks/Müller 1.mov",
    }
    assert [folder.import_names(row) for row in rows] == [[], [], []]


def test_ids_do_not_depend_on_what_else_is_there(tmp_path):
    before = {row["url"]: row["clip"] for row in read(tmp_path, *MEDIA)}
    after = {row["url"]: row["clip"] for row in read(tmp_path, "a.mp4", "talks/Müller.mov", "talks+M.mp4")}
    assert len(after) == 6 and before.items() <= after.items() and len(set(after.values())) == 6


HOSTILE = ["it's.mp4", 'say"x".mp4', "$(rm -rf ~).mp4", "`id`;|&.mp4", "{x}.mp4", "%s.mp4", "=.mp4", "\u202e.mp4"]
HOSTILE += ["你好/世界.mp4", "😀.mp4", "a\u00a0b.mp4", "x" * 250 + ".mp4", "-.mp4", "con.mp4", "a\\b.mp4"]


def test_hostile_names_stay_file_names(tmp_path):
    rows = read(tmp_path, *HOSTILE)
    assert {row["url"] for row in rows} == set(HOSTILE)
    assert len({row["clip"] for row in rows}) == len(HOSTILE)
    assert all(re.fullmatch(names.SAFE, row["clip"]) and "." not in row["clip"] for row in rows)


def test_what_is_no_video_is_said(tmp_path, capsys):
    rows = read(tmp_path, "a.MP4", "a.txt", "b.TXT", "a.part", "frames/1.png", "noending")
    assert [row["clip"] for row in rows] == ["a"]
    said = capsys.readouterr().err
    assert told(said, "no video (.txt), left out", 2, "a.txt") and told(said, "no video (.part), left out", 1)
    assert told(said, "no video (.), left out", 1, "noending")
    assert told(said, "a folder of pictures or nothing, left out", 1, "frames")


def test_empty_file_keeps_its_row_and_is_said(tmp_path, capsys):
    assert len(read(tmp_path, "a.mp4", content=b"")) == 1
    assert told(capsys.readouterr().err, "the file is empty, so its clip will fail", 1, "a.mp4")


def test_two_files_of_one_name_are_a_fault_until_one_ending_is_taken(tmp_path):
    with pytest.raises(ToolFault, match=r"'a/talk.mov' and 'a/talk.mp4' differ in their ending alone"):
        read(tmp_path, "a/talk.mp4", "a/talk.mov")
    assert [row["url"] for row in read(tmp_path, endings=["mov"])] == ["a/talk.mov"]


def test_a_folder_of_the_path_can_name_the_person(tmp_path, capsys):
    paths = "s1/bbaf2n.mpg", "s20/bbaf2n.mpg", "loose.mpg"
    assert [row["identity"] for row in read(tmp_path, *paths, identity_folder=0)] == ["", "s1", "s20"]
    assert told(capsys.readouterr().err, "no such folder in the path", 1, "loose.mpg")
    assert [row["identity"] for row in read(tmp_path, "s1/day/x.mpg", identity_folder=-1)] == ["", "s1", "day", "s20"]


def test_table_gives_clips_with_all_columns(tmp_path):
    cells = {
        "url": "talks/Müller 1.mov", "start": "12.5", "end": "20", "x0": "10", "y0": "20", "x1": "300.5", "y1": "400",
        "box_unit": "pixel", "ref_width": "1280", "ref_height": "720", "crop_scale": "1.2", "subset": "a",
        "identity": "Anna", "split": "train", "language": "German", "aliases": "x;y", "clip": "one",
        "labels": '"{""text"": ""hi, ü""}"',
    }  # fmt: skip
    table = f"{','.join(cells)}\n{','.join(cells.values())}\n"
    (row,) = read(tmp_path, *MEDIA, table=table)
    assert row == cells | {"dataset": "mine", "video": "talks+M=C3=BCller=201", "labels": '{"text": "hi, ü"}'}


def test_ids_of_a_table_come_from_path_and_times(tmp_path):
    rows = read(
        tmp_path, *MEDIA, table="url,start,end\nb.mp4,12.5,20\nb.mp4,20,\nb.mp4,,\nb.mp4,,3\n-x.webm,1001/30,40\n"
    )
    assert [row["clip"] for row in rows] == ["b+12=2E5-20", "b+20-end", "b", "b+0-3", "-x+1001=2F30-40"]
    assert [row["video"] for row in rows] == ["b"] * 4 + ["-x"]


def test_names_of_a_table_become_safe_and_are_kept(tmp_path):
    (row,) = read(tmp_path, *MEDIA, table="url,clip,video\nb.mp4,Anna 1/2,../v\n")
    assert (row["clip"], row["video"]) == ("Anna=201=2F2", "=2E.=2Fv")
    assert json.loads(row["labels"]) == {"clip": "Anna 1/2", "video": "../v"}


def test_marks_line_ends_empty_lines_and_repeated_lines_change_nothing(tmp_path, capsys):
    table = "url,start,end\nb.mp4,1,2\ntalks/Müller 1.mov,3,4\n"
    rows = read(tmp_path, *MEDIA, table=table)
    assert read(tmp_path, table="\ufeff" + table.replace("\n", "\r\n\r\n")) == rows
    assert read(tmp_path, table=table.replace("b.mp4", " b.mp4 ")) == rows
    capsys.readouterr()
    assert read(tmp_path, table=table + "b.mp4,1,2\n") == rows
    assert told(capsys.readouterr().err, "the line is there twice and counts once", 1, "b.mp4,1,2")


@pytest.mark.parametrize(
    "written",
    ["./talks/Müller 1.mov", "talks\\Müller 1.mov", ".\\talks\\Müller 1.mov", "talks//Müller 1.mov"]
    + [unicodedata.normalize("NFD", "talks/Müller 1.mov")],
)
def test_other_ways_of_writing_a_path_find_the_file(tmp_path, written):
    assert read(tmp_path, *MEDIA, table=f"url\n{written}\n")[0]["url"] == "talks/Müller 1.mov"


def test_file_that_is_not_there_keeps_its_row_and_unused_files_are_said(tmp_path, capsys):
    rows = read(tmp_path, *MEDIA, "notes.txt", table="url\nb.mp4\nlost/c.mp4\n")
    assert [row["url"] for row in rows] == ["b.mp4", "lost/c.mp4"]
    said = capsys.readouterr().err
    assert told(said, "the file is not in the media folder, so its clip ends as gone", 1, "lost/c.mp4")
    assert told(said, "a video that the table does not name, left out", 2, "-x.webm")


def test_table_may_name_files_of_other_endings(tmp_path):
    assert read(tmp_path, "a.bin", table="url\na.bin\n")[0]["url"] == "a.bin"


def test_odd_times_and_windows_keep_their_row(tmp_path):
    rows = read(
        tmp_path, *MEDIA, table="url,start,end,x0,y0,x1,y1,box_unit\nb.mp4,9,3,0.5,0,-0.1,2,fraction\nb.mp4,-4,3,,,,,\n"
    )
    assert [(row["start"], row["end"], row["x1"]) for row in rows] == [("9", "3", "-0.1"), ("-4", "3", "")]


def test_box_unit_without_a_window_is_left_out(tmp_path):
    assert read(tmp_path, *MEDIA, table="url,box_unit\nb.mp4,pixel\n")[0]["box_unit"] == ""


# The table, the line that the error must show, and what it must say.
MALFORMED = {
    "unknown column": ("url,speaker\nb.mp4,Anna\n", 2, "unknown column 'speaker'; known: clip, dataset"),
    "no url": ("url,start\nb.mp4,1\n,1\n", 3, "expected a path below raw as url"),
    "address": ("url\nhttps://www.youtube.com/watch?v=-aB3dE5gH7i\n", 2, "expected a path below raw as url"),
    "absolute path": ("url\n/etc/passwd\n", 2, "without a / at its beginning and without .."),
    "path out of the folder": ("url\na/../../b.mp4\n", 2, "without a / at its beginning and without .."),
    "path of Windows out of the folder": ("url\n..\\b.mp4\n", 2, "without a / at its beginning and without .."),
    "the folder": ("url\n.\n", 2, "without a / at its beginning and without .."),
    "time in words": ("url,start\nb.mp4,begin\n", 2, "start is 'begin'; expected a number"),
    "clock": ("url,end\nb.mp4,1:30\n", 2, "end is '1:30'; expected a number"),
    "exponent": ("url,end\nb.mp4,1e3\n", 2, "end is '1e3'; expected a number"),
    "nan": ("url,x0\nb.mp4,nan\n", 2, "x0 is 'nan'; expected a number"),
    "height of zero": ("url,ref_height\nb.mp4,0\n", 2, "ref_height is '0'; expected a number above 0"),
    "half a window": ("url,x0,y0,box_unit\nb.mp4,1,2,pixel\n", 2, "a window needs x0, y0, x1, y1, and pixel or"),
    "window without unit": ("url,x0,y0,x1,y1\nb.mp4,1,2,3,4\n", 2, "a window needs x0, y0, x1, y1, and pixel or"),
    "unit of another kind": ("url,x0,y0,x1,y1,box_unit\nb.mp4,1,2,3,4,cm\n", 2, "a window needs x0, y0, x1, y1"),
    "labels in words": ("url,labels\nb.mp4,happy\n", 2, "expected a JSON object as labels"),
    "labels in a list": ('url,labels\nb.mp4,"[1]"\n', 2, "expected a JSON object as labels"),
    "id twice": ("url,clip\nb.mp4,one\n-x.webm,one\n", 3, "the clip id 'one' is already that of line 2"),
    "times of one clip twice": ("url,end,split\nb.mp4,3,a\nb.mp4,3,b\n", 3, "'b+0-3' is already that of line 2"),
    "one video id, two files": ("url,video\nb.mp4,v\n-x.webm,v\n", 3, "the video id 'v' is already that of 'b.mp4'"),
    "line break in a cell": ('url,identity\nb.mp4,"a\nb"\n', 2, "identity holds control characters"),
    "long id": ("url,start\n" + "d/" * 88 + "x.mp4,1." + "0" * 20 + "\n", 2, "give one in a column clip"),
    "long name": ("url,clip\nb.mp4," + "c" * 201 + "\n", 2, "longer than 200 characters"),
    "too few cells": ("url,start,end\nb.mp4,1\n", 2, ""),
}


@pytest.mark.parametrize(("table", "number", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_line_is_named_with_file_number_and_text(tmp_path, table, number, says):
    with pytest.raises(ToolFault) as fault:
        read(tmp_path, *MEDIA, table=table)
    assert str(fault.value).startswith(f"{tmp_path}/clips.csv")
    assert f"line {number}: {table.split(chr(10))[number - 1][:20]!r}"[:-1] in str(fault.value)
    assert says in str(fault.value)


def test_table_without_url_and_one_that_is_not_utf_8_are_faults(tmp_path):
    with pytest.raises(ToolFault, match="lacking: url"):
        read(tmp_path, *MEDIA, table="path\nb.mp4\n")
    with pytest.raises(ToolFault, match="not UTF-8"):
        read(tmp_path, *MEDIA, table=b"url\nM\xfcller.mov\n")


def test_folder_without_videos_is_a_fault(tmp_path):
    with pytest.raises(ToolFault, match="mine: the annotation files hold no clips"):
        read(tmp_path, "a.txt")
