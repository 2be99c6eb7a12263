"""VFHQ's texts and folders of pictures to clip table rows: known answers, and every way a text can be wrong."""

from __future__ import annotations

import json
import re
import zipfile
from fractions import Fraction

import pytest
from jsonschema import Draft202012Validator
from told import told

import list_clips
from talkset import listing, tables
from talkset.datasets import vfhq
from talkset.faults import ToolFault

OPTIONS = {name: schema["default"] for name, schema in vfhq.SPEC.options["properties"].items()}
FRAMES = OPTIONS | {"source": "frames", "require_window": False}
FIRST, SECOND = "Clip+-xY3zAb5cDe+P0+C1+F1499-1668", "Clip+_bB3dE5gH7i+P12+C0+F0-126"


def text(video="-xY3zAb5cDe", fps="29.97", crop="CROP: 520 60 1110 650", rows=None):
    """One clip's text in the published form."""
    rows = rows or [
        "00001500 00000000 702.1 140.8 301.2 402.9 790.5 300.1 905.2 298.7 850.0 371.3 799.8 430.2 896.4 428.9",
        "00001501 00000000 702.4 140.5 300.0 400.1",
        "00001667 00000000 700.0 141.0 302.0 404.0 790.5 300.1 905.2 298.7 850.0 371.3 799.8 430.2 896.4 428.9",
    ]
    head = [f"Video ID: {video}", "H: 1080", "W: 1920", f"FPS: {fps}", ""]
    return "\n".join([*head, "FRAME INDEX X0 Y0 W H [Landmarks (5 Points)]", "", *rows, crop]) + "\n"


GOOD = {f"meta_info/{FIRST}.txt": text(), f"meta_info/{SECOND}.txt": text("_bB3dE5gH7i", "25", "CROP 0 0 512 500")}


def pack(folder, content):
    with zipfile.ZipFile(folder / "meta_info.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, said in content.items():
            archive.writestr(name, said)
    return folder / "meta_info.zip"


def read(folder, content=GOOD, options=OPTIONS):
    """Rows as the clip table takes them."""
    files = {"meta_info.zip": pack(folder, content)}
    return list_clips.checked(vfhq.clips(files, options, "talk"), "talk")


def read_frames(folder, *paths, content=GOOD, options=FRAMES):
    """Rows from folders with one picture for each path; a path that ends in / is an empty folder."""
    for path in paths:
        images, _, name = path.rpartition("/")
        (folder / "raw" / images).mkdir(parents=True, exist_ok=True)
        if name:
            (folder / "raw" / path).write_bytes(b"x")
    listing.write(folder / "raw", folder / "media.tsv", "talk")
    files = {"media.tsv": folder / "media.tsv", "meta_info.zip": pack(folder, content)}
    assert set(vfhq.annotation_files(options)) <= set(files)
    return list_clips.checked(vfhq.clips(files, options, "talk"), "talk")


def test_row_in_full(tmp_path):
    assert read(tmp_path)[0] == dict.fromkeys(tables.CLIP_COLUMNS, "") | {
        "clip": FIRST,
        "dataset": "talk",
        "video": "-xY3zAb5cDe",
        "url": "https://www.youtube.com/watch?v=-xY3zAb5cDe",
        "start": "50.05",
        "end": "55.6556",
        "x0": "520",
        "y0": "60",
        "x1": "1110",
        "y1": "650",
        "box_unit": "pixel",
        "ref_width": "1920",
        "ref_height": "1080",
        "identity": "-xY3zAb5cDe+P0",
        "split": "train",
        "aliases": "Clip+-xY3zAb5cDe+P0+C1",
        "labels": json.dumps(
            {"person": 0, "number": 1, "frames": [1499, 1668], "fps": "29.97", "rows": 3}
            | {"row_frames": [1500, 1667], "face_px": 402.9}
        ),
    }


def test_times_are_those_of_the_pictures_that_the_published_script_keeps(tmp_path):
    for row, rate in zip(read(tmp_path), (Fraction(30000, 1001), Fraction(25)), strict=True):
        first, last = json.loads(row["labels"])["frames"]
        start, end = tables.seconds(row["start"]), tables.seconds(row["end"])
        assert (start * rate, end * rate) == (first + 1, last)
        assert sum(start <= n / rate < end for n in range(last + 5)) == last - first - 1


@pytest.mark.parametrize(
    ("fps", "rate"),
    [
        ("29.97", "30000/1001"), ("29.97002997002997", "30000/1001"), ("23.976", "24000/1001"), ("23.98", "24000/1001"),
        ("59.94", "60000/1001"), ("25", "25"), ("25.0", "25"), ("30", "30"), ("24", "24"), ("12.5", "25/2"),
    ],
)  # fmt: skip
def test_frame_rates_of_television_are_exact(fps, rate):
    assert vfhq.rate_of(fps) == Fraction(rate)


def test_folder_archive_marks_and_line_ends_give_the_same_rows(tmp_path):
    rows = read(tmp_path)
    assert read(tmp_path, {name: "\ufeff" + said.replace("\n", "\r\n") for name, said in GOOD.items()}) == rows
    assert read(tmp_path, {name.split("/")[1]: said.replace("\n\n", "\n") for name, said in GOOD.items()}) == rows
    assert read(tmp_path, {name: said.replace(": ", ":\t ") for name, said in GOOD.items()}) == rows
    with zipfile.ZipFile(tmp_path / "meta_info.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    files = {"unpacked": tmp_path / "unpacked"}
    options = OPTIONS | {"meta": "unpacked"}
    assert vfhq.annotation_files(options) == ("unpacked",)
    assert list_clips.checked(vfhq.clips(files, options, "talk"), "talk") == rows


def test_range_stays_in_the_id_and_an_alias_is_one_clips_alone(tmp_path):
    other = FIRST.replace("F1499-1668", "F2000-2200")
    rows = read(tmp_path, GOOD | {f"meta_info/{other}.txt": text()})
    assert [row["clip"] for row in rows] == [FIRST, other, SECOND]
    assert [row["aliases"] for row in rows] == ["", "", "Clip+_bB3dE5gH7i+P12+C0"]


def test_first_record_is_said(tmp_path, capsys):
    read(tmp_path)
    assert f"talk: first of 2 texts, meta_info/{FIRST}.txt: Video ID: -xY3zAb5cDe; H: 1080;" in capsys.readouterr().err


def test_odd_records_are_kept_and_said(tmp_path, capsys):
    odd = {
        "A": text("AAAAAAAAAAA", crop=""),
        "B": text("BBBBBBBBBBB", crop="CROP: 520 60 1930 650"),
        "C": text("CCCCCCCCCCC", crop="CROP: -3 60 500 650"),
        "D": text("DDDDDDDDDDD", crop="CROP: 500 650 400 60"),
    }
    rows = read(tmp_path, {f"Clip+{name * 11}+P0+C0+F9-300.txt": said for name, said in odd.items()})
    assert [(row["x0"], row["x1"], row["box_unit"]) for row in rows] == [
        ("", "", ""), ("520", "1930", "pixel"), ("-3", "500", "pixel"), ("500", "400", "pixel"),
    ]  # fmt: skip
    said = capsys.readouterr().err
    assert told(said, "the text has no CROP line", 1, "Clip+AAAAAAAAAAA")
    assert told(said, "the window leaves the frame; kept as listed", 2, "Clip+BBBBBBBBBBB")
    assert told(said, "the window has its edges the wrong way round", 1, "Clip+DDDDDDDDDDD")


@pytest.mark.parametrize("span", ["300-9", "9-10", "9-9"])
def test_range_without_pictures_keeps_its_row(tmp_path, span):
    row = read(tmp_path, {f"Clip+-xY3zAb5cDe+P0+C0+F{span}.txt": text()})[0]
    assert tables.seconds(row["end"]) <= tables.seconds(row["start"])


def test_what_is_no_clips_text_is_said(tmp_path, capsys):
    rows = read(tmp_path, GOOD | {"meta_info/readme.txt": "hello", "__MACOSX/meta_info/._x.txt": "\0"})
    assert len(rows) == 2 and told(capsys.readouterr().err, "the text is no clip's", 1, "readme.txt")


def test_texts_below_a_test_folder_are_the_test_split(tmp_path):
    rows = read(tmp_path, {f"Test/{FIRST}.txt": text(), f"train/{SECOND}.txt": text("_bB3dE5gH7i")})
    assert [row["split"] for row in rows] == ["test", "train"]


def test_same_text_twice_counts_once_and_another_is_a_fault(tmp_path, capsys):
    assert len(read(tmp_path, GOOD | {f"again/{FIRST}.txt": text()})) == 2
    assert told(capsys.readouterr().err, "the clip has the same text twice", 1, FIRST)
    with pytest.raises(ToolFault, match=r"meta_info\.zip/meta_info/.* and again/.* texts of one clip, and differ"):
        read(tmp_path, GOOD | {f"again/{FIRST}.txt": text(fps="25")})


# What is changed in the first text, the line that the error must show and what it must say.
MALFORMED = {
    "row of words": ("00001501 00000000 702.4", "00001501 face 702.4", 9, "a frame's number, an index, then x"),
    "row cut off": ("140.5 300.0 400.1", "140.5", 9, "a frame's number, an index, then x"),
    "row of nothing": ("702.4", "nan", 9, "a frame's number, an index, then x"),
    "unknown line": ("FPS", "RATE", 4, "a line that begins with Video, FPS"),
    "height twice": ("W: 1920", "H: 1920", 3, "H is already in line 2"),
    "height in words": ("H: 1080", "H: full", 2, "a height in whole pixels"),
    "no width": ("W: 1920", "W: 0", 3, "a width in whole pixels"),
    "rate of zero": ("29.97", "0", 4, "pictures a second"),
    "rate in words": ("29.97", "variable", 4, "pictures a second"),
    "rate beyond reason": ("29.97", "90000", 4, "pictures a second"),
    "negative rate": ("29.97", "-29.97", 4, "pictures a second"),
    "another video": ("ID: -xY3zAb5cDe", "ID: xY3zAb5cDe-", 1, "the file's name says video '-xY3zAb5cDe'"),
    "window of three": ("520 60 1110 650", "60 1110 650", 11, "left, top, right and bottom edge"),
    "window of words": ("520 60 1110 650", "520 60 1110 all", 11, "left, top, right and bottom edge"),
    "control characters": ("H: 1080", "H: 1080\0", 2, "control characters"),
}


@pytest.mark.parametrize(("old", "new", "number", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_line_is_named_with_file_number_and_text(tmp_path, old, new, number, says):
    assert old in text()
    changed = text().replace(old, new, 1)
    with pytest.raises(ToolFault) as fault:
        read(tmp_path, {f"meta_info/{FIRST}.txt": changed})
    shown = f"{tmp_path}/meta_info.zip/meta_info/{FIRST}.txt, line {number}: {changed.split(chr(10))[number - 1]!r}: "
    assert str(fault.value).startswith(shown) and says in str(fault.value).removeprefix(shown)


@pytest.mark.parametrize("name", ["Clip+short+P0+C0+F1-2", "Clip+-xY3zAb5cDe+P0+C0", "Clip+-xY3zAb5cDe+P0+C0+F1"])
def test_name_of_another_form_is_a_fault(tmp_path, name):
    with pytest.raises(ToolFault, match=f"{re.escape(name)}.txt: the name is not Clip"):
        read(tmp_path, GOOD | {f"meta_info/{name}.txt": text()})


@pytest.mark.parametrize("head", ["Video", "H", "W", "FPS"])
def test_text_that_lacks_a_line_is_a_fault(tmp_path, head):
    lacking = "\n".join(line for line in text().split("\n") if not line.startswith(head))
    with pytest.raises(ToolFault, match=f"no line begins with {head}; is the file whole"):
        read(tmp_path, {f"{FIRST}.txt": lacking})


def test_archive_without_clips_is_a_fault(tmp_path):
    with pytest.raises(ToolFault, match="meta_info.zip holds no text that is called like"):
        read(tmp_path, {"readme.txt": "x"})


def test_folders_of_pictures_are_silent_sources_of_their_own(tmp_path, capsys):
    test = "Clip+zzzzzzzzzzz+P0+C0+F1-99"
    rows = read_frames(
        tmp_path,
        *(f"group100/x/{FIRST}/{number:08d}.png" for number in (1, 2, 3)),
        f"VFHQ-Test/GT/Interval1_512x512_LANCZOS4/{test}/00000000.png",
        f"group100/x/{SECOND}/",
        "group100/readme.md",
        options=FRAMES | {"fps": 25},
    )
    assert [row["clip"] for row in rows] == [row["video"] for row in rows] == [FIRST, SECOND, test]
    assert [row["url"] for row in rows][:2] == [f"group100/x/{FIRST}", f"group100/x/{SECOND}"]
    assert {row["start"] + row["end"] + row["x0"] + row["box_unit"] + row["ref_height"] for row in rows} == {""}
    assert [row["split"] for row in rows] == ["train", "train", "test"]
    labels = [json.loads(row["labels"]) for row in rows]
    assert [said["image_rate"] for said in labels] == ["30000/1001", "25", "25"]
    assert [said["images"] for said in labels] == [3, 0, 1] and labels[0]["first_image"] == 1
    assert labels[0]["fps"] == "29.97" and "fps" not in labels[2]
    assert [vfhq.import_names(row) for row in rows] == [[], [], []]
    said = capsys.readouterr().err
    assert told(said, "the clip's folder is empty", 1, SECOND)
    assert told(said, "not a folder of a clip's pictures, left out", 1, "group100/readme.md")


def test_missing_pictures_are_said(tmp_path, capsys):
    read_frames(tmp_path, f"{FIRST}/1.png", f"{FIRST}/3.png")
    assert told(capsys.readouterr().err, "pictures are missing between the first and the last", 1, FIRST)


def test_one_clip_in_two_archives_is_a_fault(tmp_path):
    with pytest.raises(ToolFault, match="has two folders, 'VFHQ-512/Clip.* and 'VFHQ_zips/Clip"):
        read_frames(tmp_path, f"VFHQ-512/{FIRST}/1.png", f"VFHQ_zips/{FIRST}/1.png")


def test_pictures_of_unknown_rate_need_the_option(tmp_path):
    with pytest.raises(ToolFault, match="frame rate of 'Clip.zzz.* is not known: .*meta_info.zip has no text of it"):
        read_frames(tmp_path, "Clip+zzzzzzzzzzz+P0+C0+F1-99/1.png")
    alone = FRAMES | {"meta": None, "fps": 29.97}
    assert vfhq.annotation_files(alone) == ("media.tsv",)
    assert json.loads(read_frames(tmp_path, options=alone)[0]["labels"])["image_rate"] == "30000/1001"


def test_pictures_have_no_window_to_require(tmp_path):
    with pytest.raises(ToolFault, match="talk: pictures are cropped already .*require_window: false"):
        read_frames(tmp_path, f"{FIRST}/1.png", options=FRAMES | {"require_window": True})


def test_media_folder_without_clips_says_how_to_get_them(tmp_path):
    with pytest.raises(ToolFault, match="no folder below raw is called like a clip .*https://liangbinxie"):
        read_frames(tmp_path, "x/1.png")


def test_videos_are_imported_by_their_youtube_id(tmp_path):
    assert [vfhq.import_names(row) for row in read(tmp_path)] == [["-xY3zAb5cDe"], ["_bB3dE5gH7i"]]


@pytest.mark.parametrize(
    ("given", "fits"),
    [
        ({}, True),
        ({"source": "frames", "meta": None}, True),
        ({"meta": None}, False),
        ({"source": "youtube", "meta": None}, False),
        ({"meta": "../meta_info"}, False),
        ({"fps": 0}, False),
        ({"windows": True}, False),
    ],
)
def test_options(given, fits):
    assert Draft202012Validator(vfhq.SPEC.options).is_valid(given) is fits
