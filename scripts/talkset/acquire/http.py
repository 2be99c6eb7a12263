"""Fetches a file over HTTP: patient, going on where it stopped, and saying how far it is.

What has arrived lies beside the file under a hidden name (`part`) until the caller has verified it and calls `keep`; a
second hidden file says which content of which address it is, so that parts of two contents are never put together.
"""

from __future__ import annotations

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from talkset import files, progress
from talkset.faults import ToolFault

TIMEOUT = 30.0  # seconds without a byte
PAUSES = (2.0, 10.0, 30.0)  # seconds before each further attempt
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses worth another attempt
REDIRECTS = (301, 302, 303, 307, 308)
CHUNK = 1 << 18


class NotFetched(Exception):
    """The server or the way to it failed.

    Args:
        reason: what was met.
        again: whether another attempt may succeed.
        status: the HTTP status, if there was an answer.
    """

    def __init__(self, reason: str, again: bool, status: int | None = None):
        super().__init__(reason)
        self.again = again
        self.status = status


@dataclass(frozen=True)
class Got:
    """A fetched file.

    Attributes:
        sha256: of its bytes, lower-case hex.
        size: bytes.
        said: the headers of all answers on the way by name in lower case; of one name the first.
    """

    sha256: str
    size: int
    said: dict[str, str]


def part(path: Path) -> Path:
    """Where what has arrived of `path` lies until it is kept."""
    return path.with_name(f".{path.name}.part")


def fetch(url: str, path: Path, *, size: int | None = None, headers: dict[str, str] | None = None) -> Got:
    """Bring what is at `url` to `part(path)`, in several attempts if need be, going on with what an earlier call left.

    Args:
        url: http or https address.
        path: the file that it will be.
        size: the bytes that it must have; `None`: not known.
        headers: to send; `Authorization` is kept from other hosts that the address forwards to.

    Raises:
        NotFetched: the last attempt failed, or another is pointless.
        ToolFault: the address is of another kind, the file has another size, or the disk is full.
    """
    if not url.startswith(("https://", "http://")):
        raise ToolFault(f"{url!r} is not an address that begins with https:// or http://")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        got = _patiently(url, lambda: _attempt(url, path, size, headers or {}), lambda: _arrived(path))
    except NotFetched:
        if not _tag(path).exists():
            drop(path)
        raise
    _check_size(url, path, got.size, size)
    return got


def keep(path: Path) -> None:
    """Make the part, now verified, the file."""
    with open(part(path), "rb") as handle:  # reach the disk before the name says it is done
        os.fsync(handle.fileno())
    os.replace(part(path), path)
    drop(path)


def drop(path: Path) -> None:
    """Remove what has arrived of `path`."""
    part(path).unlink(missing_ok=True)
    _tag(path).unlink(missing_ok=True)


def first_answer(url: str, header: str, *, headers: dict[str, str] | None = None) -> str:
    """One header of what `url` answers, asked for without the content, up to the first redirect that has it.

    Returns:
        Its value; empty: no answer had it.

    Raises:
        NotFetched: as `fetch`.
    """

    def ask() -> str:
        response, said = _open(url, headers or {}, method="HEAD", until=header.lower())
        response.close()
        return said.get(header.lower(), "")

    return _patiently(url, ask, lambda: 0)


def _patiently(url: str, attempt: Callable[[], Any], arrived: Callable[[], int]) -> Any:
    """What `attempt` returns, tried again after faults that pass; `arrived` tells how far the attempts have come."""
    pauses, most = list(PAUSES), 0
    while True:
        try:
            return attempt()
        except NotFetched as error:
            there = arrived()
            if there > most > 0:
                pauses = list(PAUSES)  # an attempt that got further is no sign of lasting trouble
            most = max(most, there)
            if not error.again or not pauses:
                raise
            progress.say(f"{url}: {error}; again in {pauses[0]:g} s")
            time.sleep(pauses.pop(0))


def _arrived(path: Path) -> int:
    return part(path).stat().st_size if part(path).exists() else 0


def _tag(path: Path) -> Path:
    return path.with_name(f".{path.name}.part.json")


def _attempt(url: str, path: Path, size: int | None, headers: dict[str, str]) -> Got:
    start, content = 0, hashlib.sha256()
    validator = _validator(url, path)
    if validator:
        start = _arrived(path)
        headers = headers | {"Range": f"bytes={start}-", "If-Range": validator}
    else:
        drop(path)
    response, said = _open(url, headers)
    with response:
        if response.status == 416:
            if response.headers.get("Content-Range") == f"bytes */{start}":
                return Got(files.sha256(part(path)), start, said)
            drop(path)
            raise NotFetched("the server has not as much as has arrived before", again=True, status=416)
        if response.status != 206:
            start = 0
        elif _first_byte(response.headers) != start:
            drop(path)
            raise NotFetched("the server sent another part than asked for", again=True, status=206)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        if total is not None:
            _check_size(url, path, total, size)
        _room(url, path, (total or size or start) - start)
        if start:
            with open(part(path), "rb") as handle:
                content = hashlib.file_digest(handle, lambda: content)
            progress.say(f"{url}: going on after {start / 1e6:.1f} MB")
        else:
            drop(path)
            part(path).touch()
            _note(url, path, response.headers)
        got = _copy(url, path, response, content, start, total)
    if total is not None and got < total:
        raise NotFetched(f"the connection ended after {got} of {total} bytes", again=True)
    return Got(content.hexdigest(), got, said)


def _open(url: str, headers: dict[str, str], *, method: str = "GET", until: str = ""):
    """The answer to a request, and the headers of all answers up to it; `until`: stop at a redirect that has it."""
    opener = urllib.request.build_opener(_NoRedirect)
    headers = {"User-Agent": "talkset"} | headers
    said: dict[str, str] = {}
    for _ in range(10):
        try:
            response = opener.open(urllib.request.Request(url, headers=headers, method=method), timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code not in (*REDIRECTS, 416):
                error.close()
                again = error.code in TRANSIENT
                raise NotFetched(f"HTTP status {error.code}, {error.reason}", again, error.code) from error
            response = error
        except (OSError, http.client.HTTPException) as error:
            raise NotFetched(f"{type(error).__name__}: {getattr(error, 'reason', error)}", again=True) from error
        said = {key.lower(): value for key, value in response.headers.items()} | said
        if response.status not in REDIRECTS or until in said:
            return response, said
        target = urllib.parse.urljoin(url, response.headers.get("Location", ""))
        response.close()
        if not target.startswith(("https://", "http://")):
            raise NotFetched(f"HTTP status {response.status}, forwarded to {target!r}", again=False)
        if urllib.parse.urlsplit(target)[:2] != urllib.parse.urlsplit(url)[:2]:
            headers = {key: value for key, value in headers.items() if key != "Authorization"}
        url = target
    raise NotFetched("forwarded too often", again=False)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Leaves redirects to `_open`, which reads their headers and takes no token to another host."""

    def redirect_request(self, *_):
        return None


def _copy(url: str, path: Path, response, content, start: int, total: int | None) -> int:
    """Append the answer to the part; the bytes that it then has."""
    got, began = start, time.monotonic()
    said = began
    try:
        with open(part(path), "ab") as handle:
            while chunk := _read(response):
                content.update(chunk)
                handle.write(chunk)
                got += len(chunk)
                now = time.monotonic()
                if now - said >= 10:
                    said = now
                    rate = (got - start) / (now - began)
                    of = f" of {total / 1e6:.1f} MB, about {(total - got) / rate / 60:.1f} min left" if total else " MB"
                    progress.say(f"{url}: {got / 1e6:.1f}{of} ({rate / 1e6:.1f} MB/s)")
    except OSError as error:  # the server's faults are no OSError here, so it is the disk's
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise _full(url, path, f"{got / 1e6:.0f} MB have arrived") from error
        raise
    return got


def _read(response) -> bytes:
    """The next bytes of an answer; empty at its end, also where it ends too soon."""
    try:
        return response.read(CHUNK)
    except http.client.IncompleteRead as error:
        return error.partial
    except (OSError, http.client.HTTPException) as error:
        raise NotFetched(f"{type(error).__name__}: {error}", again=True) from error


def _validator(url: str, path: Path) -> str:
    """What the server called the content that the part is from; empty: the part cannot be gone on with."""
    try:
        tag = json.loads(_tag(path).read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return ""
    return tag["validator"] if tag.get("url") == url and part(path).is_file() else ""


def _note(url: str, path: Path, headers) -> None:
    """Keep the server's name for this content; If-Range takes a strong tag or a date."""
    tag = headers.get("ETag", "")
    validator = headers.get("Last-Modified", "") if tag.startswith("W/") or not tag else tag
    if validator:
        files.write_json(_tag(path), {"url": url, "validator": validator})


def _check_size(url: str, path: Path, found: int, size: int | None) -> None:
    if size is not None and found != size:
        drop(path)
        raise ToolFault(f"{url} has {found} bytes, pinned are {size}; if the file has really changed, pin its new size")


def _first_byte(headers) -> int | None:
    match = re.match(r"bytes (\d+)-", headers.get("Content-Range", ""))
    return int(match[1]) if match else None


def _room(url: str, path: Path, needed: int) -> None:
    free = shutil.disk_usage(path.parent).free
    if needed > free:
        raise _full(url, path, f"{needed / 1e6:.0f} MB are still to come, {free / 1e6:.0f} MB are free")


def _full(url: str, path: Path, what: str) -> ToolFault:
    return ToolFault(
        f"the disk of {path.parent} is full ({url}: {what}); "
        "make room and run the same command again, it goes on where it stopped"
    )
