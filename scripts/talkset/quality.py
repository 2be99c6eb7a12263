"""The scores of a clip that need no model of their own: what they mean (`SCORES`) and how they are computed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

import cv2
import numpy as np
from scenedetect import ContentDetector, FrameTimecode

from talkset.blur import sharpness
from talkset.registry import Column

# Landmarks of mediapipe's face mesh: middle of the inner edge of both lips; outer and inner corner of both eyes.
UPPER_LIP, LOWER_LIP = 13, 14
RIGHT_EYE, LEFT_EYE = (33, 133), (362, 263)

# Side at which shots are compared, as PySceneDetect's own reader would shrink a crop of 512.
CUT_SIZE = 256

SCORES = (
    Column("duration_s", "s", "length of the crop: its frames / its frame rate"),
    Column("face_px", "px of the source", "side of the followed face's box, sqrt(width x height), median over frames"),
    Column("window_px", "px of the source", "side of the crop window before it is scaled"),
    Column(
        "share_0",
        "share of analysed frames",
        "no face in play. In play: its box's middle is in the crop window, or its side is at least quality.rival of "
        "the followed face's median wherever in the frame it is (the sound may be its own)",
    ),
    Column("share_1", "share of analysed frames", "one face in play, as in share_0"),
    Column("share_2plus", "share of analysed frames", "two or more faces in play, as in share_0"),
    Column("lost_share", "share of analysed frames", "the followed face is not found"),
    Column(
        "blur",
        "grey levels squared",
        "variance of the Laplacian (3 x 3, 4 neighbours) of the followed face's box in the crop, grey (0-255), resized "
        "to a square of quality.blur_size; median over quality.blur_rate frames a second; low = blurred",
    ),
    Column("head_angle_mean", "degrees", "angle between face normal and camera axis, arccos(cos yaw cos pitch)"),
    Column("head_angle_p95", "degrees", "the same, 95th percentile over frames"),
    Column("head_angle_max", "degrees", "the same, maximum over frames"),
    Column("yaw_mean", "degrees", "head pose of the followed face, mean over frames; signs as in the face track"),
    Column("pitch_mean", "degrees", "the same for pitch"),
    Column("roll_mean", "degrees", "the same for roll"),
    Column(
        "mouth_motion",
        "inter-ocular distances",
        "standard deviation over frames of the inner lips' opening (landmarks 13 to 14) divided by the distance "
        "between the middles of the eyes (of the corners 33, 133 and 362, 263), both in three dimensions",
    ),
    Column(
        "scene_cuts",
        "count",
        "frames of the crop that differ from the one before by quality.cut_threshold or more (PySceneDetect's "
        "ContentDetector: mean change of hue, saturation and brightness at 256 x 256)",
    ),
    Column("source_bitrate", "bit/s", "bits of the source's picture within the clip / their seconds"),
    Column("source_codec", "", "of the source's picture"),
    Column("source_fps", "1/s", "frame rate of the source"),
    Column("source_height", "px of the source", "height of the upright source frame"),
    Column("missing_s", "s", "how much of the annotated span lies outside the source's picture"),
    Column("sound_missing_s", "s", "how much of the crop's sound is zeros because the source has none there"),
)


def media(clip: Mapping, crop: Mapping) -> dict:
    """Scores that the records already hold.

    Args:
        clip: record of the clip shard.
        crop: record of the crop shard.
    """
    picture = clip["picture"]
    return {
        "duration_s": float(Fraction(crop["frames"]) / Fraction(crop["fps"])),
        "window_px": crop["window_px"],
        "source_bitrate": picture["bit_rate"],
        "source_codec": picture["codec"],
        "source_fps": float(Fraction(picture["fps"])),
        "source_height": picture["height"],
        "missing_s": crop["missing_s"],
        "sound_missing_s": crop["sound_missing_s"],
    }


def faces(track: Mapping[str, np.ndarray], followed: int, window: Iterable[float], rival: float) -> dict:
    """Scores of the face track.

    Args:
        track: one clip's rows, all faces, by column (see `talkset.tracks`).
        followed: the track id of the clip's face; -1 if there is none.
        window: x0, y0, x1, y1 of the crop, source pixels.
        rival: part of the followed face's side from which on a face outside the window is in play.
    """
    frames = np.unique(track["pts"])
    if not len(frames):
        return {}
    x0, y0, x1, y1 = window
    mine = (track["face"] == followed) & (track["face"] >= 0)
    side = np.sqrt((track["x1"] - track["x0"]) * (track["y1"] - track["y0"]).astype(np.float64))
    across, down = (track["x0"] + track["x1"]) / 2, (track["y0"] + track["y1"]) / 2
    counted = (x0 <= across) & (across < x1) & (y0 <= down) & (down < y1)
    if mine.any():
        counted |= side >= rival * np.median(side[mine])
    counted &= track["face"] >= 0
    in_play = np.bincount(np.searchsorted(frames, track["pts"]), weights=counted)
    shares = {
        "share_0": float(np.mean(in_play == 0)),
        "share_1": float(np.mean(in_play == 1)),
        "share_2plus": float(np.mean(in_play >= 2)),
        "lost_share": float(1 - len(np.unique(track["pts"][mine])) / len(frames)),
    }
    if not mine.any():
        return shares
    pose = {angle: track[angle][mine].astype(np.float64) for angle in ("yaw", "pitch", "roll")}
    return (
        shares
        | {"face_px": float(np.median(side[mine]))}
        | head(**pose)
        | {"mouth_motion": mouth_motion(track["landmarks"][mine])}
    )


def head(yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> dict:
    """Scores of the head pose, each angle `[n]` in degrees; NaN frames do not count."""
    posed = ~np.isnan(yaw)
    if not posed.any():
        return {}
    yaw, pitch, roll = yaw[posed], pitch[posed], roll[posed]
    angle = np.degrees(np.arccos(np.clip(np.cos(np.radians(yaw)) * np.cos(np.radians(pitch)), -1, 1)))
    return {
        "head_angle_mean": float(angle.mean()),
        "head_angle_p95": float(np.percentile(angle, 95)),
        "head_angle_max": float(angle.max()),
        "yaw_mean": float(yaw.mean()),
        "pitch_mean": float(pitch.mean()),
        "roll_mean": float(roll.mean()),
    }


def mouth_motion(landmarks: np.ndarray) -> float | None:
    """How much the mouth moves, see `SCORES`.

    Args:
        landmarks: `[n, 1434]` or `[n, 478, 3]`, pixels; NaN where a frame has none.
    """
    points = landmarks.reshape(-1, 478, 3).astype(np.float64)
    points = points[~np.isnan(points).any(axis=(1, 2))]
    if not len(points):
        return None
    opening = np.linalg.norm(points[:, UPPER_LIP] - points[:, LOWER_LIP], axis=1)
    between = points[:, RIGHT_EYE].mean(axis=1) - points[:, LEFT_EYE].mean(axis=1)
    return float(np.std(opening / np.linalg.norm(between, axis=1)))


def pictures(frames: Iterable[np.ndarray], boxes: np.ndarray, fps: float, settings: Mapping) -> dict:
    """Scores of the crop's pictures, in one pass.

    Args:
        frames: `T` pictures `[H,W,3]` uint8 RGB.
        boxes: `[T,4]` the followed face in each, x0 y0 x1 y1 in its pixels; NaN where there is none.
        fps: frames a second.
        settings: `blur_size`, `blur_rate`, `cut_threshold`.
    """
    detector = ContentDetector(threshold=settings["cut_threshold"], min_scene_len=0)
    cuts, blurs, due = 0, [], 0.0
    for index, frame in enumerate(frames):
        small = cv2.resize(frame, (CUT_SIZE, CUT_SIZE), interpolation=cv2.INTER_AREA)
        cuts += len(detector.process_frame(FrameTimecode(index, float(fps)), cv2.cvtColor(small, cv2.COLOR_RGB2BGR)))
        if index >= due:
            due += fps / settings["blur_rate"]
            blur = sharpness(frame, boxes[index], settings["blur_size"])
            blurs.extend([] if blur is None else [blur])
    return {"scene_cuts": cuts, "blur": float(np.median(blurs)) if blurs else None}
