"""Scores from planted faces, poses, mouths, pictures and records."""

from __future__ import annotations

import cv2
import numpy as np
import planted
import pytest
from planted import face
from skimage import data

from talkset import quality

SETTINGS = {"blur_size": 256, "blur_rate": 5, "cut_threshold": 27, "rival": 0.5}
WINDOW = (50, 50, 306, 306)


def track(rows: list[dict]) -> dict[str, np.ndarray]:
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}


def faces(rows: list[dict], followed: int = 0, rival: float = 0.5) -> dict:
    return quality.faces(track(rows), followed, WINDOW, rival)


def test_every_score_has_a_name_of_its_own_and_a_definition():
    names = [column.name for column in quality.SCORES]
    assert len(set(names)) == len(names)
    assert all(column.description for column in quality.SCORES)


def test_everything_measured_is_in_the_table():
    record = planted.crop_record("a", 50)
    found = (
        quality.media(clip_record(), record)
        | faces([face(0)])
        | quality.pictures([np.zeros((64, 64, 3), np.uint8)], np.array([[8, 8, 40, 40]]), 25, SETTINGS)
    )
    assert set(found) == {column.name for column in quality.SCORES}


def clip_record() -> dict:
    picture = {"codec": "vp9", "width": 1920, "height": 1080, "fps": "30000/1001", "bit_rate": 2500000}
    return {"clip": "a", "picture": picture}


def test_media_scores_come_from_the_records():
    record = planted.crop_record("a", 101, missing_s=0.5, sound_missing_s=0.125)
    assert quality.media(clip_record(), record) == {
        "duration_s": 4.04,
        "window_px": 256,
        "source_bitrate": 2500000,
        "source_codec": "vp9",
        "source_fps": pytest.approx(29.97003),
        "source_height": 1080,
        "missing_s": 0.5,
        "sound_missing_s": 0.125,
    }


def test_face_size_is_the_median_of_the_geometric_mean():
    rows = [face(0, box=(100, 100, 140, 190)), face(1, box=(100, 100, 150, 150)), face(2, box=(100, 100, 300, 300))]
    assert faces(rows)["face_px"] == pytest.approx(60)


def test_shares_of_faces_in_play():
    rows = [face(0), face(1), face(1, 1), face(2), face(2, 1), face(2, 2), face(3, -1), *map(face, (4, 5, 6, 7))]
    found = faces(rows)
    assert (found["share_0"], found["share_1"], found["share_2plus"]) == (1 / 8, 5 / 8, 2 / 8)
    assert found["lost_share"] == 1 / 8


def test_lost_while_another_face_is_there():
    rows = [face(0), face(1, 1), face(2), face(3, -1)]
    found = faces(rows)
    assert (found["lost_share"], found["share_1"], found["share_0"]) == (0.5, 0.75, 0.25)


@pytest.mark.parametrize(
    "box, rival, counts",
    [
        ((200, 200, 210, 210), 0.5, True),  # inside, however small
        ((280, 100, 330, 150), 0.8, True),  # its middle is inside
        ((282, 100, 332, 150), 0.8, False),  # its middle is outside
        ((400, 100, 500, 200), 0.5, True),  # outside, but as large as the followed one
        ((400, 100, 450, 150), 0.5, True),  # half as large as the followed one
        ((400, 100, 449, 149), 0.5, False),
        ((400, 100, 500, 200), 9, False),
    ],
)
def test_which_second_face_is_in_play(box, rival, counts):
    found = faces([face(0), face(0, 1, box=box)], rival=rival)
    assert (found["share_2plus"], found["share_1"]) == ((1, 0) if counts else (0, 1))


def test_no_face_at_all():
    found = faces([face(0, -1), face(1, -1)], followed=-1)
    assert found == {"share_0": 1, "share_1": 0, "share_2plus": 0, "lost_share": 1}


def test_nothing_analysed():
    empty = {name: values[:0] for name, values in track([face(0)]).items()}
    assert quality.faces(empty, 0, WINDOW, True) == {}


def test_head_angles():
    rows = [face(pts, pose=(pts, 0, -2)) for pts in range(101)]
    found = faces(rows)
    assert found["head_angle_mean"] == pytest.approx(50)
    assert found["head_angle_p95"] == pytest.approx(95)
    assert found["head_angle_max"] == pytest.approx(100)
    assert (found["yaw_mean"], found["pitch_mean"], found["roll_mean"]) == pytest.approx((50, 0, -2))


@pytest.mark.parametrize("yaw, pitch, angle", [(0, 0, 0), (-30, 0, 30), (0, 20, 20), (60, 60, 75.5225), (0, 1, 1)])
def test_head_angle_from_yaw_and_pitch(yaw, pitch, angle):
    found = faces([face(0, pose=(yaw, pitch, 90))])
    assert found["head_angle_max"] == pytest.approx(angle, abs=1e-4)


def test_frames_without_a_pose_do_not_count():
    rows = [face(0, pose=(10, 0, 0)), face(1, pose=(np.nan,) * 3)]
    assert faces(rows)["head_angle_mean"] == pytest.approx(10)
    assert "head_angle_mean" not in faces(rows[1:])


def test_mouth_motion_is_the_spread_of_the_opening_over_the_eyes_distance():
    rows = [face(pts, mouth=opening) for pts, opening in enumerate((0, 4, 0, 4))]  # eyes 40 px apart
    assert faces(rows)["mouth_motion"] == pytest.approx(0.05)


def test_mouth_motion_does_not_depend_on_the_size_of_the_face():
    landmarks = track([face(pts, mouth=opening) for pts, opening in enumerate((0, 4, 8))])["landmarks"]
    assert quality.mouth_motion(landmarks * 7) == pytest.approx(quality.mouth_motion(landmarks))


def test_mouth_motion_of_an_open_but_still_mouth_is_nothing():
    assert faces([face(pts, mouth=12) for pts in range(5)])["mouth_motion"] == pytest.approx(0, abs=1e-6)


def test_mouth_motion_without_landmarks():
    rows = [face(0)]
    rows[0]["landmarks"] = np.full(1434, np.nan)
    assert faces(rows)["mouth_motion"] is None


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """A real portrait, 512 x 512; the face lies at about 160..290, 60..200."""
    return np.ascontiguousarray(data.astronaut())


FACE = np.array([165.0, 65.0, 285.0, 195.0])


def measured(frames: list[np.ndarray], box=FACE, **settings) -> dict:
    return quality.pictures(frames, np.tile(box, (len(frames), 1)), 25, SETTINGS | settings)


def test_blur_falls_with_blurring(portrait):
    blurred = [cv2.GaussianBlur(portrait, (0, 0), sigma) for sigma in (0.5, 1, 2, 4)]
    values = [measured([picture])["blur"] for picture in (portrait, *blurred)]
    assert values == sorted(values, reverse=True)
    assert values[0] > 12 > 8 > values[-1]


def test_blur_looks_at_the_face_only(portrait):
    behind = cv2.GaussianBlur(portrait, (0, 0), 8)
    x0, y0, x1, y1 = FACE.astype(int)
    behind[y0:y1, x0:x1] = portrait[y0:y1, x0:x1]
    assert measured([behind])["blur"] == measured([portrait])["blur"]


def test_blur_of_a_face_enlarged_before_is_that_of_the_small_one(portrait):
    small = cv2.resize(portrait, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    large = cv2.resize(small, (512, 512), interpolation=cv2.INTER_LINEAR)
    assert measured([large])["blur"] < measured([portrait])["blur"] / 4


def test_blur_is_the_median_of_frames_at_the_rate(portrait):
    soft = cv2.GaussianBlur(portrait, (0, 0), 6)
    frames = [portrait if number % 5 == 0 else soft for number in range(15)]
    assert measured(frames, blur_rate=5)["blur"] == measured([portrait])["blur"]
    assert measured(frames, blur_rate=25)["blur"] == measured([soft])["blur"]


def test_a_face_that_reaches_over_the_edge_and_one_outside(portrait):
    assert measured([portrait], np.array([-40.0, -40, 80, 80]))["blur"] > 0
    assert measured([portrait], np.array([600.0, 10, 700, 90]))["blur"] is None
    assert measured([portrait], np.array([-90.0, 10, -10, 90]))["blur"] is None
    assert measured([portrait], np.full(4, np.nan))["blur"] is None


@pytest.mark.parametrize("cuts", [[], [1], [7], [3, 4, 12], [14]])
def test_scene_cuts_are_counted_wherever_they_are(portrait, cuts):
    other = np.ascontiguousarray(data.chelsea()[:300, :300])
    scenes = [portrait, cv2.resize(other, (512, 512))]
    frames = [scenes[sum(number >= cut for cut in cuts) % 2] for number in range(15)]
    assert measured(frames, np.full(4, np.nan))["scene_cuts"] == len(cuts)


def test_motion_is_not_a_cut(portrait):
    frames = [np.roll(portrait, 4 * number, axis=1) for number in range(10)]
    assert measured(frames, np.full(4, np.nan))["scene_cuts"] == 0


def test_the_cut_threshold_is_a_setting(portrait):
    frames = [portrait, np.clip(portrait.astype(int) + 40, 0, 255).astype(np.uint8)]
    assert measured(frames, np.full(4, np.nan), cut_threshold=60)["scene_cuts"] == 0
    assert measured(frames, np.full(4, np.nan), cut_threshold=5)["scene_cuts"] == 1
