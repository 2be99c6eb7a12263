"""Annotations of one text each: archives and folders read alike, and every damage is named."""

from __future__ import annotations

import zipfile
from fractions import Fraction

import pytest

from talkset import tables, texts
from talkset.faults import ToolFault

CONTENT = {"meta/b.txt": b"\xef\xbb\xbfone  two\r\n\r\n\tthree\n", "meta/-a.txt": b"x"}
JUNK = {"__MACOSX/meta/._b.txt": b"\x00", "meta/._b.txt": b"\x00", "meta/list.csv": b"1", "meta/B.md": b""}


@pytest.fixture(params=["archive", "folder"])
def given(request, tmp_path):
    if request.param == "archive":
        with zipfile.ZipFile(tmp_path / "given", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.mkdir("meta")
            for name, content in (CONTENT | JUNK).items():
                archive.writestr(name, content)
    else:
        for name, content in (CONTENT | JUNK).items():
            path = tmp_path / "given" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return tmp_path / "given"


def test_texts_are_listed_by_name_without_what_macos_adds(given):
    with texts.Texts(given) as found:
        assert [text.name for text in found.listed] == ["meta/-a.txt", "meta/b.txt"]
        assert [text.stem for text in found.listed] == ["-a", "b"]
        assert found.read(found.listed[0]) == b"x"


def test_lines_keep_their_number_and_fields(given):
    with texts.Texts(given) as found:
        first, second = found.lines(found.listed[1])
    assert (first.line, first.text, first.value) == (1, "one  two", ["one", "two"])
    assert (second.line, second.value) == (3, ["three"])
    assert str(second.fault("expected four")) == f"{given}/meta/b.txt, line 3: '\\tthree': expected four"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"Zo\xeb", "not UTF-8"),
        (b"a\0b", "control characters"),
        (b"a\rb", "control characters"),
        ("a\u2028b".encode(), "control characters"),
    ],
)
def test_a_line_that_no_table_can_hold_is_named(tmp_path, line, says):
    with pytest.raises(ToolFault, match=rf"x\.txt, line 2: .*{says}"):
        list(texts.lines(b"good\n" + line, tmp_path / "x.txt"))


def test_archive_that_is_none_or_cut_off_is_named(tmp_path):
    for content in (b"", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04 half"):
        (tmp_path / "meta.zip").write_bytes(content)
        with pytest.raises(ToolFault, match="meta.zip is neither a folder nor a whole zip archive"):
            texts.Texts(tmp_path / "meta.zip")
    with pytest.raises(ToolFault, match="none.zip is neither"):
        texts.Texts(tmp_path / "none.zip")


def test_damaged_member_is_named(tmp_path):
    path = tmp_path / "meta.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", b"hello world")
    path.write_bytes(path.read_bytes().replace(b"hello", b"hexlo"))
    with texts.Texts(path) as found, pytest.raises(ToolFault, match=r"meta\.zip/a\.txt cannot be read .*CRC"):
        found.read(found.listed[0])


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (Fraction(1500 * 1001, 30000), "50.05"),
        (Fraction(1001, 30), "1001/30"),
        (Fraction(349, 25), "13.96"),
        (Fraction(-1, 8), "-0.125"),
        (Fraction(7), "7"),
        (Fraction(0), "0"),
        (Fraction("0.319") + Fraction("0.424"), "0.743"),
        (Fraction(-1000), "-1000"),
    ],
)
def test_exact_numbers_are_written_without_rounding(number, text):
    assert texts.exact(number) == text and tables.seconds(text) == number
