"""Crop, clip and track shards with planted content, for tests of what reads them."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from talkset import shardtar, tracks

SIZE = 128  # side of a crop, pixels


def mp4(pictures: Sequence[np.ndarray]) -> bytes:
    """Pictures `[H,W,3]` RGB as H.264 at 25 frames a second."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "10", "preset": "ultrafast", "threads": "1"})
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def wav(samples: np.ndarray) -> bytes:
    """`[n]` float in [-1, 1) as 16 kHz mono 16-bit WAV."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes(np.round(samples * 32768).clip(-32768, 32767).astype("<i2").tobytes())
    return buffer.getvalue()


def face(
    pts: int,
    track: int = 0,
    box: tuple[float, float, float, float] = (100, 100, 200, 200),
    pose: tuple[float, float, float] = (0, 0, 0),
    mouth: float = 0.0,
) -> dict:
    """One row of the face track: eyes 40 pixels apart, inner lips `mouth` pixels apart; `track` -1: no face."""
    points = np.zeros((478, 3), np.float32)
    middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
    points[:, :2] = middle
    for point, (across, down) in {
        33: (-25, -20),
        133: (-15, -20),
        362: (15, -20),
        263: (25, -20),
        13: (0, 20 - mouth / 2),
        14: (0, 20 + mouth / 2),
    }.items():
        points[point, :2] = middle[0] + across, middle[1] + down
    if track < 0:
        box, pose, points = (np.nan,) * 4, (np.nan,) * 3, np.full((478, 3), np.nan)
    return {
        "pts": pts,
        "face": track,
        **dict(zip(("x0", "y0", "x1", "y1"), map(float, box), strict=True)),
        "score": 0.9 if track >= 0 else np.nan,
        "landmarks": points.reshape(-1),
        **dict(zip(("yaw", "pitch", "roll"), map(float, pose), strict=True)),
    }


def write_tracks(path: Path, clips: dict[str, list[dict]]) -> Path:
    """Write the face tracks of a shard; rows as `face` gives them, in the order of time."""
    rows = []
    for clip, faces in clips.items():
        frames = {pts: number for number, pts in enumerate(dict.fromkeys(row["pts"] for row in faces))}
        rows += [row | {"clip": clip, "frame": frames[row["pts"]], "time": row["pts"] / 25} for row in faces]
    records = [{"clip": clip, "status": "ok"} for clip in clips]
    schema = tracks.SCHEMA.with_metadata({"talkset": json.dumps({"clips": records})})
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return path


def crop_record(clip: str, frames: int, **changed) -> dict:
    """Record of a crop of the window 50..306 whose frame k shows stamp k."""
    return {
        "clip": clip,
        "status": "ok",
        "reason": "",
        "stage": "crop",
        "frames": frames,
        "fps": 25,
        "size": SIZE,
        "way": "tracked",
        "window": [50, 50, 306, 306],
        "window_px": 256,
        "face": 0,
        "source_pts": list(range(frames)),
        "sound": None,
        "missing_s": 0,
        "sound_missing_s": 0,
    } | changed


def write_crops(path: Path, clips: dict[str, tuple[dict, dict[str, bytes]]]) -> Path:
    """Write a crop shard from records and media (`{"mp4": ..., "wav": ...}`) by clip."""
    with shardtar.Writer(path) as shard:
        for clip, (record, media) in clips.items():
            shard.add(clip, record, media)
    return path


def ended(clip: str, status: str = "failed", reason: str = "why", stage: str = "clip") -> tuple[dict, dict]:
    """A clip that ended before."""
    return {"clip": clip, "status": status, "reason": reason, "stage": stage}, {}
