"""Head pose: known rotations of a synthetic head, a real portrait turned and mirrored."""

from __future__ import annotations

import cv2
import numpy as np
import portraits
import pytest
from skimage import data

from talkset import faces, pose

SETTINGS = {"detect_rate": 5, "min_score": 0.5, "smallest_face": 0.03}


def about(axis: int, degrees: float) -> np.ndarray:
    """Rotation about x (0), y (1) or z (2), right-handed."""
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    one, other = [index for index in range(3) if index != axis]
    matrix = np.eye(3)
    matrix[one, one] = matrix[other, other] = cos
    matrix[one, other], matrix[other, one] = (-sin, sin) if axis != 1 else (sin, -sin)
    return matrix


def head(yaw: float, pitch: float, roll: float, noise: float = 0.0) -> np.ndarray:
    """Landmarks `[478,3]` of a head that is turned so, somewhere, of some size; the other points are noise."""
    random = np.random.default_rng(3)
    points = random.normal(size=(478, 3))
    points[pose.RIGID] = pose.REST + noise * random.normal(size=pose.REST.shape)
    turned = points @ (about(2, roll) @ about(1, -yaw) @ about(0, -pitch)).T
    return 217 * turned + (640, 360, -15)


@pytest.mark.parametrize("yaw", [-80, -25, 0, 40])
@pytest.mark.parametrize("pitch", [-50, 0, 10, 60])
@pytest.mark.parametrize("roll", [-120, -20, 0, 30])
def test_known_rotations(yaw, pitch, roll):
    assert pose.angles(head(yaw, pitch, roll)[None])[0] == pytest.approx((yaw, pitch, roll), abs=1e-6)
    assert pose.angles(head(yaw, pitch, roll, noise=0.005)[None])[0] == pytest.approx((yaw, pitch, roll), abs=0.5)


def test_signs_by_where_the_nose_goes():
    tip = 1
    rest = head(0, 0, 0)
    assert rest[tip, 2] < rest[pose.RIGID, 2].mean(), "the nose is the part that is nearest to the camera"
    assert head(30, 0, 0)[tip, 0] > rest[tip, 0], "yaw > 0: to the right of the picture"
    assert head(0, 30, 0)[tip, 1] < rest[tip, 1], "pitch > 0: up"
    assert head(0, 0, 30)[10, 0] > rest[10, 0], "roll > 0: the forehead goes clockwise, to the right"


@pytest.mark.parametrize(("yaw", "pitch", "roll"), [(20, 0, 0), (0, -35, 50), (30, 25, -170), (-60, 40, 10)])
def test_head_angle_is_that_of_the_nose_to_the_camera(yaw, pitch, roll):
    nose = pose.rotations(head(yaw, pitch, roll)[None])[0] @ (0, 0, -1)
    assert nose[2] < 0
    expected = np.degrees(np.arccos(-nose[2]))
    assert pose.head_angle(np.array([yaw]), np.array([pitch]))[0] == pytest.approx(expected, abs=1e-6)


def test_missing_landmarks():
    landmarks = np.stack([head(10, 20, 30), np.full((478, 3), np.nan)])
    angles = pose.angles(landmarks)
    assert angles[0] == pytest.approx((10, 20, 30), abs=1e-6)
    assert np.isnan(angles[1]).all()
    assert pose.angles(np.empty((0, 478, 3))).shape == (0, 3)


@pytest.fixture(scope="module")
def portrait():
    """Angles, and how well the head fits, of the portrait turned clockwise by some degrees, perhaps mirrored."""
    finder = faces.FaceFinder(SETTINGS)

    def measure(turn: float, mirrored: bool = False) -> tuple[np.ndarray, float]:
        rgb = data.astronaut()
        if mirrored:
            rgb = rgb[:, ::-1]
        matrix = cv2.getRotationMatrix2D((225, 150), -turn, 1)  # its angles are counter-clockwise
        rgb = cv2.warpAffine(np.ascontiguousarray(rgb), matrix, (512, 512), borderMode=cv2.BORDER_REPLICATE)
        finder.restart()
        for time in range(4):
            found = finder.find(portraits.frame(rgb), time)
        points = found[0].landmarks[pose.RIGID]
        points = (points - points.mean(axis=0)) @ pose.rotations(found[0].landmarks[None])[0]
        scale = (points * pose.REST).sum() / (pose.REST**2).sum()
        return pose.angles(found[0].landmarks[None])[0], np.sqrt(((points / scale - pose.REST) ** 2).sum(axis=1).mean())

    return measure


def test_portrait_looks_into_the_camera(portrait):
    angles, misfit = portrait(0)
    assert np.abs(angles[:2]).max() < 10
    assert misfit < 0.01


@pytest.mark.parametrize("turn", [-20, 20])
def test_turned_picture_turns_roll_and_nothing_else(portrait, turn):
    (yaw, pitch, roll), (same_yaw, same_pitch, turned) = portrait(0)[0], portrait(turn)[0]
    assert turned - roll == pytest.approx(turn, abs=2)
    assert same_yaw == pytest.approx(yaw, abs=2)
    assert same_pitch == pytest.approx(pitch, abs=2)


def test_mirrored_picture_flips_yaw_and_roll(portrait):
    (yaw, pitch, roll), mirrored = portrait(15)[0], portrait(-15, mirrored=True)[0]
    assert roll > 10
    assert mirrored == pytest.approx((-yaw, pitch, -roll), abs=2)
