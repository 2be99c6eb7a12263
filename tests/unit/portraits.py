"""Pictures with a real face at known places: the portrait that scikit-image brings along, pasted onto a still life."""

from __future__ import annotations

import av
import cv2
import numpy as np
from skimage import data

# The face in skimage.data.astronaut(), forehead to chin, measured by eye: x0 y0 x1 y1; and what is pasted with it.
FACE = (179, 68, 272, 178)
HEAD = (100, 10, 350, 250)


def box(x: float, y: float, height: float) -> np.ndarray:
    """The box of a face whose middle lies at x, y."""
    half = (FACE[2] - FACE[0]) / (FACE[3] - FACE[1]) * height / 2
    return np.array([x - half, y - height / 2, x + half, y + height / 2])


def picture(width: int, height: int, *faces: tuple[float, float, float]) -> np.ndarray:
    """`[height,width,3]` RGB with a face for each (x, y, height of the face) in it; later ones cover earlier ones."""
    still = data.coffee()
    cropped = still[: max(1, min(400, 600 * height // width)), : max(1, min(600, 400 * width // height))]
    canvas = cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA)
    head = data.astronaut()[HEAD[1] : HEAD[3], HEAD[0] : HEAD[2]]
    for x, y, size in faces:
        scale = size / (FACE[3] - FACE[1])
        left = x - scale * ((FACE[0] + FACE[2]) / 2 - HEAD[0])
        top = y - scale * ((FACE[1] + FACE[3]) / 2 - HEAD[1])
        shrink = min(scale, 1)  # linear interpolation alone would skip pixels
        small = cv2.resize(head, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
        step = np.array([scale * head.shape[1] / small.shape[1], scale * head.shape[0] / small.shape[0]])
        shift = np.array([left, top]) + step / 2 - 0.5
        matrix = np.array([[step[0], 0, shift[0]], [0, step[1], shift[1]]])
        warped = cv2.warpAffine(small, matrix, (width, height), flags=cv2.INTER_LINEAR)
        there = cv2.warpAffine(np.full(small.shape[:2], 255, np.uint8), matrix, (width, height)) == 255
        canvas[there] = warped[there]
    return canvas


def frame(rgb: np.ndarray) -> av.VideoFrame:
    """A picture as a decoder gives it: yuv420p, limited range."""
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(format="yuv420p")
