"""Faces in pictures: where each is, and its 478 landmarks (mediapipe, on the CPU, models from its wheel).

Two models share the work. The detector (BlazeFace, full range) looks at the whole picture a few times a second; the
mesh (Face Mesh with attention) follows each face in between, in a square cut from the picture around where the face
was before. Both see 192 x 192 pixels, cut straight from the YUV planes, so that no picture is converted as a whole.

The same pictures at the same times give the same faces: nothing depends on the clock or on what came before
`FaceFinder.restart`.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import av
import cv2
import mediapipe
import numpy as np
from google.protobuf import text_format
from mediapipe.framework.calculator_pb2 import CalculatorGraphConfig
from mediapipe.framework.formats.rect_pb2 import NormalizedRect
from mediapipe.python import CalculatorGraph, ImageFormat, packet_creator, packet_getter
from mediapipe.python._framework_bindings import resource_util

from talkset.faults import ToolFault
from talkset.geometry import overlap

FACE_POINTS = 468  # of the 478 (pose.POINTS); the others are those of the irises
SIDE = 192  # pixels, what both models see

# The face lies in the mesh's square as in its training: enlarged by half, eyes level.
ENLARGE = 1.5
# Landmarks tremble with the square: by 0.38 px at 512 (second difference, still head) if it goes all the way after the
# face in each picture, by 0.26 if it goes FOLLOW of the way. The further it is off, the more it goes, all from FAR on
# (in its sides; in twice as many radians; as logarithm of the sides). By more it is too late for this picture: the mesh
# looks again in the right place. So a face that moves by a fifth of its height in each picture is still met to 1.5 %.
FOLLOW, FAR = 0.3, 0.05
# The mesh's own probability that there is a face in its square. It now and then takes texture for a face, so it is
# believed down to SURE, and in a square that the detector has just given down to PRESENCE (real faces: 1.000). And each
# look of the detector must confirm each face at CONFIRM; a face that MISSES looks in a row do not confirm is dropped.
SURE, PRESENCE, CONFIRM, MISSES = 0.9, 0.5, 0.3, 2
# The smallest face that the detector finds for sure, in its own pixels (one face, 6 to 24 px high, in five places).
SEEN = 14
# Where the face's landmarks span lies in the detector's box, left top right bottom (mean of four people).
SPAN = np.array([0.06, -0.04, 0.94, 1.01])

# The subgraph that mediapipe.solutions.face_mesh runs for each face, fed with our own square: a mesh for any number
# of faces, without that solution's own detector and without a state.
MESH = """
input_stream: "picture"
input_stream: "square"
input_side_packet: "attention"
output_stream: "landmarks"
num_threads: 1
node {
  calculator: "FaceLandmarkCpu"
  input_stream: "IMAGE:picture"
  input_stream: "ROI:square"
  input_side_packet: "WITH_ATTENTION:attention"
  output_stream: "LANDMARKS:landmarks"
}
"""
SCORE = "facelandmarkcpu__face_presence_score"
# One landmark on the wire: field 1 of the list, 15 bytes: x, y, z as fields 1 to 3, each a 32 bit float.
WIRE = np.dtype([("head", "V2"), ("a", "V1"), ("x", "<f4"), ("b", "V1"), ("y", "<f4"), ("c", "V1"), ("z", "<f4")])

Planes = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Square:
    """A turned square of a picture, in its pixels (the left and upper edges of the picture are 0, y down).

    Attributes:
        x, y: centre.
        side: length of a side.
        angle: radians by which its upper edge is turned clockwise.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def matrix(self) -> np.ndarray:
        """`[2,3]`: maps a place in the square (0..1 along its upper edge, 0..1 down) to the picture."""
        cos, sin = self.side * math.cos(self.angle), self.side * math.sin(self.angle)
        return np.array([[cos, -sin, self.x - (cos - sin) / 2], [sin, cos, self.y - (sin + cos) / 2]])

    def off(self, target: Square) -> float:
        """How far this square is from another, in the units of `FAR`."""
        away = math.hypot(target.x - self.x, target.y - self.y) / target.side
        return max(away, abs(math.log(target.side / self.side)), abs(_turn(self.angle, target.angle)) / 2)

    def towards(self, target: Square) -> Square:
        """Where the square stands for the next picture, when `target` is where it should have stood in this one."""
        share = min(1.0, max(FOLLOW, self.off(target) / FAR))
        return Square(
            self.x + share * (target.x - self.x),
            self.y + share * (target.y - self.y),
            self.side + share * (target.side - self.side),
            self.angle + share * _turn(self.angle, target.angle),
        )


def _turn(angle: float, target: float) -> float:
    """The short way from one angle to another, in radians."""
    return (target - angle + math.pi) % (2 * math.pi) - math.pi


@dataclass(frozen=True)
class Face:
    """One face in one picture.

    Attributes:
        box: `[4]` x0 y0 x1 y1, pixels of the picture: the span of the 468 landmarks of the face (forehead to chin, no
            hair, no ears); where there are none, the detector's box shrunk to that span. May reach beyond the picture.
        score: probability, 0..1: the mesh's, or the detector's where there are no landmarks.
        landmarks: `[478,3]` x y z in pixels; z grows away from the camera; `None` where the mesh sees no face.
        square: where to look for it in the next picture; `None` where there are no landmarks.
        misses: looks of the detector since it was last confirmed.
    """

    box: np.ndarray
    score: float
    landmarks: np.ndarray | None = None
    square: Square | None = None
    misses: int = 0


@dataclass(frozen=True)
class Detection:
    """A box of the detector (x0 y0 x1 y1, always square), its score, and the mesh's square for it."""

    box: np.ndarray
    score: float
    square: Square


def planes(frame: av.VideoFrame) -> Planes:
    """The Y, U and V planes of a yuv420p frame, as views into it."""
    sizes = ((frame.height, frame.width), *[((frame.height + 1) // 2, (frame.width + 1) // 2)] * 2)
    return tuple(
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, :width]
        for plane, (height, width) in zip(frame.planes, sizes, strict=True)
    )


def cut(picture: Planes, square: Square, side: int = SIDE, smear: bool = True) -> np.ndarray | None:
    """Cut a square out of a picture.

    Where the picture is larger it is first halved (mean of 2 x 2 pixels) as often as it stays at least as large as the
    result, the rest of the way is linear: little aliasing, in a small part of the time of converting the picture.

    Args:
        smear: what lies beyond the picture: its edge continued, else black.

    Returns:
        `[side,side,3]` uint8 RGB; `None` if nothing of the square lies in the picture.
    """
    height, width = picture[0].shape
    shrink = 1
    while 2 * shrink * side <= square.side and 4 * shrink <= min(height, width):
        shrink *= 2
    step = 2 * shrink  # so that chroma shrinks by whole pixels too
    reach = square.side / 2 * (abs(math.cos(square.angle)) + abs(math.sin(square.angle))) + 2
    x0, x1 = max(0, math.floor((square.x - reach) / step)), min(width // step, math.ceil((square.x + reach) / step))
    y0, y1 = max(0, math.floor((square.y - reach) / step)), min(height // step, math.ceil((square.y + reach) / step))
    if x0 >= x1 or y0 >= y1:
        return None
    to_picture = square.matrix()
    small = np.empty((side * 3 // 2, side), np.uint8)
    rest = small[side:].reshape(2, side // 2, side // 2)
    for plane, part, black, out in zip(picture, (1, 2, 2), (16, 128, 128), (small[:side], *rest), strict=True):
        unit = step // part
        source = plane[y0 * unit : y1 * unit, x0 * unit : x1 * unit]
        for _ in range(shrink.bit_length() - 1):
            source = cv2.resize(source, (source.shape[1] // 2, source.shape[0] // 2), interpolation=cv2.INTER_AREA)
        turn = to_picture[:, :2] * (part / side)
        start = to_picture[:, 2] + turn.sum(axis=1) / 2 - (x0 * step, y0 * step)  # middle of the first pixel
        matrix = np.column_stack([turn, start]) / (part * shrink)
        matrix[:, 2] -= 0.5
        cv2.warpAffine(
            source,
            matrix,
            (side // part, side // part),
            dst=out,
            flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE if smear else cv2.BORDER_CONSTANT,
            borderValue=black,
        )
    return cv2.cvtColor(small, cv2.COLOR_YUV2RGB_I420)


def around(landmarks: np.ndarray) -> Square:
    """The square in which the mesh should see a face with these landmarks `[478,3]`."""
    across = landmarks[263, :2] - landmarks[33, :2]  # outer corners of the eyes, from the left one in the picture
    angle = math.atan2(across[1], across[0])
    cos, sin = math.cos(angle), math.sin(angle)
    upright = landmarks[:, :2] @ np.array([[cos, -sin], [sin, cos]])
    low, high = upright.min(axis=0), upright.max(axis=0)
    x, y = (low + high) / 2
    return Square(cos * x - sin * y, sin * x + cos * y, ENLARGE * float((high - low).max()), angle)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes in one picture are the same face: they overlap by 0.3, or their centres nearly agree."""
    distance = np.hypot(*(one[:2] + one[2:] - other[:2] - other[2:]) / 2)
    smaller = min((one[2:] - one[:2]).max(), (other[2:] - other[:2]).max())
    return overlap(one, other) >= 0.3 or distance <= 0.35 * smaller


def tiles(width: int, height: int, smallest: float) -> list[Square]:
    """Squares in which the detector sees every face of at least `smallest` of the picture's longer side.

    Neighbours overlap by one such face. None are needed where it sees such a face in the whole picture.
    """
    longer = max(width, height)
    face = smallest * longer
    side = face * SIDE / SEEN
    if side >= longer:
        return []
    rows, columns = (max(1, math.ceil((length - face) / (side - face))) for length in (height, width))
    ys, xs = (
        np.linspace(side / 2, length - side / 2, count) if count > 1 else [length / 2]
        for length, count in ((height, rows), (width, columns))
    )
    return [Square(float(x), float(y), side) for y in ys for x in xs]


class Detector:
    """mediapipe's full-range face detector.

    Raises:
        ToolFault: its model is not there.
    """

    def __init__(self) -> None:
        try:
            self._solution = mediapipe.solutions.face_detection.FaceDetection(
                model_selection=1, min_detection_confidence=CONFIRM
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise _no_model(error) from error

    def find(self, picture: Planes, square: Square) -> list[Detection]:
        """Faces in a square of the picture, best score first."""
        rgb = cut(picture, square, smear=False)
        if rgb is None:
            return []
        matrix, found = square.matrix(), []
        for item in self._solution.process(rgb).detections or ():
            place = item.location_data.relative_bounding_box
            corners = np.array([[place.xmin, place.ymin], [place.xmin + place.width, place.ymin + place.height]])
            box = (corners @ matrix[:, :2].T + matrix[:, 2]).ravel()
            right, left = item.location_data.relative_keypoints[:2]  # the person's right and left eye
            x, y = (box[:2] + box[2:]) / 2
            angle = math.atan2(left.y - right.y, left.x - right.x)
            mesh = Square(float(x), float(y), ENLARGE * float(box[2] - box[0]), angle)
            found.append(Detection(box, float(item.score[0]), mesh))
        return sorted(found, key=lambda detection: -detection.score)


class Mesh:
    """mediapipe's face mesh with attention: the landmarks of the face in a square.

    Raises:
        ToolFault: its model is not there.
    """

    def __init__(self) -> None:
        resource_util.set_resource_dir(os.path.dirname(os.path.dirname(mediapipe.__file__)))
        try:
            self._graph = CalculatorGraph(graph_config=text_format.Parse(MESH, CalculatorGraphConfig()))
            self._graph.observe_output_stream("landmarks", self._keep)
            self._graph.observe_output_stream(SCORE, self._keep)
            self._graph.start_run({"attention": packet_creator.create_bool(True)})
        except (RuntimeError, ValueError, OSError) as error:
            raise _no_model(error) from error
        self._whole = packet_creator.create_proto(NormalizedRect(x_center=0.5, y_center=0.5, width=1, height=1))
        self._out: dict = {}
        self._count = 0

    def _keep(self, name: str, packet) -> None:
        self._out[name] = packet

    def find(self, picture: Planes, square: Square) -> tuple[np.ndarray | None, float]:
        """Landmarks `[478,3]` in pixels of the picture, `None` if there is no face, and the probability of one."""
        rgb = cut(picture, square)
        if rgb is None:
            return None, 0.0
        self._out.clear()
        self._count += 1
        self._graph.add_packet_to_input_stream("square", self._whole.at(self._count))
        image = packet_creator.create_image_frame(image_format=ImageFormat.SRGB, data=rgb)
        self._graph.add_packet_to_input_stream("picture", image.at(self._count))
        self._graph.wait_until_idle()
        presence = packet_getter.get_float(self._out[SCORE])
        if presence < PRESENCE or "landmarks" not in self._out:
            return None, presence
        # A fifteenth of the time of asking the message for each of 1434 numbers.
        points = np.frombuffer(packet_getter.get_proto(self._out["landmarks"]).SerializeToString(), WIRE)
        matrix = square.matrix()
        xy = np.stack([points["x"], points["y"]], axis=1).astype(np.float64) @ matrix[:, :2].T + matrix[:, 2]
        return np.column_stack([xy, points["z"] * square.side]), presence


def _no_model(error: Exception) -> ToolFault:
    return ToolFault(
        f"mediapipe {mediapipe.__version__} cannot load its face models ({error}); "
        "install the version that the lock file names, its wheel holds them"
    )


class FaceFinder:
    """The faces of consecutive pictures.

    The detector looks `detect_rate` times a second, and in every picture as long as no face is followed or one has no
    landmarks. It looks at the whole picture; if that shows no face at one of the regular looks, at `tiles` of it. So a
    face that is smaller than 7 % of the longer side is found where it is the only one, down to `smallest_face`. The
    mesh follows every face from then on; a face that it loses is looked for in the same picture.

    A box that the mesh does not agree with (a head turned far away, or no face) counts from the middle between
    `min_score` and 1 on. Two findings that are the `same` face are merged into the one that was followed longer.

    Args:
        settings: `detect_rate` (1/s), `min_score` (0..1), `smallest_face` (part of the longer side).
    """

    def __init__(self, settings: dict):
        self._rate = Fraction(str(settings["detect_rate"]))
        self._least = settings["min_score"]
        self._smallest = settings["smallest_face"]
        self._detector, self._mesh = Detector(), Mesh()
        self.restart()

    def restart(self) -> None:
        """Forget every face: the next picture is of another clip."""
        self._before: list[Face] = []
        self._looks: int | None = None

    def find(self, frame: av.VideoFrame, time: Fraction) -> list[Face]:
        """The faces of the next picture.

        Args:
            frame: upright, yuv420p.
            time: seconds after the clip's start, larger than the time of the picture before.
        """
        picture = planes(frame)
        found: list[Face] = []
        for face in self._before:
            if face.square is not None:
                _add(found, self._followed(picture, face))
        looks = math.floor(time * self._rate)
        due = looks != self._looks
        self._looks = looks
        if due or not found or len(found) < len(self._before):
            found = self._look(picture, found, due)
        self._before = found
        return found

    def _followed(self, picture: Planes, face: Face) -> Face | None:
        square = face.square
        landmarks, presence = self._mesh.find(picture, square)
        target = None if landmarks is None else around(landmarks)
        if target is not None and square.off(target) > FAR:
            square = target
            landmarks, presence = self._mesh.find(picture, square)
            target = None if landmarks is None else around(landmarks)
        if target is None or presence < SURE:
            return None
        return _meshed(landmarks, presence, square.towards(target), face.misses)

    def _look(self, picture: Planes, followed: list[Face], due: bool) -> list[Face]:
        height, width = picture[0].shape
        detections = self._detector.find(picture, Square(width / 2, height / 2, max(width, height)))
        found: list[Face] = []
        for face in followed:
            _add(found, self._confirmed(picture, face, detections) if due else face)
        strong = [detection for detection in detections if detection.score >= self._least]
        if due and not found and not strong:
            parts = [self._detector.find(picture, part) for part in tiles(width, height, self._smallest)]
            strong = [detection for part in parts for detection in part if detection.score >= self._least]
        for detection in strong:
            if not any(same(face.box, _span(detection.box)) for face in found):
                _add(found, self._acquired(picture, detection))
        return found

    def _confirmed(self, picture: Planes, face: Face, detections: list[Detection]) -> Face | None:
        """The face with its misses counted, after a closer look if it is not among the whole picture's detections."""
        x0, y0, x1, y1 = face.box
        near = Square((x0 + x1) / 2, (y0 + y1) / 2, 3 * max(x1 - x0, y1 - y0))
        for look in (lambda: detections, lambda: self._detector.find(picture, near)):
            if any(same(face.box, _span(detection.box)) for detection in look()):
                return replace(face, misses=0)
        return replace(face, misses=face.misses + 1) if face.misses + 1 < MISSES else None

    def _acquired(self, picture: Planes, detection: Detection) -> Face | None:
        square = detection.square
        for _ in range(2):  # the second time from where the landmarks say that the face is
            landmarks, presence = self._mesh.find(picture, square)
            if landmarks is None:
                break
            square = around(landmarks)
        else:
            return _meshed(landmarks, presence, square)
        if detection.score < (1 + self._least) / 2:
            return None
        return Face(_span(detection.box), detection.score)


def _add(faces: list[Face], face: Face | None) -> None:
    if face is not None and not any(same(face.box, other.box) for other in faces):
        faces.append(face)


def _meshed(landmarks: np.ndarray, presence: float, square: Square, misses: int = 0) -> Face:
    face = landmarks[:FACE_POINTS, :2]
    return Face(np.concatenate([face.min(axis=0), face.max(axis=0)]), presence, landmarks, square, misses)


def _span(box: Sequence[float]) -> np.ndarray:
    """The span of a face's landmarks, guessed from the detector's box."""
    low, side = np.asarray(box[:2]), box[2] - box[0]
    return np.concatenate([low, low]) + SPAN * side
