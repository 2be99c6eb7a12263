"""Layout `lp_p1`: the 133 numbers that LivePortrait's motion extractor gives for a picture, as 128 + 5.

`struct [T,128]`
    0:63 transformed key points, 21 points with x y z each: what LivePortrait's renderer is driven with
    63:126 expression, 21 points with x y z each: shift of every point before scale and translation
    126:128 translation x, y
`side [T,5]` pitch, yaw, roll (degrees), scale, translation z

Transformed key points are `scale * (R kp + exp) + (t_x, t_y, 0)` with `R = Rz(roll) Ry(yaw) Rx(pitch)`; translation z
moves no point. Lengths are halves of the picture's side: x to the right, y down, z away from the camera, 0 in the
middle. The canonical key points `kp` are not stored, `unpack` finds them from the others.

Source: J. Guo et al., "LivePortrait: Efficient Portrait Animation with Stitching and Retargeting Control", 2024;
github.com/KwaiVGI/LivePortrait at 1986663, src/live_portrait_wrapper.py and src/utils/camera.py.
"""

from __future__ import annotations

import numpy as np

NAME = "lp_p1"
POINTS = 21
# Points by what they move, as the reference names them in src/live_portrait_pipeline.py.
LIPS, EYES = (6, 12, 14, 17, 19, 20), (11, 13, 15, 16, 18)


def pack(numbers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The two arrays of the layout.

    Args:
        numbers: `kp` and `exp` `[T,63]`, `t [T,3]`, `scale [T,1]`, `pitch`, `yaw` and `roll` `[T,1]` in degrees.

    Returns:
        `struct [T,128]` and `side [T,5]`, float32.
    """
    exact = {name: np.asarray(values, np.float64) for name, values in numbers.items()}
    angles = np.concatenate([exact["pitch"], exact["yaw"], exact["roll"]], axis=1)
    points = _points(exact["kp"]) @ rotations(angles).transpose(0, 2, 1) + _points(exact["exp"])
    points *= exact["scale"][:, :, None]
    points[..., :2] += exact["t"][:, None, :2]
    struct = np.concatenate([points.reshape(-1, 3 * POINTS), exact["exp"], exact["t"][:, :2]], axis=1)
    side = np.concatenate([angles, exact["scale"], exact["t"][:, 2:]], axis=1)
    return {"struct": struct.astype(np.float32), "side": side.astype(np.float32)}


def unpack(struct: np.ndarray, side: np.ndarray) -> dict[str, np.ndarray]:
    """The numbers that `pack` was given, float32; the scale must not be 0.

    The canonical key points come back to 1e-6 of the picture's half side at LivePortrait's scales (1.1 to 1.7 in its
    own motion templates).

    Args:
        struct: `[T,128]` float32.
        side: `[T,5]` float32.
    """
    exact, more = np.asarray(struct, np.float64), np.asarray(side, np.float64)
    exp = exact[:, 63:126]
    points = _points(exact[:, :63]).copy()
    points[..., :2] -= exact[:, None, 126:128]
    kp = (points / more[:, 3, None, None] - _points(exp)) @ rotations(more[:, :3])
    numbers = {
        "kp": kp.reshape(-1, 3 * POINTS),
        "exp": exp,
        "t": np.concatenate([exact[:, 126:128], more[:, 4:]], axis=1),
        "scale": more[:, 3:4],
        "pitch": more[:, 0:1],
        "yaw": more[:, 1:2],
        "roll": more[:, 2:3],
    }
    return {name: values.astype(np.float32) for name, values in numbers.items()}


def rotations(angles: np.ndarray) -> np.ndarray:
    """`Rz(roll) Ry(yaw) Rx(pitch)`, each right-handed; the reference holds the transpose, for row vectors.

    Args:
        angles: `[T,3]` pitch, yaw, roll in degrees.

    Returns:
        `[T,3,3]` float64.
    """
    (sin_x, sin_y, sin_z), (cos_x, cos_y, cos_z) = (f(np.radians(angles, dtype=np.float64)).T for f in (np.sin, np.cos))
    rows = [
        [cos_z * cos_y, cos_z * sin_y * sin_x - sin_z * cos_x, cos_z * sin_y * cos_x + sin_z * sin_x],
        [sin_z * cos_y, sin_z * sin_y * sin_x + cos_z * cos_x, sin_z * sin_y * cos_x - cos_z * sin_x],
        [-sin_y, cos_y * sin_x, cos_y * cos_x],
    ]
    return np.array(rows).transpose(2, 0, 1)


def head_pose(side: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of the head in the convention of `talkset.pose`.

    Both conventions have the camera's axes (x right, y down, z away) and turn about z, y and x, rightmost first;
    `talkset.pose` counts yaw and pitch the other way round. With the published weights both agree to 5 degrees on three
    of the reference's driving videos (its own motion templates against landmarks); the zeros differ, by up to 3 degrees
    of pitch, since each has a rest of its own.

    Args:
        side: `[T,5]`, see the layout.

    Returns:
        `[T,3]` degrees.
    """
    return np.asarray(side)[:, [1, 0, 2]] * np.array([-1, -1, 1], np.float32)


def _points(flat: np.ndarray) -> np.ndarray:
    return flat.reshape(-1, POINTS, 3)
