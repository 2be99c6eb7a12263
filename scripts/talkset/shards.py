"""Fixed groups of clips, and the index of source videos that the Snakefile reads.

The split is a pure function of the clip table and `shard_size`: `shard_size` source videos a shard, in the order of
their first row, so clips of one video never part and what can be downloaded changes nothing.
"""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path

from talkset import tables
from talkset.faults import ToolFault

INDEX_COLUMNS = (
    "video",  # source id, file-name safe
    "url",  # or relative path for imported media
    "ref_height",  # pixels: the largest among the video's clips; empty if unknown
    "shard",  # where its clips are
    "clips",  # number of clips to cut (not those that end as no-window)
    "digest",  # SHA-256 of its clip table rows
    "names",  # file names without ending under which it may be imported, `;`-separated; empty: it lies where url says
    "rate",  # pictures a second, exact, where it is a folder of pictures; else empty
)


def by_video(rows: Iterable[dict]) -> dict[str, list[dict]]:
    """Clip table rows of each source video; videos in the order of their first row, rows in the order given."""
    groups: dict[str, list[dict]] = {}
    for row in rows:
        groups.setdefault(row["video"], []).append(row)
    return groups


def split(rows: Iterable[dict], shard_size: int) -> dict[str, str]:
    """The shard of each source video.

    Args:
        rows: clip table rows in the table's order.
        shard_size: source videos a shard. 1: the shard is named after its video; else 00000, 00001, ...
    """
    if shard_size < 1:
        raise ToolFault(f"shard_size is {shard_size}; it must be 1 or more source videos")
    videos = dict.fromkeys(row["video"] for row in rows)
    if shard_size == 1:
        return {video: video for video in videos}
    return {video: f"{position // shard_size:05d}" for position, video in enumerate(videos)}


def digest(rows: Iterable[dict]) -> str:
    """SHA-256 (hex) of clip table rows: every column, in order; absent ones count as empty."""
    content = hashlib.sha256()
    for row in rows:
        values = [row.get(column) or "" for column in tables.CLIP_COLUMNS]
        content.update(json.dumps(values).encode() + b"\n")
    return content.hexdigest()


def join_digests(digests: Iterable[str]) -> str:
    """The digest of a shard from those of its videos, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def index(
    rows: Iterable[dict], shard_size: int, *, require_window: bool, import_names: Callable[[dict], list[str]]
) -> list[dict]:
    """Rows of `videos.tsv` (`INDEX_COLUMNS`), one for each source video, in the order of the clip table.

    Args:
        rows: clip table rows in the table's order.
        shard_size: as in `split`.
        require_window: whether clips without a window are left out of the number of clips to cut.
        import_names: the adapter's function of that name.
    """
    groups = by_video(rows)
    shard_of = split(({"video": video} for video in groups), shard_size)
    return [
        {
            "video": video,
            "url": group[0]["url"],
            "ref_height": max((row["ref_height"] for row in group), key=lambda text: Fraction(text or 0)),
            "shard": shard_of[video],
            "clips": sum(not require_window or row["x0"] != "" for row in group),
            "digest": digest(group),
            "names": ";".join(dict.fromkeys(name for row in group for name in import_names(row))),
            "rate": json.loads(group[0]["labels"] or "{}").get("image_rate", ""),
        }
        for video, group in groups.items()
    ]


class Index:
    """A read `videos.tsv`: one pass over the file, then look-ups only.

    Attributes:
        shards: names in order.

    Raises:
        ToolFault: from `videos`, `row` and `digest` for a name that the index does not have.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._rows: dict[str, dict[str, str]] = {}
        self._videos: dict[str, list[str]] = {}
        with open(self.path, encoding="utf-8", newline="") as handle:
            lines = csv.reader(handle, delimiter="\t", strict=True)
            columns = tuple(next(lines, ()))
            if columns != INDEX_COLUMNS:
                raise ToolFault(
                    f"{path}: the columns are {columns}, not {INDEX_COLUMNS}; "
                    "delete the file and run the same command again"
                )
            for line in lines:
                row = dict(zip(columns, line, strict=True))
                self._rows[row["video"]] = row
                self._videos.setdefault(row["shard"], []).append(row["video"])
        self.shards = list(self._videos)

    def videos(self, shard: str) -> list[str]:
        """The source videos of a shard, in order."""
        if shard not in self._videos:
            raise ToolFault(f"{self.path} has no shard {shard!r}; {self._examples(self._videos)}")
        return self._videos[shard]

    def row(self, video: str) -> dict[str, str]:
        """The index row of a source video."""
        if video not in self._rows:
            raise ToolFault(f"{self.path} has no video {video!r}; {self._examples(self._rows)}")
        return self._rows[video]

    def digest(self, shard: str) -> str:
        """SHA-256 (hex) of all that the clip table says of a shard."""
        return join_digests(self._rows[video]["digest"] for video in self.videos(shard))

    @staticmethod
    def _examples(known: dict) -> str:
        return f"it has {len(known)}, the first: {', '.join(list(known)[:3])}"
