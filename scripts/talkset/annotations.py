"""Annotation files of many records, JSON or CSV: read as a stream, and every fault named with file, record and text.

A byte-order mark, CRLF and blank lines are allowed everywhere. What is wrong with a record itself is a `ToolFault` of
`Record.fault`; what is merely odd in published data is counted by `Oddities` and said once.
"""

from __future__ import annotations

import codecs
import csv
import hashlib
import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

from talkset import names, progress
from talkset.faults import ToolFault

CHUNK = 1 << 20
LONGEST = 1 << 24  # characters of one record: beyond that its end was never found
SHOWN = 500  # characters of a record in an error

# What people hand in instead of the file, by its first bytes.
FOREIGN = {
    b"version https://git-lfs": "a Git LFS pointer; fetch the file itself (git lfs pull, or from its address)",
    b"PK\x03\x04": "a zip archive; unpack it",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"<": "a web page; the address leads to a page about the file, not to the file",
}

YOUTUBE = re.compile(r"(?:[a-z]+\.)?(?:youtube\.com|youtube-nocookie\.com|youtu\.be)")
YOUTUBE_ID = re.compile(r"[A-Za-z0-9_-]{11}")
YOUTUBE_PATH = re.compile(r"(?:youtu\.be|[^/]+/(?:shorts|embed|live|v))/([^/]+)/?")

NUMBER = re.compile(r"-?[0-9]{1,12}(?:\.[0-9]{1,20})?")
BLANKS = re.compile(r"[ \t\r\n]*")
IN_NUMBERS = re.compile(r"[0-9.eE+-]*")
NOT_UTF8 = re.compile("[\udc80-\udcff]")  # how `surrogateescape` shows bytes that are not UTF-8
DECODER = json.JSONDecoder()


@dataclass(frozen=True)
class Record:
    """One record of an annotation file.

    Attributes:
        path: the file.
        number: counted from 1; 0 stands for what comes before the first record.
        line: where it begins, counted from 1 as editors do.
        text: as it stands in the file.
        value: what it holds: any JSON value, or a dict of texts by column name for CSV.
        name: its key, where the file is an object of records; else empty.
    """

    path: Path
    number: int
    line: int
    text: str
    value: Any
    name: str = ""

    def fault(self, expected: str) -> ToolFault:
        """The error that shows this record and says what should have been there."""
        name = f" {self.name!r}" if self.name else ""
        record = f", record {self.number}{name}" if self.number else ""
        return ToolFault(f"{self.path}{record}, line {self.line}: {self.text[:SHOWN]!r}: {expected}")

    def find(self, *keys: str) -> Any:
        """What stands under nested keys; `None` where one of them is absent."""
        value = self.value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def words(self, *keys: str) -> str:
        """A text under nested keys, without blanks about it; a whole number is taken as text.

        Raises:
            ToolFault: it is absent, empty or of another kind.
        """
        value = self.find(*keys)
        text = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
        if not text:
            raise self.fault(f"expected a text under {' / '.join(map(repr, keys))}")
        return text

    def decimal(self, *keys: str) -> str:
        """A number under nested keys, as `decimal` writes it.

        Raises:
            ToolFault: it is absent or no number.
        """
        text = decimal(self.find(*keys))
        if text is None:
            raise self.fault(f"expected a number under {' / '.join(map(repr, keys))}")
        return text

    def safe(self, text: str) -> str:
        """`names.safe_name` of a text of this record.

        Raises:
            ToolFault: no name can be made of it.
        """
        try:
            return names.safe_name(text)
        except ValueError as error:
            raise self.fault(str(error)) from None

    def source(self, *keys: str) -> tuple[str, str]:
        """`source` of the address under nested keys.

        Raises:
            ToolFault: it is no address of a video.
        """
        try:
            return source(self.words(*keys))
        except ValueError as error:
            raise self.fault(str(error)) from None


class Oddities:
    """What is odd in published data but no reason to stop: counted by kind, with the first example.

    Args:
        dataset: its name in the config, for the lines that are said.
    """

    def __init__(self, dataset: str):
        self._dataset = dataset
        self._found: dict[str, list] = {}

    def note(self, kind: str, example: str) -> None:
        """Count one."""
        self._found.setdefault(kind, [0, example])[0] += 1

    def say(self) -> None:
        """Say how many of each kind there were."""
        for kind, (count, example) in self._found.items():
            progress.say(f"{self._dataset}: {kind} ({count}, the first in {example!r})")


def show(dataset: str, record: Record) -> None:
    """Say what a record looks like; of published files the first is, so that a changed format is seen at once."""
    text = record.text if len(record.text) <= 2 * SHOWN else record.text[: 2 * SHOWN] + " ..."
    progress.say(f"{dataset}: {record.path.name}, record {record.number}: {text.strip()}")


def number(value: Any) -> int | float | None:
    """A finite number from JSON or CSV; `None` if it is none. A text counts if it is nothing but a number."""
    if isinstance(value, str):
        return float(value) if NUMBER.fullmatch(value.strip()) else None
    numeric = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return value if numeric else None


def decimal(value: Any) -> str | None:
    """A number as the clip table writes it, without exponent or rounding; `None` where `number` is."""
    found = number(value)
    if isinstance(value, str) or found is None or abs(found) >= 1e12:
        return value.strip() if isinstance(value, str) and found is not None else None
    text = format(Decimal(repr(value)), "f")
    # The table holds 20 decimals; only what is left of a subtraction (1.1e-16 for 0) has more.
    return text if len(text.partition(".")[2]) <= 20 else format(value, ".20f")


def source(url: str) -> tuple[str, str]:
    """Id (file-name safe) and address of a source video.

    A YouTube address becomes its video's plain watch page. One of another site is named by its `v` parameter, or else
    by a hash.

    Raises:
        ValueError: it is no address, or one of YouTube without a video.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise ValueError(f"{url[:SHOWN]!r} is not an address that begins with http:// or https://")
    parameter = parse_qs(parts.query).get("v", [""])[0]
    if YOUTUBE.fullmatch(host):
        path = YOUTUBE_PATH.fullmatch(host + parts.path)
        video = parameter or (path[1] if path else "")
        if not YOUTUBE_ID.fullmatch(video):
            raise ValueError(f"{url[:SHOWN]!r} is not a YouTube address with a video id of 11 letters, digits, - or _")
        return video, watch_page(video)
    if re.fullmatch(names.SAFE, parameter):
        return parameter, url
    return f"url-{hashlib.sha256(url.encode()).hexdigest()[:20]}", url


def watch_page(video: str) -> str:
    """The address of a YouTube video."""
    return f"https://www.youtube.com/watch?v={video}"


def json_list(path: Path) -> Iterator[Record]:
    """Yield the objects of a JSON list; no more than one of them and `CHUNK` are held at a time.

    Raises:
        ToolFault: the file is no list of objects.
    """
    with open(path, "rb") as handle:
        text = _Json(path, handle)
        text.expect("[", "a JSON list of records")
        if not text.take("]"):
            while True:
                yield text.record()
                if not text.take(","):
                    text.expect("]", "a comma and the next record, or the end of the list")
                    break
        text.finish()


def json_members(path: Path, of: str) -> Iterator[tuple[str, Record]]:
    """Yield the members of a JSON object, and those of its member `of` one by one.

    Yields:
        `of` and one of its members, or an empty text and another member of the object. Names are as in the file, those
        that occur twice too.

    Raises:
        ToolFault: the file is no object, or a member of `of` is none.
    """
    with open(path, "rb") as handle:
        text = _Json(path, handle)
        text.expect("{", f"a JSON object with {of!r}")
        for name in text.names():
            if name != of:
                yield "", text.record(name, anything=True)
                continue
            text.expect("{", f"an object under {of!r}")
            text.number = 0
            for member in text.names():
                yield of, text.record(member)
        text.finish()


def csv_rows(path: Path, columns: tuple[str, ...]) -> Iterator[Record]:
    """Yield the rows of a CSV file with a header, as texts by column name.

    Args:
        path: the file.
        columns: those that it must have, in any order.

    Raises:
        ToolFault: a column is lacking, or a row has more or fewer cells than the header.
    """
    csv.field_size_limit(LONGEST)
    with open(path, "rb") as handle:
        _refuse_foreign(path, handle)
        lines: list[str] = []

        def decoded() -> Iterator[str]:
            for raw in handle:
                lines.append(raw.decode("utf-8", "surrogateescape"))
                yield lines[-1]

        reader = csv.reader(decoded(), strict=True)
        header: list[str] = []
        number = 0
        while True:
            lines.clear()
            line = reader.line_num + 1
            try:
                cells = next(reader)
            except StopIteration:
                break
            except csv.Error as error:
                raise Record(path, number + bool(header), line, "".join(lines), None).fault(str(error)) from None
            if not cells:
                continue
            text = "".join(lines)
            if not header:
                header = [cell.strip() for cell in cells]
                if lacking := [column for column in columns if column not in header]:
                    expected = f"expected a header with the columns {', '.join(columns)}; lacking: {', '.join(lacking)}"
                    raise Record(path, number, line, text, None).fault(expected)
                continue
            number += 1
            record = Record(path, number, line, text, dict(zip(header, cells, strict=False)))
            if len(cells) != len(header):
                raise record.fault(f"expected {len(header)} cells as in the header, found {len(cells)}")
            _require_utf8(record)
            yield record
        if not header:
            raise ToolFault(f"{path} is empty; expected a header with the columns {', '.join(columns)}")


def _refuse_foreign(path: Path, handle: BinaryIO) -> None:
    """Go to the first character of the text, past a byte-order mark."""
    head = handle.read(64)
    marked = head.startswith(codecs.BOM_UTF8)
    for beginning, what in FOREIGN.items():
        if head.removeprefix(codecs.BOM_UTF8).lstrip(b" \t\r\n").startswith(beginning):
            raise ToolFault(f"{path} is {what}")
    handle.seek(len(codecs.BOM_UTF8) if marked else 0)


def _require_utf8(record: Record) -> None:
    if not record.text.isascii() and NOT_UTF8.search(record.text):
        raise record.fault("the text is not UTF-8")


class _Json:
    """Reads JSON piece by piece; `line` and `number` say where."""

    def __init__(self, path: Path, handle: BinaryIO):
        _refuse_foreign(path, handle)
        self.number = 0
        self._path, self._handle = path, handle
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text, self._at, self._line = "", 0, 1

    def take(self, mark: str) -> bool:
        """Whether the next character is `mark`; it is passed then."""
        if self._next() != mark:
            return False
        self._pass(self._at + 1)
        return True

    def expect(self, mark: str, what: str) -> None:
        """Pass `mark`."""
        if not self.take(mark):
            raise self._here().fault(f"expected {what}")

    def names(self) -> Iterator[str]:
        """Yield the names of an object whose { is passed; the caller takes each value before the next name."""
        if self.take("}"):
            return
        while True:
            name, _ = self._value()
            if not isinstance(name, str):
                raise self._here().fault(f"expected a name in quotes, found {name!r}")
            self.expect(":", f"a colon after the name {name!r}")
            yield name
            if not self.take(","):
                self.expect("}", "a comma and the next name, or the end of the object")
                return

    def record(self, name: str = "", anything: bool = False) -> Record:
        """The object that comes next, or whatever does."""
        self.number += 1
        if self._next() != "{" and not anything:
            raise self._here(name).fault("expected an object in braces")
        line = self._line
        value, text = self._value(name)
        record = Record(self._path, self.number, line, text, value, name)
        _require_utf8(record)
        return record

    def finish(self) -> None:
        """Refuse anything behind the end."""
        if self._next():
            raise self._here().fault("expected nothing after the end of the records")

    def _value(self, name: str = "") -> tuple[Any, str]:
        """Any value, and its text."""
        self._next()
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except (ValueError, RecursionError) as error:
                if len(self._text) - self._at < LONGEST and self._more():
                    continue
                raise self._here(name).fault(
                    f"not JSON, or the file ends too early ({getattr(error, 'msg', error)})"
                ) from None
            if IN_NUMBERS.match(self._text, end).end() == len(self._text) and self._more():
                continue  # a number may go on in the next piece
            text = self._text[self._at : end]
            self._pass(end)
            return value, text

    def _next(self) -> str:
        """The next character but blanks, which are passed; empty at the end of the file."""
        while True:
            self._pass(BLANKS.match(self._text, self._at).end())
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def _here(self, name: str = "") -> Record:
        while len(self._text) - self._at < SHOWN and self._more():
            pass
        text = self._text[self._at : self._at + SHOWN]
        return Record(self._path, self.number, self._line, text, None, name)

    def _pass(self, to: int) -> None:
        self._line += self._text.count("\n", self._at, to)
        self._at = to

    def _more(self) -> bool:
        """Read another piece; `False` at the end of the file."""
        raw = self._handle.read(CHUNK)
        self._text = self._text[self._at :] + self._decoder.decode(raw, final=not raw)
        self._at = 0
        return bool(raw)
