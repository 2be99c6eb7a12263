"""Head pose from landmarks, by geometry alone.

Convention. Camera axes: x to the right of the picture, y down, z away from the camera. The head is turned from rest by
`R = Rz(roll) Ry(-yaw) Rx(-pitch)` (rightmost first), so that its nose points along
`(cos pitch sin yaw, -sin pitch, -cos pitch cos yaw)` for roll 0, and

- yaw > 0: the face points to the right of the picture (the person's own left), -90..90;
- pitch > 0: the face points up, -180..180;
- roll > 0: the head is tilted clockwise as seen in the picture, -180..180.

Turning the picture clockwise by some degrees adds them to roll and leaves yaw and pitch; mirroring the picture flips
the signs of yaw and roll.

Zero is the rest of `HEAD`: symmetric, eyes level, and the facial plane (outer corners of the eyes, corners of the
mouth: A. Gee and R. Cipolla, "Determining the gaze of faces in images", Image and Vision Computing 12, 1994)
parallel to the picture. People who look straight into the camera differ by a few degrees of pitch.

The projection is taken as weak perspective: angles are to the line of sight through the face, which is the camera's
axis where the face is in the middle of the picture.
"""

from __future__ import annotations

import numpy as np

POINTS = 478  # landmarks of a face: 468 of its surface, 10 of the irises

# Points that move with the skull and not with the mouth, the lids or the brows, in units of the face's height
# (forehead to chin); a pair is given by its member at the right of the picture. Made from the face of
# skimage.data.astronaut() and its mirror image, averaged and made symmetric; four other people's own heads differ from
# it by 1.3 to 2.2 % of the height and by 0.2 to 2.6 degrees of pitch.
HEAD = {
    (10,): (0.0, -0.313, -0.068),  # middle of the forehead, from its top
    (151,): (0.0, -0.222, -0.086),
    (9,): (0.0, -0.126, -0.101),
    (8,): (0.0, -0.074, -0.094),
    (168,): (0.0, -0.028, -0.094),  # bridge of the nose, to its tip and base
    (6,): (0.0, 0.018, -0.122),
    (197,): (0.0, 0.060, -0.153),
    (195,): (0.0, 0.098, -0.186),
    (5,): (0.0, 0.139, -0.221),
    (4,): (0.0, 0.192, -0.237),
    (1,): (0.0, 0.234, -0.226),
    (2,): (0.0, 0.270, -0.129),
    (109, 338): (0.116, -0.309, -0.058),  # edge of the forehead, to the temples and before the ears
    (67, 297): (0.214, -0.288, -0.020),
    (54, 284): (0.357, -0.187, 0.118),
    (21, 251): (0.389, -0.114, 0.189),
    (127, 356): (0.411, 0.057, 0.326),
    (234, 454): (0.408, 0.143, 0.353),
    (33, 263): (0.269, 0.010, 0.038),  # outer and inner corners of the eyes
    (133, 362): (0.103, 0.021, 0.006),
    (117, 346): (0.317, 0.096, 0.040),  # cheekbones
    (129, 358): (0.142, 0.205, -0.056),  # wings of the nose
    (98, 327): (0.123, 0.243, -0.079),
}
RIGID = [point for points in HEAD for point in points]
REST = np.array([(x if point == points[-1] else -x, y, z) for points, (x, y, z) in HEAD.items() for point in points])
REST -= REST.mean(axis=0)


def rotations(landmarks: np.ndarray) -> np.ndarray:
    """Rotation of each head from rest, least squares over the rigid points with any shift and scale.

    Method: W. Kabsch, "A solution for the best rotation to relate two sets of vectors", Acta Cryst. A32, 1976.

    Args:
        landmarks: `[n,478,3]` x right, y down, z away from the camera, all in one unit.

    Returns:
        `[n,3,3]` float64, NaN where the landmarks are.
    """
    points = np.asarray(landmarks, np.float64)[:, RIGID]
    result = np.full((len(points), 3, 3), np.nan)
    known = ~np.isnan(points).any(axis=(1, 2))
    points = points[known] - points[known].mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd(points.transpose(0, 2, 1) @ REST)
    left[:, :, 2] *= np.sign(np.linalg.det(left @ right))[:, None]  # never a mirror image
    result[known] = left @ right
    return result


def angles(landmarks: np.ndarray) -> np.ndarray:
    """Yaw, pitch and roll of each head.

    Args:
        landmarks: as for `rotations`.

    Returns:
        `[n,3]` float64 degrees, NaN where the landmarks are.
    """
    turned = rotations(landmarks)
    yaw = np.arcsin(np.clip(turned[:, 2, 0], -1, 1))
    pitch = -np.arctan2(turned[:, 2, 1], turned[:, 2, 2])
    roll = np.arctan2(turned[:, 1, 0], turned[:, 0, 0])
    return np.degrees(np.stack([yaw, pitch, roll], axis=1))


def head_angle(yaw: np.ndarray, pitch: np.ndarray) -> np.ndarray:
    """Angle in degrees between where the face points and the way to the camera; roll does not change it."""
    return np.degrees(np.arccos(np.clip(np.cos(np.radians(yaw)) * np.cos(np.radians(pitch)), -1, 1)))
