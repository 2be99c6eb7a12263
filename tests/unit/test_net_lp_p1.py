"""Known answers for the layout `lp_p1`: rotations, transformed key points, the way back, and the signs of head pose."""

from __future__ import annotations

import json

import numpy as np
import pytest
from workspace import REPOSITORY

from talkset import pose
from talkset.nets import lp_p1

GOLDEN = json.loads((REPOSITORY / "tests/golden/liveportrait.json").read_text())
POSE = json.loads((REPOSITORY / "tests/golden/liveportrait_pose.json").read_text())
SIZES = {"kp": 63, "exp": 63, "t": 3, "scale": 1, "pitch": 1, "yaw": 1, "roll": 1}
RIGHT, DOWN, AWAY = np.eye(3)


def numbers(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Numbers in the range of real ones, float32."""
    random = np.random.default_rng(seed)
    spread = {"kp": 0.3, "exp": 0.05, "t": 0.1, "scale": 0.1, "pitch": 20, "yaw": 40, "roll": 20}
    found = {name: random.normal(0, spread[name], (rows, size)) for name, size in SIZES.items()}
    found["scale"] += 1.4
    return {name: values.astype(np.float32) for name, values in found.items()}


def still(**changed) -> dict[str, np.ndarray]:
    """One row: a front view at scale 1 whose points all lie in the middle, but for what is changed."""
    found = {name: np.zeros((1, size), np.float32) for name, size in SIZES.items()} | {"scale": np.ones((1, 1))}
    return found | {name: np.array(values, np.float32).reshape(1, -1) for name, values in changed.items()}


@pytest.mark.parametrize(
    ("angles", "turned"),
    [
        ((90, 0, 0), [RIGHT, AWAY, -DOWN]),
        ((0, 90, 0), [-AWAY, DOWN, RIGHT]),
        ((0, 0, 90), [DOWN, -RIGHT, AWAY]),
        ((90, 90, 0), [-AWAY, RIGHT, -DOWN]),  # about x first, then about y
        ((0, 90, 90), [-AWAY, -RIGHT, DOWN]),  # about y first, then about z
    ],
)
def test_where_a_quarter_turn_takes_the_axes(angles, turned):
    rotation = lp_p1.rotations(np.array([angles]))[0]
    assert rotation @ np.eye(3) == pytest.approx(np.array(turned).T, abs=1e-15)


def test_points_are_turned_then_shifted_by_expression_then_scaled_then_moved():
    point = [[0.1, 0.2, 0.3], [0.01, 0, 0.02], [0.5, -0.25, 9.0]]
    found = lp_p1.pack(
        still(kp=point[0] + [0] * 60, exp=point[1] + [0] * 60, t=point[2], scale=[2], roll=[90], pitch=[0])
    )["struct"][0]
    assert found[:3] == pytest.approx([2 * (-0.2 + 0.01) + 0.5, 2 * 0.1 - 0.25, 2 * (0.3 + 0.02)], abs=1e-6)
    assert found[3:6] == pytest.approx([0.5, -0.25, 0], abs=1e-6)


def test_columns_are_where_the_layout_says():
    given = numbers(4)
    packed = lp_p1.pack(given)
    struct, side = packed["struct"], packed["side"]
    assert [(a.shape, a.dtype) for a in (struct, side)] == [((4, 128), np.float32), ((4, 5), np.float32)]
    assert np.array_equal(struct[:, 63:126], given["exp"]) and np.array_equal(struct[:, 126:], given["t"][:, :2])
    columns = [given[name] for name in ("pitch", "yaw", "roll", "scale")]
    assert np.array_equal(side, np.concatenate([*columns, given["t"][:, 2:]], axis=1))


@pytest.mark.parametrize("kind", ["published", "small"])
def test_points_are_those_of_the_reference(kind):
    frames = GOLDEN[kind]
    packed = lp_p1.pack({name: np.array([frame[name] for frame in frames]) for name in SIZES})
    expected = np.array([frame["points"] for frame in frames])
    assert np.abs(packed["struct"][:, :63] - expected).max() <= 1e-5 * np.abs(expected).max()


def test_all_133_numbers_come_back_from_float32():
    given = numbers(500)
    found = lp_p1.unpack(**lp_p1.pack(given))
    assert list(found) == list(given) and sum(values.shape[1] for values in found.values()) == 133
    for name, values in found.items():
        assert values.dtype == np.float32
        if name == "kp":
            assert np.abs(values - given[name]).max() < 1e-6
        else:
            assert np.array_equal(values, given[name]), name


def test_one_row_is_packed_as_among_others():
    given = numbers(7)
    whole = lp_p1.pack(given)
    alone = lp_p1.pack({name: values[3:4] for name, values in given.items()})
    assert all(np.array_equal(alone[name][0], whole[name][3]) for name in whole)


@pytest.mark.parametrize("angles", [(0, 0, 0), (20, 0, 0), (0, 30, 0), (0, 0, 25), (-15, 40, 10), (10, -50, -70)])
def test_a_head_turned_by_these_angles_has_this_pose(angles):
    landmarks = np.zeros((1, pose.POINTS, 3))
    landmarks[0, pose.RIGID] = pose.REST @ lp_p1.rotations(np.array([angles]))[0].T
    side = np.array([[*angles, 1.4, 0]], np.float32)
    assert lp_p1.head_pose(side) == pytest.approx(pose.angles(landmarks), abs=1e-5)


def test_published_weights_agree_with_landmarks_on_where_heads_are_turned():
    spans = []
    for frames in POSE.values():
        rotation = np.array([frame["rotation"] for frame in frames]).reshape(-1, 3, 3).transpose(0, 2, 1)
        pitch = np.arctan2(rotation[:, 2, 1], rotation[:, 2, 2])
        yaw = np.arcsin(-rotation[:, 2, 0])
        roll = np.arctan2(rotation[:, 1, 0], rotation[:, 0, 0])
        angles = np.degrees(np.stack([pitch, yaw, roll], axis=1))
        assert lp_p1.rotations(angles) == pytest.approx(rotation, abs=2e-6)
        found = lp_p1.head_pose(np.pad(angles, ((0, 0), (0, 2))))
        expected = np.array([frame["pose"] for frame in frames])
        assert np.abs(found - expected).max() < 5  # degrees; the zeros of both are not the same
        for axis in range(3):
            if np.ptp(found[:, axis]) > 3:  # what moves less is noise
                assert np.corrcoef(found[:, axis], expected[:, axis])[0, 1] > 0.8
                spans.append(axis)
    assert set(spans) == {0, 1, 2}
