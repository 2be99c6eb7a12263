"""What speaks against fetched bytes: a pinned hash, or, where none is pinned, what came at the first fetch.

The first fetches of a working folder are a table (columns: owner, `file`, `size`, `sha256`, origin, `fetched`). It is
no output of a rule, since it outlives them, and several jobs add to it side by side.
"""

from __future__ import annotations

import datetime
import fcntl
import re
from pathlib import Path

from talkset import tables
from talkset.acquire.http import Got


class Firsts:
    """The table of first fetches.

    Args:
        path: of the table, which need not be there yet.
        owner: column that says what a file belongs to: model or dataset.
        origin: column that says where it is from: other bytes from elsewhere are no fault.
    """

    def __init__(self, path: Path, owner: str, origin: str):
        self._path = path
        self._owner = owner
        self._identity = (owner, "file", "sha256", origin)
        self.columns = (
            owner,
            "file",
            "size",  # bytes
            "sha256",
            origin,
            "fetched",  # date of the first fetch
        )

    def rows(self, **where: str) -> list[dict[str, str]]:
        """The rows that have these values."""
        there = list(tables.rows(self._path)) if self._path.is_file() else []
        return [row for row in there if _has(row, where)]

    def wrong(self, url: str, got: Got, pinned: str | None, /, **where: str) -> str:
        """What speaks against fetched bytes, with both hashes; empty: nothing.

        Args:
            url: where they are from.
            got: what was fetched.
            pinned: SHA-256 by the config; `None`: as at the first fetch, or, at that, as the hub says.
            where: owner, file and origin.
        """
        hub = got.said.get("x-linked-etag", "").strip('"')
        first = next(iter(self.rows(**where)), None)
        if pinned:
            if got.sha256 != pinned:
                return f"{url} holds other bytes than the pinned ones: sha256 {got.sha256}, pinned {pinned}"
        elif first:
            if got.sha256 != first["sha256"]:
                return (
                    f"{url} holds other bytes than at its first fetch on {first['fetched']}: sha256 {got.sha256}, then "
                    f"{first['sha256']}; if the new ones are right, delete the {self._owner}'s rows in {self._path}"
                )
        elif re.fullmatch("[0-9a-f]{64}", hub) and got.sha256 != hub:
            return f"{url} arrived damaged: sha256 {got.sha256}, the hub says {hub}; run the same command again"
        return ""

    def note(self, rows: list[dict], **instead: str) -> None:
        """Put rows, without their dates, into the table in place of those that have the values `instead`."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        today = datetime.date.today().isoformat()
        with open(self._path.with_name(f".{self._path.name}.lock"), "a") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            known = self.rows()
            since = {self._key(row): row["fetched"] for row in known}
            table = [row for row in known if not _has(row, instead)]
            table += [row | {"fetched": since.get(self._key(row), today)} for row in rows]
            tables.write(self._path, self.columns, sorted(table, key=lambda row: (row[self._owner], row["file"])))

    def _key(self, row: dict) -> tuple:
        return tuple(row[column] for column in self._identity)


def _has(row: dict[str, str], values: dict[str, str]) -> bool:
    return all(row[column] == value for column, value in values.items())
