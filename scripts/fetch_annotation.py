"""Fetch one annotation file from its pinned address."""

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from talkset import files, glue, progress
from talkset.faults import ToolFault

TIMEOUT = 30.0  # seconds without a byte
PAUSES = (2.0, 10.0, 30.0)  # seconds before each further attempt
TRANSIENT = (408, 425, 429, 500, 502, 503, 504)  # HTTP statuses worth another attempt
CHUNK = 1 << 16


def main(annotation: Path, *, url: str, sha256: str, version: int) -> None:
    """Fetch `url` to `annotation`, whole or not at all.

    Args:
        annotation: output file.
        url: http or https address.
        sha256: of the file's bytes, 64 hex digits.
        version: of this step.

    Raises:
        ToolFault: the address cannot be read, or holds other bytes than the pinned ones.
    """
    if not url.startswith(("https://", "http://")):
        raise ToolFault(f"annotations: {url!r} is not an address that begins with https:// or http://")
    with files.whole(annotation) as partial:
        found = _fetch_patiently(url, partial)
        if found != sha256.lower():
            raise ToolFault(
                f"{url} holds other bytes than the pinned ones: sha256 {found}, pinned {sha256}; "
                "if the file has really changed, pin the new hash under datasets: annotations: sha256"
            )
    progress.say(f"fetched {url}")


class _NotFetched(Exception):
    """One attempt failed; `again` tells whether another may succeed."""

    def __init__(self, reason: str, again: bool):
        super().__init__(reason)
        self.again = again


def _fetch_patiently(url: str, path: Path) -> str:
    """Write the bytes at `url` to `path`, in several attempts if need be; give their SHA-256."""
    for pause in (*PAUSES, None):
        content = hashlib.sha256()
        try:
            with open(path, "wb") as handle:
                for chunk in _chunks(url):
                    content.update(chunk)
                    handle.write(chunk)
            return content.hexdigest()
        except _NotFetched as error:
            if pause is None or not error.again:
                raise ToolFault(
                    f"cannot fetch {url} ({error}); is this machine online and the address right? "
                    "Files at hand can be given as a folder: datasets: annotations: <folder>"
                ) from error
            progress.say(f"{url}: {error}; again in {pause:g} s")
            time.sleep(pause)


def _chunks(url: str) -> Iterator[bytes]:
    """Yield the bytes at `url`, saying how far they are every 10 seconds."""
    request = urllib.request.Request(url, headers={"User-Agent": "talkset"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            total, got, said = int(response.headers.get("Content-Length") or 0), 0, time.monotonic()
            while chunk := response.read(CHUNK):
                yield chunk
                got += len(chunk)
                if time.monotonic() - said >= 10:
                    said = time.monotonic()
                    progress.say(
                        f"{url}: {got / 1e6:.1f} of {total / 1e6:.1f} MB" if total else f"{url}: {got / 1e6:.1f} MB"
                    )
            if got < total:
                raise _NotFetched(f"the connection ended after {got} of {total} bytes", again=True)
    except urllib.error.HTTPError as error:
        raise _NotFetched(f"HTTP status {error.code}, {error.reason}", again=error.code in TRANSIENT) from error
    except (OSError, http.client.HTTPException) as error:
        raise _NotFetched(f"{type(error).__name__}: {getattr(error, 'reason', error)}", again=True) from error


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
