"""The listing of a user's media folder: what stands in for annotations where a dataset's clips are its files.

`media.tsv` is one such annotation file: the adapters read it and never the disk, so that the same listing gives the
same clip table. In the rows that follow from it, `url` is the path below the folder.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from talkset import tables
from talkset.annotations import Oddities
from talkset.faults import ToolFault
from talkset.texts import UNSEEN

NAME = "media.tsv"
COLUMNS = (
    "path",  # below the folder, with `/`
    "kind",  # file, or images: a folder with numbered pictures and nothing else (or with nothing at all)
    "images",  # number of pictures
    "first",  # their least number, as in 00000001.png
    "last",  # their largest
    "bytes",  # of a file
)
VIDEOS = ("mp4", "mov", "mkv", "webm", "avi", "mpg", "mpeg", "m4v", "flv", "wmv", "ts", "mts", "m2ts", "ogv", "3gp")
PICTURES = ("png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff")
NUMBERED = re.compile(r".*?([0-9]{1,15})\.[A-Za-z]+")
ID_LENGTH = 180  # of the 200 that a file name may have: what is added to an id must fit too


@dataclass(frozen=True)
class Media:
    """One file, or one folder of numbered pictures; attributes as in `COLUMNS`."""

    path: str
    kind: str
    images: int
    first: int
    last: int
    bytes: int

    @property
    def ending(self) -> str:
        """The ending of a file's name in lower case, without its dot; empty for pictures."""
        return ending(self.path) if self.kind == "file" else ""


def ending(path: str) -> str:
    """The ending of a file's name in lower case, without its dot."""
    return os.path.splitext(path)[1].lower().removeprefix(".")


def number(name: str) -> int | None:
    """The number in a picture's file name; `None`: the file is no numbered picture."""
    match = NUMBERED.fullmatch(name) if ending(name) in PICTURES else None
    return int(match[1]) if match else None


def media_id(path: str) -> str:
    """A clip or video id from a path below the folder, one to one but for the ending, and the same on any machine.

    Letters, digits, `_` and `-` stay, `/` becomes `+`, every other byte of the UTF-8 form `=XX` (two hex digits): dots
    too, because readers of shards end a sample's name at its first dot. What would be longer than `ID_LENGTH` ends in
    `==` and 20 digits of the path's hash instead.
    """
    stem = os.path.splitext(path)[0]
    mapped = "".join(
        char if re.fullmatch(r"[A-Za-z0-9_-]", char) else "+" if char == "/" else _escaped(char) for char in stem
    )
    if len(mapped) > ID_LENGTH:
        mapped = f"{mapped[: ID_LENGTH - 22]}=={hashlib.sha256(stem.encode()).hexdigest()[:20]}"
    return mapped


def read(path: Path) -> Iterator[Media]:
    """Yield the entries of a listing, in order of their paths.

    Raises:
        ToolFault: the file is no listing.
    """
    with open(path, encoding="utf-8", newline="") as handle:
        lines = csv.DictReader(handle, delimiter="\t", strict=True)
        if tuple(lines.fieldnames or ()) != COLUMNS:
            raise ToolFault(f"{path}: the columns are {lines.fieldnames}, not {COLUMNS}; delete the file and run again")
        for row in lines:
            numbers = (int(row[column] or 0) for column in COLUMNS[2:])
            yield Media(row["path"], row["kind"], *numbers)


def write(folder: Path, path: Path, dataset: str) -> None:
    """Write the listing of `folder` to `path`; the folder is only read.

    Folders are entered to any depth, links to folders once each. What no table can hold is left out and said: names
    that are not UTF-8 or hold control characters, hidden files (beginning with a dot), links to nothing.

    Args:
        folder: the user's.
        path: output.
        dataset: its name in the config, for the lines that are said.

    Raises:
        ToolFault: the folder or one below it cannot be read.
    """
    odd = Oddities(dataset)
    rows = walk(folder, odd)
    odd.say()
    tables.write(path, COLUMNS, rows)


def walk(folder: Path, odd: Oddities) -> list[dict]:
    """The rows that `write` writes; `odd` counts what is left out.

    Raises:
        ToolFault: the folder or one below it cannot be read.
    """
    return sorted(_entries(folder, "", set(), odd), key=lambda row: row["path"])


def digest(rows: list[dict]) -> str:
    """SHA-256 (hex) of rows that `walk` gave: another one where a path, a size or a folder's pictures are others."""
    content = hashlib.sha256()
    for row in rows:
        content.update(json.dumps([row.get(column) for column in COLUMNS]).encode() + b"\n")
    return content.hexdigest()


def _entries(folder: Path, below: str, entered: set[tuple[int, int]], odd: Oddities) -> Iterator[dict]:
    """Rows of a folder, `below` its path with `/` at its end; `entered` identifies the folders that were entered."""
    try:
        status = os.stat(folder)
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise ToolFault(f"the media folder {folder} cannot be read ({error.strerror})") from error
    if (status.st_dev, status.st_ino) in entered:
        odd.note("a link to a folder that is listed already, left out", below)
        return
    entered.add((status.st_dev, status.st_ino))
    files, folders = [], []
    for entry in entries:
        path = below + entry.name
        if entry.name.startswith("."):
            odd.note("hidden (the name begins with a dot), left out", path)
        elif UNSEEN.search(path) or "\t" in path or not _is_utf8(path):
            odd.note("the name is not UTF-8 or holds control characters, left out", path)
        elif entry.is_dir():
            folders.append(entry)
        elif entry.is_file():
            files.append(entry)
        else:
            odd.note("a link to nothing, or no file, left out", path)
    numbers = [number(entry.name) for entry in files]
    if below and not folders and None not in numbers:
        ends = {"first": min(numbers), "last": max(numbers)} if numbers else {}
        yield {"path": below.removesuffix("/"), "kind": "images", "images": len(numbers), **ends}
    else:
        for entry in files:
            yield {"path": below + entry.name, "kind": "file", "bytes": entry.stat().st_size}
    for entry in folders:
        yield from _entries(Path(entry.path), f"{below}{entry.name}/", entered, odd)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _escaped(char: str) -> str:
    return "".join(f"={byte:02X}" for byte in char.encode())
