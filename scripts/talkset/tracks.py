"""Faces over time: which face of one picture is which of the next, and the parquet file that keeps them all.

One row per analysed picture and face; a picture without any face has one row with face -1 and NaN for the rest. The
rows of a clip lie together in the order of time. The file's metadata `talkset` holds, as JSON, `clips`: the record of
every clip of the shard in its order, also of those that ended (they have no rows).
"""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from talkset import files, pose
from talkset.faults import ToolFault
from talkset.geometry import overlap
from talkset.pose import POINTS

if TYPE_CHECKING:  # whoever reads tracks needs no mediapipe, which takes seconds to import
    from talkset.faces import Face

SCHEMA = pa.schema(
    [
        ("clip", pa.string()),
        ("frame", pa.int32()),  # number of the picture among the analysed ones, from 0
        ("pts", pa.int64()),  # its stamp in the clip file
        ("time", pa.float64()),  # seconds after the annotated start
        ("face", pa.int16()),  # id within the clip, from 0: by first appearance, then from left to right; -1 = none
        ("x0", pa.float32()),  # face box (see faces.Face), pixels of the upright source picture
        ("y0", pa.float32()),
        ("x1", pa.float32()),
        ("y1", pa.float32()),
        ("score", pa.float32()),  # probability, 0..1
        ("landmarks", pa.list_(pa.float32(), POINTS * 3)),  # 478 x (x, y, z), the same pixels; NaN = none
        ("yaw", pa.float32()),  # head pose in degrees, see talkset.pose
        ("pitch", pa.float32()),
        ("roll", pa.float32()),
    ]
)
FLOATS = [field.name for field in SCHEMA if pa.types.is_floating(field.type)]
ROWS = 2048  # of one clip in a row group, about 12 MB
STEP = 32  # landmarks are kept to 1/32 pixel: a hundredth of what the mesh can tell, and half the file
IN_MEMORY = 64 << 20  # bytes of one clip's rows that wait in memory; more wait on disk

# A face is the one of a picture up to GAP seconds before that it overlaps best, by at least OVERLAP (intersection over
# union), or, where none overlaps, the nearest whose centre moved by at most REACH of the sides and whose side changed
# by less than half. GAP bridges a blink of the finder, not an absence.
GAP = Fraction(1, 2)
OVERLAP, REACH = 0.3, 0.5


class Joiner:
    """Gives the faces of consecutive pictures of one clip their ids."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[np.ndarray, Fraction]] = {}
        self._count = 0

    def ids(self, boxes: Sequence[np.ndarray], time: Fraction) -> list[int]:
        """Ids of the faces of the next picture.

        Args:
            boxes: each `[4]` x0 y0 x1 y1.
            time: seconds, larger than the time of the picture before.
        """
        self._last = {face: (box, seen) for face, (box, seen) in self._last.items() if time - seen <= GAP}
        pairs = []
        for face, (before, _) in self._last.items():
            for index, box in enumerate(boxes):
                common, away = overlap(before, box), _distance(before, box)
                if common >= OVERLAP or away <= REACH:
                    pairs.append((-common, away, face, index))
        found: dict[int, int] = {}
        for _, _, face, index in sorted(pairs):
            if index not in found and face not in found.values():
                found[index] = face
        for index in sorted(range(len(boxes)), key=lambda index: boxes[index][0]):
            if index not in found:
                found[index] = self._count
                self._count += 1
        self._last |= {face: (boxes[index], time) for index, face in found.items()}
        return [found[index] for index in range(len(boxes))]


def _distance(one: np.ndarray, other: np.ndarray) -> float:
    """Of two boxes' centres in units of their mean side; infinite if one is twice as large as the other."""
    sides = np.sqrt([(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)])
    if sides.max() > 2 * sides.min():
        return math.inf
    return float(np.hypot(*(one[:2] + one[2:] - other[:2] - other[2:]) / 2) / sides.mean())


class Writer:
    """Write the face tracks of one shard, whole or not at all: `with Writer(path) as shard: shard.add(...)`.

    Args:
        path: the parquet file.
        about: more for its metadata (versions, settings).
    """

    def __init__(self, path: str | Path, about: Mapping | None = None):
        self._path, self._whole, self._about = Path(path), files.whole(path), dict(about or {})
        self._records: list[dict] = []

    def __enter__(self) -> Writer:
        self._file = pq.ParquetWriter(
            self._whole.__enter__(),
            SCHEMA,
            compression="zstd",
            compression_level=3,
            use_dictionary=["clip", "face"],
            use_byte_stream_split=[*FLOATS, "landmarks.list.element"],
            store_schema=True,
        )
        return self

    def __exit__(self, *error) -> None:
        text = json.dumps({"clips": self._records} | self._about, ensure_ascii=False, allow_nan=False)
        self._file.add_key_value_metadata({"talkset": text})
        self._file.close()
        self._whole.__exit__(*error)

    def add(self, record: dict, pictures: Iterable[tuple[int, Fraction, list[Face]]] = ()) -> None:
        """Add one clip: its record and, in the order of time, stamp, time and faces of each analysed picture.

        What `pictures` raises passes through, and nothing of the clip is added then.
        """
        with tempfile.SpooledTemporaryFile(IN_MEMORY, dir=self._path.parent) as spool:
            with pa.ipc.new_stream(spool, SCHEMA) as stream:
                for batch in _batches(record["clip"], pictures):
                    stream.write_batch(batch)
            spool.seek(0)
            for batch in pa.ipc.open_stream(spool):
                self._file.write_batch(batch)
        self._records.append(record)


def _batches(clip: str, pictures: Iterable[tuple[int, Fraction, list[Face]]]) -> Iterator[pa.RecordBatch]:
    joiner, rows = Joiner(), []
    for frame, (pts, time, found) in enumerate(pictures):
        ids = joiner.ids([face.box for face in found], time)
        rows += [(frame, pts, float(time), face, found[ids.index(face)]) for face in sorted(ids)]
        if not found:
            rows.append((frame, pts, float(time), -1, None))
        if len(rows) >= ROWS:
            yield _batch(clip, rows)
            rows = []
    if rows:
        yield _batch(clip, rows)


def _batch(clip: str, rows: list[tuple[int, int, float, int, Face | None]]) -> pa.RecordBatch:
    frame, pts, time, ids, found = zip(*rows, strict=True)
    boxes, score = np.full((len(rows), 4), np.nan, np.float32), np.full(len(rows), np.nan, np.float32)
    points = np.full((len(rows), POINTS, 3), np.nan)
    for row, face in enumerate(found):
        if face is not None:
            boxes[row], score[row] = face.box, face.score
            if face.landmarks is not None:
                points[row] = face.landmarks
    angles = pose.angles(points)
    landmarks = (np.rint(points * STEP) / STEP).astype(np.float32).ravel()
    columns = {
        "clip": [clip] * len(rows),
        "frame": frame,
        "pts": pts,
        "time": time,
        "face": ids,
        **dict(zip(("x0", "y0", "x1", "y1"), boxes.T, strict=True)),
        "score": score,
        "landmarks": pa.FixedSizeListArray.from_arrays(pa.array(landmarks), POINTS * 3),
        **dict(zip(("yaw", "pitch", "roll"), angles.astype(np.float32).T, strict=True)),
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in SCHEMA], schema=SCHEMA)


def records(path: str | Path) -> list[dict]:
    """The record of every clip in the shard's order: `clip`, `status`, `reason`, `stage`; where `status` is `ok` also
    `width` and `height` (pixels of the upright picture) and `rate` (analysed pictures a second, nominal, a fraction).

    Raises:
        ToolFault: the file is damaged.
    """
    try:
        return json.loads(pq.read_metadata(path).metadata[b"talkset"])["clips"]
    except (pa.ArrowException, ValueError, KeyError, TypeError) as error:
        raise _damaged(path, error) from error


def read(path: str | Path, clip: str, columns: Sequence[str] | None = None) -> dict[str, np.ndarray]:
    """The rows of one clip, all faces, in the order of time.

    Args:
        path: the parquet file.
        clip: its id.
        columns: which columns; default: all but `clip`. Landmarks are 5.7 kB a row.

    Returns:
        By column `[n]`; `landmarks` is `[n,1434]`. `n` is 0 for a clip that ended before or is not there.

    Raises:
        ToolFault: the file is damaged.
    """
    names = list(columns or (name for name in SCHEMA.names if name != "clip"))
    try:
        table = pq.read_table(path, columns=names, filters=[("clip", "==", clip)], partitioning=None, use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    return {name: _array(table[name]) for name in names}


def _array(column: pa.ChunkedArray) -> np.ndarray:
    if not pa.types.is_fixed_size_list(column.type):
        return column.to_numpy()
    parts = [chunk.flatten().to_numpy() for chunk in column.chunks]
    return np.concatenate([np.empty(0, np.float32), *parts]).reshape(-1, column.type.list_size)


def _damaged(path: str | Path, error: Exception) -> ToolFault:
    return ToolFault(f"{path} is damaged ({error}); delete it and run the same command again")


def follow(track: Mapping[str, np.ndarray], window: Sequence[float] | None = None) -> int:
    """Which face a clip is about.

    With an annotated window the face that has the most of it: the largest area in common with the window, summed over
    all pictures. Without one the face with the largest area summed over all pictures, so presence times size. Equal
    ones: the lower id.

    Args:
        track: `read` of the clip, at least `face`, `x0`, `y0`, `x1`, `y1`.
        window: x0 y0 x1 y1 in pixels of the source.

    Returns:
        Its id; -1 if there is no face, or none ever in the window.
    """
    low = np.stack([track["x0"], track["y0"]], axis=1).astype(np.float64)
    high = np.stack([track["x1"], track["y1"]], axis=1).astype(np.float64)
    if window is not None:
        low, high = np.maximum(low, window[:2]), np.minimum(high, window[2:])
    area = np.clip(high - low, 0, None).prod(axis=1)
    ids = np.unique(track["face"][track["face"] >= 0])
    sums = [area[track["face"] == face].sum() for face in ids]
    return int(ids[np.argmax(sums)]) if len(ids) and max(sums) > 0 else -1


def boxes(track: Mapping[str, np.ndarray], face: int) -> np.ndarray:
    """Boxes of one face, `[n,4]` float64, x0 y0 x1 y1; one row per analysed picture, NaN where it is not there."""
    pictures, first = np.unique(track["pts"], return_index=True)
    result = np.full((len(first), 4), np.nan)
    mine = track["face"] == face
    if face >= 0:
        at = np.searchsorted(pictures, track["pts"][mine])
        result[at] = np.stack([track[side][mine] for side in ("x0", "y0", "x1", "y1")], axis=1)
    return result
