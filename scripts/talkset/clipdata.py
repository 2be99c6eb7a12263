"""One clip's crop as scores and features see it: pictures, sound and the followed face, frame by frame."""

from __future__ import annotations

import contextlib
import io
import wave
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from talkset import shardtar, tracks
from talkset.faults import ToolFault
from talkset.pose import POINTS
from talkset.timeline import FPS, RATE

SAMPLES = RATE // FPS  # a frame


@dataclass(frozen=True)
class Track:
    """The followed face at the `T` frames of a crop; NaN where the track has no face.

    Attributes:
        landmarks: `[T,478,3]` float32, pixels of the crop (left and upper edge are 0, y down); z in the same scale.
        box: `[T,4]` float32, x0 y0 x1 y1 in pixels of the crop.
        pose: `[T,3]` float32, yaw pitch roll in degrees.
    """

    landmarks: np.ndarray
    box: np.ndarray
    pose: np.ndarray


@dataclass(frozen=True)
class CropClip:
    """One clip of a crop shard; media are read when they are asked for.

    Attributes:
        clip: the clip's id.
        record: its record in the crop shard.
        shard: the crop shard.
        tracks: path of the shard's face tracks.
    """

    clip: str
    record: dict
    shard: shardtar.Reader
    tracks: Path

    @property
    def frames(self) -> int:
        """`T`, the number of frames at 25 a second."""
        return self.record["frames"]

    def pcm(self) -> np.ndarray | None:
        """The sound, `[640 T]` float32 in [-1, 1), 16 kHz mono; `None` if the source has none.

        Raises:
            ToolFault: the shard holds another length or kind of sound than its record says.
        """
        name = f"{self.clip}.wav"
        if not self.shard.has(name):
            return None
        with wave.open(io.BytesIO(self.shard.read(name))) as sound:
            kind = (sound.getframerate(), sound.getnchannels(), sound.getsampwidth(), sound.getnframes())
            data = sound.readframes(sound.getnframes())
        if kind != (RATE, 1, 2, SAMPLES * self.frames):
            raise self._damaged(name, f"(rate, channels, bytes, samples) {kind}")
        return np.frombuffer(data, "<i2").astype(np.float32) / 32768

    def pictures(self, format: str = "rgb24") -> Iterator[np.ndarray]:
        """The `T` frames in order, decoded by one thread.

        Args:
            format: `rgb24` (each `[size,size,3]` uint8) or `gray` (each `[size,size]` uint8, full range).

        Raises:
            ToolFault: the shard holds another number of frames than its record says.
        """
        name, count = f"{self.clip}.mp4", 0
        with contextlib.closing(self.shard.media(name)) as file, av.open(file) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            for frame in container.decode(stream):
                count += 1
                yield frame.to_ndarray(format=format)
        if count != self.frames:
            raise self._damaged(name, f"{count} frames")

    def faces(self) -> dict[str, np.ndarray]:
        """The clip's rows of the face tracks, all faces, by column and in the order of time (see `talkset.tracks`)."""
        return tracks.read(self.tracks, self.clip)

    def track(self) -> Track:
        """The followed face, mapped to the crop's pixels and frames.

        A frame of the crop shows one frame of the source. If that one was analysed, its face is taken. If it was not
        (the track has a lower rate), the face is interpolated linearly in time between the analysed frames before and
        after, where both have it. Before the first and after the last analysed frame the nearest one is taken, if it is
        no further away than two analysed frames are from each other. Everywhere else there is no face.
        """
        faces = self.faces()
        mine = (faces["face"] == self.record["face"]) & (faces["face"] >= 0)
        analysed = np.unique(faces["pts"])
        x0, y0, x1, y1 = self.record["window"]
        scale = np.array([self.record["size"] / (x1 - x0), self.record["size"] / (y1 - y0)])
        landmarks = faces["landmarks"][mine].reshape(-1, POINTS, 3).astype(np.float64)
        landmarks[..., :2] = (landmarks[..., :2] - (x0, y0)) * scale
        landmarks[..., 2] *= np.sqrt(scale.prod())
        corners = np.stack([faces[side][mine] for side in ("x0", "y0", "x1", "y1")], axis=1).astype(np.float64)
        corners = ((corners.reshape(-1, 2, 2) - (x0, y0)) * scale).reshape(-1, 4)
        pose = np.stack([faces[angle][mine] for angle in ("yaw", "pitch", "roll")], axis=1)
        slots = np.asarray(self.record["source_pts"], np.int64)
        at = [at_slots(slots, analysed, faces["pts"][mine], values) for values in (landmarks, corners, pose)]
        return Track(*at)

    def _damaged(self, name: str, found: str) -> ToolFault:
        return ToolFault(
            f"{self.shard.path}: {name} holds {found}, its record says {self.frames} frames; "
            "delete the file and run the same command again"
        )


def read(crops: Path, tracks: Path) -> Iterator[CropClip]:
    """Every clip of a crop shard in order, also those that ended before (`record["status"]` is not `ok`).

    Args:
        crops: the crop shard.
        tracks: the face tracks of the same shard.
    """
    shard = shardtar.Reader(crops)
    for record in shard.records():
        yield CropClip(record["clip"], record, shard, Path(tracks))


def at_slots(slots: np.ndarray, analysed: np.ndarray, known: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Values known at some of the analysed frames, at the frames that slots show; see `CropClip.track`.

    Args:
        slots: `[T]` int64, time stamps of the frames shown.
        analysed: `[m]` int64, sorted time stamps of all analysed frames.
        known: `[n]` int64, sorted time stamps of the analysed frames that have a value.
        values: `[n,...]`.

    Returns:
        `[T,...]` float32, NaN where there is none.
    """
    result = np.full((len(slots), *values.shape[1:]), np.nan, np.float32)
    if not len(known):
        return result
    row = {int(stamp): index for index, stamp in enumerate(known)}
    period = np.median(np.diff(analysed)) if len(analysed) > 1 else 0
    after = np.searchsorted(analysed, slots)
    for slot, (stamp, right) in enumerate(zip(slots, after, strict=True)):
        if right == len(analysed) or right == 0:
            nearest = int(analysed[min(right, len(analysed) - 1)])
            if nearest in row and abs(nearest - stamp) <= period:
                result[slot] = values[row[nearest]]
            continue
        high, low = int(analysed[right]), int(analysed[right - 1])
        if high == stamp:
            if high in row:
                result[slot] = values[row[high]]
        elif high in row and low in row:
            share = (stamp - low) / (high - low)
            result[slot] = (1 - share) * values[row[low]] + share * values[row[high]]
    return result
