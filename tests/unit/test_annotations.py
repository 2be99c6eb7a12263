"""Annotation files as streams: what is read is what is there, wherever the pieces end, and every fault is named."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from talkset import annotations
from talkset.faults import ToolFault

RECORDS = [
    {"id": "a", "n": 0.28000000000000114, "text": 'He said "no, \\ yes" \u00e9 \U0001f600'},
    {"id": "-b", "n": 12, "list": [1, -2.5e-3, None, True], "deep": {"x": {"y": "]}"}}},
    {},
]


@pytest.fixture
def write(tmp_path):
    def file(content, name="list.json"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


@pytest.mark.parametrize("chunk", [1, 2, 7, 64, 1 << 20])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("ascii", [True, False])
def test_list_is_the_same_wherever_pieces_end(write, monkeypatch, chunk, indent, ascii):
    monkeypatch.setattr(annotations, "CHUNK", chunk)
    text = json.dumps(RECORDS, indent=indent, ensure_ascii=ascii)
    for content in (text, "\ufeff" + text, text.replace("\n", "\r\n") + "\r\n", f"\n\n {text}\n"):
        records = list(annotations.json_list(write(content)))
        assert [record.value for record in records] == RECORDS
        assert [record.number for record in records] == [1, 2, 3]
        assert [json.loads(record.text) for record in records] == RECORDS


def test_records_know_their_line(write):
    path = write('[\n{"a": 1},\n\n{"a":\n 2}, {"a": 3}\n]')
    assert [record.line for record in annotations.json_list(path)] == [2, 4, 5]


def test_empty_list_has_no_records(write):
    assert list(annotations.json_list(write(" [ ] \n"))) == []


def test_list_is_not_held_whole(write):
    record = {"id": "x", "text": "y" * 2000}
    path = write("[" + ",".join([json.dumps(record)] * 10000) + "]")
    tracemalloc.start()
    count = sum(1 for _ in annotations.json_list(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 10000 and path.stat().st_size > 20e6
    assert peak < 6e6


@pytest.mark.parametrize("chunk", [1, 5, 1 << 20])
def test_members_come_one_by_one_with_those_listed_twice(write, monkeypatch, chunk):
    monkeypatch.setattr(annotations, "CHUNK", chunk)
    path = write('{"meta": {"k": [1]}, "made": 12.5, "clips": {"a": {"n": 1}, "b": {}, "a": {"n": 2}}, "end": null}')
    found = [(section, record.name, record.value) for section, record in annotations.json_members(path, "clips")]
    assert found == [
        ("", "meta", {"k": [1]}), ("", "made", 12.5),
        ("clips", "a", {"n": 1}), ("clips", "b", {}), ("clips", "a", {"n": 2}), ("", "end", None),
    ]  # fmt: skip
    assert [record.number for section, record in annotations.json_members(path, "clips") if section] == [1, 2, 3]


# What the file holds; what is said after its name.
BROKEN_LIST = {
    "object": ('{"a": 1}', r""", line 1: '{"a": 1}': expected a JSON list of records"""),
    "lines": ('{"a": 1}\n{"a": 2}\n', "expected a JSON list"),
    "empty": ("", "line 1: '': expected a JSON list"),
    "no object": ('[{"a": 1},\n 7]', ", record 2, line 2: '7]': expected an object in braces"),
    "broken": ('[{"a": 1},\n{"a": oops}, {}]', """, record 2, line 2: '{"a": oops}, {}]': not JSON, or the file"""),
    "no comma": ('[{"a": 1} {"a": 2}]', """, record 1, line 1: '{"a": 2}]': expected a comma and the next record"""),
    "comma at the end": ('[{"a": 1},]', ", record 2, line 1: ']': expected an object"),
    "cut off": ('[{"a": 1}, {"a": ', """, record 2, line 1: '{"a": ': not JSON, or the file ends too early"""),
    "cut off between": ('[{"a": 1}', ", record 1, line 1: '': expected a comma and the next record, or the end"),
    "more behind": ("[{}]\n[{}]", ", record 1, line 2: '[{}]': expected nothing after the end"),
    "not UTF-8": (b'[{"a": 1}, {"a": "Zo\xeb"}]', "record 2, line 1: '{\"a\": \"Zo\\udceb\"}': the text is not UTF-8"),
    "pointer": ("version https://git-lfs.github.com/spec/v1\noid sha256:1\n", " is a Git LFS pointer; fetch the file"),
    "page": ("\ufeff <!DOCTYPE html>\n<html>", " is a web page; the address leads to a page about the file"),
    "zip": (b"PK\x03\x04....", " is a zip archive; unpack it"),
    "gzip": (b"\x1f\x8b....", " is a gzip archive; unpack it"),
}  # fmt: skip


@pytest.mark.parametrize("chunk", [3, 1 << 20])
@pytest.mark.parametrize(("content", "says"), BROKEN_LIST.values(), ids=BROKEN_LIST)
def test_broken_list_is_named(write, monkeypatch, chunk, content, says):
    monkeypatch.setattr(annotations, "CHUNK", chunk)
    path = write(content)
    with pytest.raises(ToolFault) as fault:
        list(annotations.json_list(path))
    assert str(fault.value).startswith(str(path)) and says in str(fault.value)


def test_record_without_end_is_given_up_in_good_time(write, monkeypatch):
    monkeypatch.setattr(annotations, "LONGEST", 1000)
    monkeypatch.setattr(annotations, "CHUNK", 100)
    path = write('[{"a": "' + "x" * 100_000)
    read = []
    more = annotations._Json._more
    monkeypatch.setattr(annotations._Json, "_more", lambda self: read.append(1) or more(self))
    with pytest.raises(ToolFault, match="record 1, line 1"):
        list(annotations.json_list(path))
    assert len(read) < 20


BROKEN_OBJECT = {
    "list": ("[{}]", "expected a JSON object with 'clips'"),
    "clips as a list": ('{"clips": [1]}', "expected an object under 'clips'"),
    "clip as a text": ('{"clips": {"a": "b"}}', """record 1 'a', line 1: '"b"}}': expected an object in braces"""),
    "name without quotes": ("{clips: {}}", "not JSON"),
    "name as a number": ("{7: {}}", "expected a name in quotes, found 7"),
    "no colon": ('{"clips" {}}', "expected a colon after the name 'clips'"),
    "no end": ('{"clips": {"a": {}}', "expected a comma and the next name, or the end of the object"),
}


@pytest.mark.parametrize(("content", "says"), BROKEN_OBJECT.values(), ids=BROKEN_OBJECT)
def test_broken_object_is_named(write, content, says):
    path = write(content)
    with pytest.raises(ToolFault) as fault:
        list(annotations.json_members(path, "clips"))
    assert str(fault.value).startswith(str(path)) and says in str(fault.value)


TABLE = 'id,name\n-a1,"x, ""y""\nz"\n1e5,\n\n00012,\u00e9\n'


@pytest.mark.parametrize("content", [TABLE, "\ufeff" + TABLE, TABLE.replace("\n", "\r\n"), TABLE.removesuffix("\n")])
def test_table_is_read_as_text(write, content):
    rows = list(annotations.csv_rows(write(content), ("name", "id")))
    assert [row.value["id"] for row in rows] == ["-a1", "1e5", "00012"]
    assert [row.value["name"].replace("\r", "") for row in rows] == ['x, "y"\nz', "", "\u00e9"]
    assert [(row.number, row.line) for row in rows] == [(1, 2), (2, 4), (3, 6)]
    assert rows[0].text.replace("\r", "") == '-a1,"x, ""y""\nz"\n'


def test_cells_may_be_long(write):
    cell = "x" * 500_000
    assert next(annotations.csv_rows(write(f"id\n{cell}\n"), ("id",))).value == {"id": cell}


BROKEN_TABLE = {
    "empty": ("", " is empty; expected a header with the columns id, name"),
    "column": ("id,nam\n", ", line 1: 'id,nam\\n': expected a header with the columns id, name; lacking: name"),
    "no header": ("1,2\n", "lacking: id, name"),
    "few cells": ("id,name\n1,2\n3\n", ", record 2, line 3: '3\\n': expected 2 cells as in the header, found 1"),
    "many cells": ("id,name\n1,2,3\n", ", record 1, line 2: '1,2,3\\n': expected 2 cells as in the header, found 3"),
    "open quote": ('id,name\n1,2\n3,"x\n4,5\n', ", record 2, line 3: '3,\"x\\n4,5\\n': unexpected end of data"),
    "behind a quote": ('id,name\n3,"x"y\n', ", record 1, line 2: "),
    "not UTF-8": (b"id,name\n3,Zo\xeb\n", ", record 1, line 2: '3,Zo\\udceb\\n': the text is not UTF-8"),
    "old line ends": ("id,name\r1,2\r", "line 1: "),
    "zip": (b"PK\x03\x04....", " is a zip archive"),
}


@pytest.mark.parametrize(("content", "says"), BROKEN_TABLE.values(), ids=BROKEN_TABLE)
def test_broken_table_is_named(write, content, says):
    path = write(content)
    with pytest.raises(ToolFault) as fault:
        list(annotations.csv_rows(path, ("id", "name")))
    assert str(fault.value).startswith(str(path)) and says in str(fault.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (81.62, "81.62"), (0, "0"), (-3, "-3"), (66.341666666666665, "66.34166666666667"), (1e-05, "0.00001"),
        (1.1102230246251565e-16, "0.00000000000000011102"), (" 12.50 ", "12.50"), ("-0.5", "-0.5"), (1e3, "1000.0"),
        (True, None), (None, None), (float("nan"), None), (float("inf"), None), (1e12, None), ("1e5", None),
        ("12,5", None), ("", None), ("\u0663", None), ([1], None),
    ],
)  # fmt: skip
def test_numbers_are_written_as_the_table_takes_them(value, text):
    assert annotations.decimal(value) == text


def test_fields_are_asked_for_by_name(write):
    path = write('[{"a": {"b": " x "}, "n": 7, "t": true, "f": 1.5, "empty": " "}]')
    record = next(annotations.json_list(path))
    assert record.words("a", "b") == "x" and record.words("n") == "7" and record.decimal("f") == "1.5"
    assert record.find("a", "c") is None and record.find("a", "b", "c") is None
    for keys in (("a",), ("z",), ("t",), ("f",), ("empty",)):
        with pytest.raises(ToolFault, match="record 1, line 1.*expected a text under"):
            record.words(*keys)
    for keys in (("a", "b"), ("t",), ("z", "y")):
        with pytest.raises(ToolFault, match=f"expected a number under '{keys[0]}'"):
            record.decimal(*keys)
    with pytest.raises(ToolFault, match="not an address"):
        record.source("a", "b")
    with pytest.raises(ToolFault, match="longer than 200"):
        record.safe("x" * 201)


@pytest.mark.parametrize(
    "url",
    [
        "https://www.youtube.com/watch?v=-aB3dE5gH7i", "http://youtube.com/watch?list=PL1&v=-aB3dE5gH7i&t=6s",
        "https://youtu.be/-aB3dE5gH7i?t=9", "https://www.youtube.com/shorts/-aB3dE5gH7i",
        "https://WWW.YouTube.com/embed/-aB3dE5gH7i/",
    ],
)  # fmt: skip
def test_every_form_of_a_youtube_address_gives_its_id(url):
    assert annotations.source(url) == ("-aB3dE5gH7i", "https://www.youtube.com/watch?v=-aB3dE5gH7i")


def test_other_addresses_keep_their_text():
    assert annotations.source("http://127.0.0.1:80/watch?v=anna") == ("anna", "http://127.0.0.1:80/watch?v=anna")
    video, url = annotations.source("https://a.org/../b;c?v=..%2Fx")
    assert video.startswith("url-") and len(video) == 24 and url == "https://a.org/../b;c?v=..%2Fx"


@pytest.mark.parametrize(
    "url", ["", "null", "ftp://a.org/x", "http://", "http://[::1", "https://youtu.be/short", "https://youtube.com/@me"]
)
def test_what_is_no_address_of_a_video_is_refused(url):
    with pytest.raises(ValueError, match="address"):
        annotations.source(url)


def test_oddities_are_said_once_with_their_count(monkeypatch):
    said = []
    monkeypatch.setattr(annotations.progress, "say", said.append)
    odd = annotations.Oddities("d")
    for clip in ("a", "b", "c"):
        odd.note("the box is empty", clip)
    odd.note("twice", "z")
    odd.say()
    assert said == ["d: the box is empty (3, the first in 'a')", "d: twice (1, the first in 'z')"]
