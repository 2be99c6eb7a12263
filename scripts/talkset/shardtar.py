"""Media shards: plain tar files in the WebDataset convention (members that share a stem are one sample).

Every clip of the shard list has a `{clip}.json` record, also the ones that ended before this stage; media members
are there only where the record's `status` is `ok`. Headers carry no date or owner, so equal content is equal bytes.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from talkset import files, names
from talkset.faults import ToolFault

MEMBER = re.compile(rf"({names.SAFE})\.(mp4|mkv|wav|json)")


class Writer:
    """Write one shard, whole or not at all: `with Writer(path) as shard: shard.add(...)`."""

    def __init__(self, path: str | Path):
        self._whole = files.whole(path)

    def __enter__(self) -> Writer:
        self._tar = tarfile.open(self._whole.__enter__(), "w", format=tarfile.PAX_FORMAT)
        return self

    def __exit__(self, *error) -> None:
        self._tar.close()
        self._whole.__exit__(*error)

    def add(self, clip: str, record: dict, media: dict[str, Path | bytes] | None = None) -> None:
        """Add one clip: its media by ending (`{"mp4": path}`) and, last, its record."""
        for ending, content in (media or {}).items():
            self._member(f"{clip}.{ending}", content)
        text = json.dumps(record, ensure_ascii=False, allow_nan=False)
        self._member(f"{clip}.json", (text + "\n").encode())

    def _member(self, name: str, content: Path | bytes) -> None:
        header = tarfile.TarInfo(name)
        header.mode = 0o644
        if isinstance(content, bytes):
            header.size = len(content)
            self._tar.addfile(header, io.BytesIO(content))
        else:
            header.size = content.stat().st_size
            with open(content, "rb") as handle:
                self._tar.addfile(header, handle)


class Reader:
    """Read one shard: `records()` in order, `media()` as a byte range of the tar that PyAV can open in place.

    Raises:
        ToolFault: the tar is damaged or holds a member that talkset did not write (a path, a link, an odd name).
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._spans: dict[str, tuple[int, int]] = {}
        try:
            with tarfile.open(self.path, "r:") as tar:
                for member in tar:
                    if not member.isreg() or not MEMBER.fullmatch(member.name):
                        raise ToolFault(
                            f"{path}: member {member.name!r} is not one that talkset writes; delete the file"
                        )
                    self._spans[member.name] = (member.offset_data, member.size)
        except tarfile.TarError as error:
            raise ToolFault(f"{path} is damaged ({error}); delete it and run the same command again") from error

    def records(self) -> Iterator[dict]:
        """Yield every clip's record in the order of the shard list."""
        for name in self._spans:
            if name.endswith(".json"):
                yield json.loads(self.read(name))

    def has(self, name: str) -> bool:
        """Whether the member is there."""
        return name in self._spans

    def read(self, name: str) -> bytes:
        """The bytes of one member."""
        offset, size = self._spans[name]
        with open(self.path, "rb") as handle:
            handle.seek(offset)
            return handle.read(size)

    def media(self, name: str) -> Span:
        """One member as a seekable file, without a copy."""
        return Span(self.path, *self._spans[name])


class Span(io.RawIOBase):
    """A byte range of a file as a seekable, read-only file."""

    def __init__(self, path: Path, offset: int, size: int):
        self._file = open(path, "rb")  # noqa: SIM115 (closed by close)
        self._offset, self._size, self._at = offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer) -> int:
        want = max(0, min(len(buffer), self._size - self._at))
        self._file.seek(self._offset + self._at)
        got = self._file.readinto(memoryview(buffer)[:want])
        self._at += got
        return got

    def close(self) -> None:
        self._file.close()
        super().close()
