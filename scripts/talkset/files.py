"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def whole(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; rename it into place only when the block ends without an error.

    The name keeps the ending of `path` (encoders look at it) and is the same in every attempt, so that a killed
    job's leftover is overwritten by the next one and never mistaken for the result.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = partial_of(path)
    try:
        yield partial
        with open(partial, "rb") as handle:  # reach the disk before the name says it is done
            os.fsync(handle.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """The path that `whole` gives for `path`: what a killed job may have left beside it."""
    return path.with_name(f".{path.stem}.partial{path.suffix}")


@contextlib.contextmanager
def scratch(path: str | Path) -> Iterator[Path]:
    """Give an empty folder beside `path` for what is written on the way to it; it is gone afterwards.

    Its name is the same in every attempt: what a killed job left there is cleared by the next one.
    """
    path = Path(path)
    folder = path.with_name(f".{path.stem}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all."""
    with whole(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: str | Path, value) -> None:
    """Write `value` as readable JSON, keys in the order given, whole or not at all."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def sha256(path: str | Path) -> str:
    """SHA-256 of a file's bytes as lower-case hex."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
