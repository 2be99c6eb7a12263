"""HDTF's lists to clip table rows: the published lists' facts, and every way a line can be wrong."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from talkset import annotations, names, tables
from talkset.datasets import hdtf
from talkset.faults import ToolFault

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "hdtf"
OPTIONS = {name: schema["default"] for name, schema in hdtf.SPEC.options["properties"].items()}

GOOD = {
    "video_url": "Anna1 https://www.youtube.com/watch?v=-aB3dE5gH7i&t=6s\nBob https://www.youtube.com/watch?v=_bB3dE5gH7i\n",
    "annotion_time": "Anna1.mp4 00:30-01:00 01:30-02:30\nBob.mp4 00:05-00:10\n",
    "resolution": "Anna1.mp4 720\nBob.mp4 1080\n",
    "crop_wh": "Anna1_0.mp4 483 390 0 391\nAnna1_1.mp4 -4 300 10 300\n",
    "crop_ratio": "Anna1_0.mp4 1.2\nAnna1_1.mp4 0.75\n",
}


def read(folder, options=None, **changed):
    """Rows of subset RD, from `GOOD` with some files' text or bytes changed."""
    for part, content in (GOOD | changed).items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / f"RD_{part}.txt").write_bytes(content)
    options = OPTIONS | {"subsets": ["RD"]} | (options or {})
    files = {name: folder / name for name in hdtf.annotation_files(options)}
    return list(hdtf.clips(files, options, "talk"))


@pytest.fixture(scope="module")
def real():
    if not REAL.is_dir():
        pytest.skip("the published HDTF lists are not beside the repository (../shared/data/hdtf)")
    said = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(hdtf.progress, "say", said.append)
        rows = list(hdtf.clips({name: REAL / name for name in hdtf.SPEC.files}, OPTIONS, "hdtf"))
    return {row["clip"]: row for row in rows}, said


def test_published_lists_have_as_many_urls_clips_and_windows_as_counted(real):
    rows, _ = real
    addresses = {subset: (REAL / f"{subset}_video_url.txt").read_text().count("https://") for subset in hdtf.SUBSETS}
    assert addresses == {"RD": 57, "WDA": 183, "WRA": 130} and sum(addresses.values()) == 370
    assert len(rows) == 436
    assert Counter(row["subset"] for row in rows.values()) == {"RD": 66, "WDA": 195, "WRA": 175}
    assert Counter(row["subset"] for row in rows.values() if row["x0"]) == {"RD": 64, "WDA": 189, "WRA": 168}
    # 370 addresses, one of them without intervals, one source listed twice
    assert len({row["video"] for row in rows.values()}) == 368
    assert len({row["video"] for row in rows.values() if row["x0"]}) == 355


def test_published_lists_time_17_07_hours(real):
    seconds = sum(int(row["end"]) - int(row["start"]) for row in real[0].values())
    assert round(seconds / 3600, 2) == 17.07


def test_published_clips_without_a_window_are_the_15_known_ones(real):
    known = """Radio6_0 Radio15_0 DeanPhillips_0 JimMcGovern1_0 JimMcGovern_0 JeffMerkley0_0 LindaSnchez_0
        ByronDorgan0_0 BillCassidy_0 MittRomney_1 RudyGiuliani_0 JaimeHerreraBeutler_0 DuncanHunter_1
        KevinBrady0_0 CandiceMiller_0"""
    without = [row for row in real[0].values() if not row["x0"]]
    assert sorted(row["aliases"].split(";")[0] for row in without) == sorted(known.split())
    assert all(row["box_unit"] == row["crop_scale"] == row["y1"] == "" for row in without)


def test_published_first_line_behind_a_byte_order_mark_is_not_lost(real):
    assert (REAL / "WDA_video_url.txt").read_bytes().startswith(b"\xef\xbb\xbfCarolynMaloney2 ")
    assert real[0]["WDA_CarolynMaloney2_000"]["video"] == "RApGxN-O9Qc"


def test_published_video_without_intervals_is_said(real):
    rows, said = real
    assert [text for text in said if "interval" in text] == [
        "hdtf: RD/Radio24 is listed without any interval, so it has no clips"
    ]
    assert not any("Radio24" in clip for clip in rows)


def test_published_heights(real):
    rows, _ = real
    assert {row["ref_height"] for row in rows.values()} == {"", "360", "700", "714", "720", "1080", "2160"}
    height = {clip: row["ref_height"] for clip, row in rows.items()}
    assert height["WRA_KevinMcCarthy1_000"] == height["WRA_KevinMcCarthy1_001"] == ""
    assert sum(not value for value in height.values()) == 2
    assert json.loads(rows["WRA_KevinMcCarthy1_000"]["labels"])["resolution"] == "0"
    assert {json.loads(row["labels"])["name"]: row["ref_height"] for row in rows.values()}.items() >= {
        "DanKildee": "360", "RaulRuiz": "700", "GregWalden": "714", "Radio56": "2160",
    }.items()  # fmt: skip


def test_published_windows_below_their_frame_are_kept_and_said(real):
    rows, said = real
    windows = re.findall(r"window of (\S+) reaches down to pixel (\d+)", "\n".join(said))
    assert windows == [("WDA/MazieHirono1_0", "1134"), ("WDA/MaggieHassan_0", "776"), ("WRA/PeterKing_0", "872")]
    row = rows["WDA_MazieHirono1_000"]
    assert [row[column] for column in ("x0", "y0", "x1", "y1", "ref_height")] == ["83", "0", "1217", "1134", "720"]


def test_published_names_with_one_address_share_a_video(real):
    rows, _ = real
    pair = [rows[f"WDA_{name}_000"] for name in ("WhipJimClyburn", "JamesClyburn1")]
    assert {row["video"] for row in pair} == {"gh3YqnvNdio"}
    assert {row["url"] for row in pair} == {"https://www.youtube.com/watch?v=gh3YqnvNdio"}
    assert [hdtf.import_names(row) for row in pair] == [["WDA_WhipJimClyburn"], ["WDA_JamesClyburn1"]]


def test_published_ids_are_safe_unique_and_unchanged_by_the_mapping(real):
    rows, _ = real
    for row in rows.values():
        name = json.loads(row["labels"])["name"]
        assert re.fullmatch(names.SAFE, row["clip"]) and re.fullmatch(annotations.YOUTUBE_ID, row["video"])
        assert row["clip"].startswith(f"{row['subset']}_{name}_0")
    every_name = [name for row in rows.values() for name in (row["clip"], *row["aliases"].split(";"))]
    assert len(set(every_name)) == 3 * 436
    assert sum(row["video"].startswith(("-", "_")) for row in rows.values()) >= 9


def test_published_row_in_full(real):
    assert real[0]["RD_Radio11_001"] == {
        "clip": "RD_Radio11_001",
        "dataset": "hdtf",
        "subset": "RD",
        "video": real[0]["RD_Radio11_000"]["video"],
        "url": real[0]["RD_Radio11_000"]["url"],
        "start": "90",
        "end": "150",
        "x0": "557",
        "y0": "0",
        "x1": "1035",
        "y1": "478",
        "box_unit": "pixel",
        "ref_width": "",
        "ref_height": "720",
        "crop_scale": "1.2",
        "identity": "Radio",
        "split": "",
        "language": "",
        "aliases": "Radio11_1;RD_Radio11_1",
        "labels": real[0]["RD_Radio11_001"]["labels"],
    }
    assert json.loads(real[0]["RD_Radio11_001"]["labels"]) == {
        "name": "Radio11",
        "index": 1,
        "url": real[0]["RD_Radio11_000"]["url"],
        "interval": "01:30-02:30",
        "resolution": "720",
    }


def test_files_of_the_default_options_are_those_of_the_spec():
    assert hdtf.annotation_files(OPTIONS) == hdtf.SPEC.files and len(hdtf.SPEC.files) == 15
    assert len(hdtf.annotation_files(OPTIONS | {"subsets": ["WRA"]})) == 5


def test_rows_of_a_small_list(tmp_path):
    first, second, third = read(tmp_path)
    assert [row["clip"] for row in (first, second, third)] == ["RD_Anna1_000", "RD_Anna1_001", "RD_Bob_000"]
    assert set(first) == set(tables.CLIP_COLUMNS)
    assert (first["video"], first["url"]) == ("-aB3dE5gH7i", "https://www.youtube.com/watch?v=-aB3dE5gH7i")
    assert json.loads(first["labels"])["url"].endswith("&t=6s")
    assert (first["start"], first["end"]) == ("30", "60")
    assert [first[column] for column in ("x0", "y0", "x1", "y1")] == ["483", "0", "873", "391"]
    assert [second[column] for column in ("x0", "y0", "x1", "y1")] == ["-4", "10", "296", "310"]
    assert (second["crop_scale"], second["identity"]) == ("0.75", "Anna")
    assert (third["x0"], third["box_unit"], third["ref_height"]) == ("", "", "1080")


def test_byte_order_marks_line_ends_and_blanks_change_nothing(tmp_path):
    plain = read(tmp_path)
    marked = {part: b"\xef\xbb\xbf" + text.encode().replace(b"\n", b"\r\n") for part, text in GOOD.items()}
    unended = {part: text.removesuffix("\n") for part, text in GOOD.items()}
    blanks = {part: "\n" + text.replace("\n", "  \t\n\n").replace(" ", " \t ") for part, text in GOOD.items()}
    for other in (marked, unended, blanks):
        assert read(tmp_path, **other) == plain


def test_positions_count_intervals_not_windows(tmp_path):
    rows = read(tmp_path, crop_wh="Anna1_1.mp4 0 300 10 300\n", crop_ratio="Anna1_1.mp4 0.75\n")
    assert [(row["clip"], row["x1"]) for row in rows] == [
        ("RD_Anna1_000", ""), ("RD_Anna1_001", "300"), ("RD_Bob_000", ""),
    ]  # fmt: skip


def test_interval_that_ends_before_it_starts_keeps_its_row(tmp_path):
    rows = read(tmp_path, annotion_time="Anna1.mp4 01:00-00:30 1:00:01-1:01:00\nBob.mp4 75:30-75:30\n")
    assert [(row["start"], row["end"]) for row in rows] == [("60", "30"), ("3601", "3660"), ("4530", "4530")]


def test_subsets_option_leaves_the_others_unread(tmp_path):
    rows = read(tmp_path)
    (tmp_path / "WDA_video_url.txt").write_text("broken")
    assert read(tmp_path) == rows


def more(part, line):
    """`GOOD` with one more line in a file."""
    return {part: GOOD[part] + line + "\n"}


def swap(part, old, new):
    """`GOOD` with a part of a file's text replaced."""
    assert old in GOOD[part]
    return {part: GOOD[part].replace(old, new, 1)}


# What is changed in the good lists; the file and line that the error must show, and what it must say.
TIME, SIZE, BOX, SCALE, URL = "annotion_time", "resolution", "crop_wh", "crop_ratio", "video_url"
LONG = {part: GOOD[part].replace("Bob", "b" * 300) for part in (URL, TIME, SIZE)}
MALFORMED = {
    "address missing": (more(URL, "Carl"), URL, 3, "expected name and address"),
    "blank in an address": (more(URL, "Carl https://a.org/ c"), URL, 3, "expected name and address"),
    "no address": (more(URL, "Carl carl.mp4"), URL, 3, "https://"),
    "file address": (more(URL, "Carl file:///etc/passwd"), URL, 3, "https://"),
    "broken host": (more(URL, "Carl http://[::1"), URL, 3, "https://"),
    "short id": (swap(URL, "_bB3dE5gH7i", "_bB3dE5gH7"), URL, 2, "id of 11 letters"),
    "channel": (more(URL, "Carl https://www.youtube.com/SomeChannel"), URL, 3, "id of 11 letters"),
    "name twice": (more(URL, "\nAnna1 https://youtu.be/cB3dE5gH7ic"), URL, 4, "'Anna1' is already in line 1"),
    "one id, two addresses": (
        {URL: "Anna1 https://a.org/?v=x1\nBob https://b.org/?v=x1\n"}, URL, 2, "same id 'x1': ",
    ),
    "no interval": (more(TIME, "Carl.mp4"), TIME, 3, "one or more intervals"),
    "no ending": (swap(TIME, "Bob.mp4", "Bob"), TIME, 2, "name.mp4"),
    "half an interval": (swap(TIME, "00:05-00:10", "00:05"), TIME, 2, "'00:05' is not an interval"),
    "seconds above 59": (swap(TIME, "01:00", "00:75"), TIME, 1, "'00:30-00:75' is not an interval"),
    "minutes above 59": (swap(TIME, "01:00", "1:60:00"), TIME, 1, "'00:30-1:60:00' is not an interval"),
    "negative time": (swap(TIME, "00:30", "-0:30"), TIME, 1, "'-0:30-01:00' is not an interval"),
    "fraction of a second": (swap(TIME, "00:30", "00:30.5"), TIME, 1, "'00:30.5-01:00' is not an interval"),
    "digits of another script": (swap(TIME, "00:30", "0\u0663:30"), TIME, 1, "is not an interval"),
    "intervals without address": (more(TIME, "Carl.mp4 00:01-00:02"), TIME, 3, "video_url.txt has no line for 'Carl'"),
    "intervals without height": (swap(SIZE, "Bob.mp4 1080\n", ""), TIME, 2, "RD_resolution.txt has no line for 'Bob'"),
    "height without address": (more(SIZE, "Carl.mp4 720"), SIZE, 3, "RD_video_url.txt has no line for 'Carl'"),
    "height in words": (swap(SIZE, "720", "720p"), SIZE, 1, "0 if unknown"),
    "height of a video without clips": (
        {URL: GOOD[URL] + "Carl https://a.org/\n"} | more(SIZE, "Carl.mp4 ?"), SIZE, 3, "0 if unknown",
    ),
    "window of three numbers": (swap(BOX, "0 391", "0"), BOX, 1, "x, width, y, height"),
    "window in fractions": (swap(BOX, "-4", "0.5"), BOX, 2, "whole pixels"),
    "window without index": (swap(BOX, "Anna1_1", "Anna1"), BOX, 2, "index from 0"),
    "index with a zero before it": (swap(BOX, "Anna1_1", "Anna1_01"), BOX, 2, "index from 0"),
    "window past the intervals": (
        more(BOX, "Bob_1.mp4 1 2 3 4") | more(SCALE, "Bob_1.mp4 1.2"), BOX, 3, "1 intervals for 'Bob', so there is no",
    ),
    "window of nobody": (
        more(BOX, "Carl_0.mp4 1 2 3 4") | more(SCALE, "Carl_0.mp4 1.2"), BOX, 3, "0 intervals for 'Carl'",
    ),
    "window twice": (more(BOX, "Anna1_0.mp4 1 2 3 4"), BOX, 3, "'Anna1_0' is already in line 1"),
    "window without ratio": (more(BOX, "Bob_0.mp4 1 2 3 4"), BOX, 3, "RD_crop_ratio.txt has no line for 'Bob_0'"),
    "ratio without window": (more(SCALE, "Bob_0.mp4 1.2"), SCALE, 3, "RD_crop_wh.txt has no line for 'Bob_0'"),
    "ratio of zero": (swap(SCALE, "1.2", "0.0"), SCALE, 1, "above 0"),
    "ratio with a comma": (swap(SCALE, "1.2", "1,2"), SCALE, 1, "above 0"),
    "NUL": (swap(URL, "Bob", "Bo\0b"), URL, 2, "control characters"),
    "line separator": (swap(URL, "Bob", "Bo\u2028b"), URL, 2, "control characters"),
    "old line ends": (swap(SIZE, "\n", "\r"), SIZE, 1, "control characters"),
    "name of 300 letters": (LONG, URL, 2, "longer than 200"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "part", "number", "says"), MALFORMED.values(), ids=MALFORMED)
def test_malformed_line_is_named_with_file_number_and_text(tmp_path, changed, part, number, says):
    with pytest.raises(ToolFault) as fault:
        read(tmp_path, **changed)
    text = (GOOD | changed)[part].split("\n")[number - 1]
    shown = f"{tmp_path / f'RD_{part}.txt'}, line {number}: {text!r}: "
    assert str(fault.value).startswith(shown)
    assert says in str(fault.value).removeprefix(shown)


def test_line_that_is_not_utf_8_is_named_too(tmp_path):
    with pytest.raises(ToolFault) as fault:
        read(tmp_path, video_url=GOOD["video_url"].encode() + b"Zo\xeb https://a.org/\n")
    assert str(fault.value) == rf"{tmp_path}/RD_video_url.txt, line 3: 'Zo\\xeb https://a.org/': the text is not UTF-8"


HOSTILE = ["../x", "..", "/etc/passwd", "x;rm", "$(touch${IFS}x)", "`id`", "it's", 'say"x"', "-rf", ".hidden", "a\\b"]
HOSTILE += ["=", "Zo\u00eb", "a\u00a0b"]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_stays_a_file_name(tmp_path, name):
    def renamed(part):
        return GOOD[part].replace("Bob", name)

    row = read(tmp_path, **{part: renamed(part) for part in ("video_url", "annotion_time", "resolution")})[-1]
    for safe in (row["clip"], *row["aliases"].split(";"), *hdtf.import_names(row)):
        assert re.fullmatch(names.SAFE, safe), safe
    assert len(row["aliases"].split(";")) == 2
    assert json.loads(row["labels"])["name"] == name


def test_hostile_names_get_different_ids(tmp_path):
    texts = {
        "video_url": "".join(f"{name} https://a.org/?v=v{n}\n" for n, name in enumerate(HOSTILE)),
        "annotion_time": "".join(f"{name}.mp4 00:01-00:02\n" for name in HOSTILE),
        "resolution": "".join(f"{name}.mp4 720\n" for name in HOSTILE),
    }
    rows = read(tmp_path, **texts, crop_wh="", crop_ratio="")
    assert len({row["clip"] for row in rows}) == len(HOSTILE)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=-aB3dE5gH7i",
        "http://youtube.com/watch?list=PL1&v=-aB3dE5gH7i&t=6s",
        "https://m.youtube.com/watch?v=-aB3dE5gH7i#t=1",
        "https://youtu.be/-aB3dE5gH7i?t=9",
        "https://www.youtube.com/shorts/-aB3dE5gH7i",
        "https://www.youtube-nocookie.com/embed/-aB3dE5gH7i?rel=0",
        "https://www.youtube.com/live/-aB3dE5gH7i/",
        "https://WWW.YouTube.com/v/-aB3dE5gH7i",
    ],
)
def test_every_form_of_a_youtube_address_gives_its_id(tmp_path, url):
    row = read(tmp_path, video_url=f"Anna1 {url}\nBob https://a.org/?v=bob\n")[0]
    assert (row["video"], row["url"]) == ("-aB3dE5gH7i", "https://www.youtube.com/watch?v=-aB3dE5gH7i")
    assert json.loads(row["labels"])["url"] == url


def test_address_of_another_site_is_named_by_its_parameter_or_a_hash(tmp_path):
    anna, _, bob = read(
        tmp_path, video_url="Anna1 http://127.0.0.1:8000/watch?v=anna_25\nBob https://a.org/../b;c?v=..%2F..%2Fx\n"
    )
    assert (anna["video"], anna["url"]) == ("anna_25", "http://127.0.0.1:8000/watch?v=anna_25")
    assert re.fullmatch("url-[0-9a-f]{20}", bob["video"]) and bob["url"] == "https://a.org/../b;c?v=..%2F..%2Fx"
