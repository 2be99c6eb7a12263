"""Annotations that are one text for each record: thousands to a million of them, in a zip archive or a folder."""

from __future__ import annotations

import codecs
import os
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from talkset.annotations import NOT_UTF8, Record
from talkset.faults import ToolFault

# Tabs may part fields; anything else that is not shown breaks a table further on.
UNSEEN = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True)
class Text:
    """One text of `Texts`.

    Attributes:
        name: path below the archive's or folder's top, with `/`.
        member: where it lies.
    """

    name: str
    member: zipfile.ZipInfo | Path

    @property
    def stem(self) -> str:
        """The last part of its name, without `.txt`."""
        return self.name.rpartition("/")[2][: -len(".txt")]


class Texts:
    """The texts (`.txt`) of a zip archive as published, or of the folder that it was unpacked to, sorted by name.

    What macOS adds to archives (`__MACOSX`, names that begin with a dot) is left out.

    Attributes:
        path: the archive or folder.
        listed: the texts.

    Raises:
        ToolFault: there is no such archive or folder, or it is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        self._zip = None
        if path.is_dir():
            tree = os.walk(path, onerror=_unreadable)
            found = (Path(folder, name) for folder, _, names in tree for name in names)
            entries = (Text(file.relative_to(path).as_posix(), file) for file in found)
        else:
            try:
                self._zip = zipfile.ZipFile(path)
            except (OSError, zipfile.BadZipFile) as error:
                raise ToolFault(
                    f"{path} is neither a folder nor a whole zip archive ({error}); download it again, "
                    "or name the folder that you unpacked it to"
                ) from error
            entries = (Text(member.filename, member) for member in self._zip.infolist())
        self.listed = sorted((entry for entry in entries if _is_text(entry.name)), key=lambda entry: entry.name)

    def __enter__(self) -> Texts:
        return self

    def __exit__(self, *error) -> None:
        if self._zip:
            self._zip.close()

    def where(self, text: Text) -> Path:
        """The text's file, for people: in an archive, as if that were a folder."""
        return self.path / text.name

    def read(self, text: Text) -> bytes:
        """The bytes of a text.

        Raises:
            ToolFault: they cannot be read, or are not those that the archive had.
        """
        try:
            return self._zip.read(text.member) if self._zip else text.member.read_bytes()
        except (OSError, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError) as error:
            raise ToolFault(f"{self.where(text)} cannot be read ({error}); download the archive again") from error

    def lines(self, text: Text) -> list[Record]:
        """The lines of a text that hold more than blanks, as in `lines`."""
        return list(lines(self.read(text), self.where(text)))


def lines(content: bytes, path: Path) -> Iterator[Record]:
    """Yield the lines that hold more than blanks; `value` is the list of fields, parted by blanks.

    A byte-order mark and CRLF are allowed.

    Raises:
        ToolFault: a line is not UTF-8 or holds control characters.
    """
    # Split at LF alone: str.splitlines would also split at characters that a hostile name may hold.
    for number, raw in enumerate(content.removeprefix(codecs.BOM_UTF8).split(b"\n"), start=1):
        text = raw.removesuffix(b"\r").decode("utf-8", errors="surrogateescape")
        # Blanks and tabs part the fields of any text; str.split knows more blanks, none of them in ASCII that is shown.
        plain = text.isascii()
        line = Record(path, 0, number, text, text.split() if plain else re.findall(r"[^ \t]+", text))
        if UNSEEN.search(text):
            raise line.fault("the text holds control characters")
        if not plain and NOT_UTF8.search(text):
            raise line.fault("the text is not UTF-8")
        if line.value:
            yield line


def exact(number: Fraction) -> str:
    """An exact number as a clip table holds it: `50.05`, or `1001/30` where decimals would not end."""
    rest, twos, fives = number.denominator, 0, 0
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    if rest > 1:
        return str(number)
    places = max(twos, fives)
    digits = f"{abs(number.numerator) * 10**places // number.denominator:0{places + 1}d}"
    whole, part = digits[: len(digits) - places], digits[len(digits) - places :]
    return ("-" if number < 0 else "") + whole + ("." + part if part else "")


def _is_text(name: str) -> bool:
    parts = name.split("/")
    return name.lower().endswith(".txt") and parts[0] != "__MACOSX" and not parts[-1].startswith(".")


def _unreadable(error: OSError) -> None:
    raise ToolFault(f"{error.filename} cannot be read ({error.strerror})") from error
