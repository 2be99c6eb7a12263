"""Faces at known places are found there, in every picture, and nothing else is."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import portraits
import pytest

from talkset import faces

SETTINGS = {"detect_rate": 5, "min_score": 0.5, "smallest_face": 0.03}
VIDEOS = Path(__file__).parents[3] / "shared" / "data" / "videos"
CLOSE = 0.05  # of the face's height


@pytest.fixture(scope="module")
def finder():
    return faces.FaceFinder(SETTINGS)


def found(finder, pictures, fps=25):
    """The faces of each picture of a new clip."""
    finder.restart()
    return [finder.find(portraits.frame(rgb), Fraction(index, fps)) for index, rgb in enumerate(pictures)]


def error(face: faces.Face, box: np.ndarray) -> float:
    """The largest distance between edges of two boxes, in heights of the true one."""
    return np.abs(face.box - box).max() / (box[3] - box[1])


@pytest.mark.parametrize(
    ("size", "place"),
    [
        ((1280, 720), (400, 300, 110)),
        ((1280, 720), (800, 380, 400)),
        ((1280, 720), (1150, 140, 180)),  # the head reaches beyond the picture
        ((641, 359), (300, 200, 97)),
        ((512, 512), (250, 240, 250)),
        ((1920, 1080), (700, 500, 250)),
    ],
)
def test_face_is_found_at_its_place(finder, size, place):
    for faces_here in found(finder, [portraits.picture(*size, place)] * 3):
        assert [face.misses for face in faces_here] == [0]
        assert error(faces_here[0], portraits.box(*place)) < CLOSE
        assert faces_here[0].score > 0.9
        assert faces_here[0].landmarks.shape == (478, 3)


def test_landmarks_lie_where_the_face_has_them(finder):
    place = (640, 360, 330)
    points = found(finder, [portraits.picture(1280, 720, place)] * 3)[-1][0].landmarks
    scale = 330 / 110
    # By eye in skimage.data.astronaut(): middles of the pupils (right, left), tip of the nose, corners of the mouth.
    by_eye = {468: (203, 100), 473: (246.5, 103), 1: (224, 130), 61: (206, 140), 291: (246, 142)}
    for point, (x, y) in by_eye.items():
        expected = (640 + scale * (x - 225.5), 360 + scale * (y - 123))
        assert np.hypot(*(points[point, :2] - expected)) < CLOSE * 330, point
    assert points[1, 2] < points[234, 2], "the nose is nearer to the camera than the ear"


def test_two_faces(finder):
    places = [(300, 250, 150), (900, 400, 260)]
    for faces_here in found(finder, [portraits.picture(1280, 720, *places)] * 3):
        assert len(faces_here) == 2
        for face, place in zip(sorted(faces_here, key=lambda face: face.box[0]), places, strict=True):
            assert error(face, portraits.box(*place)) < CLOSE


def test_no_face(finder):
    assert found(finder, [portraits.picture(1280, 720)] * 6) == [[]] * 6


def test_small_face_is_found_in_a_part_of_the_picture(finder):
    place = (700, 500, 65)
    rgb = portraits.picture(1080, 1920, place)
    for faces_here in found(finder, [rgb] * 7):
        assert len(faces_here) == 1
        assert error(faces_here[0], portraits.box(*place)) < 2 * CLOSE
    coarse = faces.FaceFinder(SETTINGS | {"smallest_face": 0.08})
    assert found(coarse, [rgb] * 2) == [[], []]


def test_face_that_leaves_and_returns(finder):
    there, away = portraits.picture(640, 360, (320, 180, 150)), portraits.picture(640, 360)
    counts = [len(faces_here) for faces_here in found(finder, [there] * 7 + [away] * 25 + [there] * 5)]
    assert counts == [1] * 7 + [0] * 25 + [1] * 5


def test_face_that_jumps(finder):
    places = [(160, 180, 120)] * 3 + [(480, 180, 120)] * 3
    for faces_here, place in zip(found(finder, [portraits.picture(640, 360, p) for p in places]), places, strict=True):
        assert len(faces_here) == 1
        assert error(faces_here[0], portraits.box(*place)) < CLOSE


def test_moving_face(finder):
    places = [(320 + 120 * np.sin(k / 5), 180 + 20 * np.cos(k / 5), 130 + 2 * k) for k in range(30)]
    for faces_here, place in zip(found(finder, [portraits.picture(640, 360, p) for p in places]), places, strict=True):
        assert len(faces_here) == 1
        assert error(faces_here[0], portraits.box(*place)) < CLOSE


def test_two_that_become_one_are_merged(finder):
    pictures = [portraits.picture(640, 360, (200, 180, 130), (460 - 20 * k, 180, 130)) for k in range(14)]
    counts = [len(faces_here) for faces_here in found(finder, pictures)]
    assert counts[0] == 2
    assert counts[-1] == 1


def test_same_pictures_give_the_same_bytes(finder):
    pictures = [portraits.picture(640, 360, (300 + 4 * k, 180, 140)) for k in range(8)]
    runs = []
    for another in ([], [portraits.picture(640, 360, (100, 100, 90))] * 3):
        found(finder, another)
        faces_here = [face for one in found(finder, pictures) for face in one]
        runs.append([(face.box.tobytes(), face.landmarks.tobytes(), face.score) for face in faces_here])
    assert runs[0] == runs[1]
    assert len(runs[0]) == len(pictures)


def test_what_the_mesh_alone_takes_for_a_face_is_dropped(monkeypatch):
    finder = faces.FaceFinder(SETTINGS)
    there, away = (portraits.frame(portraits.picture(640, 360, *places)) for places in ([(320, 180, 150)], []))
    face = finder.find(there, Fraction(0))[0]
    monkeypatch.setattr(finder._mesh, "find", lambda picture, square: (face.landmarks, 1.0))
    counts = [len(finder.find(away, Fraction(k, 25))) for k in range(1, 13)]
    assert counts == [1] * 9 + [0] * 3, "two looks of the detector, at 0.2 and 0.4 s, do not confirm it"


def test_face_without_landmarks_has_a_box_in_every_picture(monkeypatch):
    finder = faces.FaceFinder(SETTINGS)
    monkeypatch.setattr(finder._mesh, "find", lambda picture, square: (None, 0.1))
    place = (320, 180, 150)
    for faces_here in found(finder, [portraits.picture(640, 360, place)] * 6):
        assert [face.landmarks for face in faces_here] == [None]
        assert error(faces_here[0], portraits.box(*place)) < 0.15


def test_cut_takes_the_places_it_says():
    rgb = np.zeros((301, 403, 3), np.uint8)
    rgb[100:104, 200:204] = 255
    picture = faces.planes(portraits.frame(rgb))
    for square in (faces.Square(202, 102, 60), faces.Square(190, 110, 100, 0.4), faces.Square(250, 150, 250, -0.3)):
        grey = faces.cut(picture, square).mean(axis=2)
        y, x = (np.average(index, weights=grey) for index in np.indices(grey.shape))
        place = square.matrix() @ [(x + 0.5) / faces.SIDE, (y + 0.5) / faces.SIDE, 1]
        assert np.abs(place - (202, 102)).max() < 0.3


def test_cut_beyond_the_picture():
    picture = faces.planes(portraits.frame(np.full((90, 160, 3), 255, np.uint8)))
    assert faces.cut(picture, faces.Square(0, 0, 100)).min() > 250
    black = faces.cut(picture, faces.Square(80, 45, 160), smear=False)
    assert black[:40].max() == 0
    assert black[45:145, 2:-2].min() > 250
    assert faces.cut(picture, faces.Square(-200, 45, 100)) is None


@pytest.mark.parametrize("size", [(1920, 1080), (1080, 1920), (640, 480), (3840, 1600)])
@pytest.mark.parametrize("smallest", [0.02, 0.03, 0.05, 0.07])
def test_every_smallest_face_lies_whole_in_a_tile_that_is_fine_enough(size, smallest):
    face = smallest * max(size)
    parts = faces.tiles(*size, smallest)
    assert min(face / part.side * faces.SIDE for part in parts) >= faces.SEEN - 1e-6
    halves = [(np.array([part.x, part.y]), part.side / 2 + 1e-6) for part in parts]
    for x in np.linspace(0, size[0] - face, 40):
        for y in np.linspace(0, size[1] - face, 40):
            low, high = np.array([x, y]), np.array([x, y]) + face
            assert any((middle - half <= low).all() and (high <= middle + half).all() for middle, half in halves)
    assert faces.tiles(*size, 0.073) == []


def test_same():
    one = np.array([0, 0, 100, 100.0])
    assert faces.same(one, one + 20)
    assert faces.same(one, np.array([30, 30, 70, 70.0])), "one inside the other"
    assert not faces.same(one, one + [80, 0, 80, 0])
    assert not faces.same(one, one + 300)


@pytest.mark.parametrize("width", [1080, 720])
def test_real_full_body_shot(finder, width):
    path = VIDEOS / "speaker_1080x1920_25fps.mp4"
    if not path.exists():
        pytest.skip(f"{path} is not there")
    counts = []
    finder.restart()
    with av.open(path) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == 75:
                break
            if width != frame.width:
                frame = frame.reformat(width=width, height=width * 1920 // 1080)
            here = finder.find(frame, Fraction(index, 25))
            counts.append(len(here))
            for face in here:
                x, y = (face.box[:2] + face.box[2:]) / 2 / width
                assert 0.4 < x < 0.7 and 0.55 < y < 0.85
                assert 0.15 < (face.box[3] - face.box[1]) / width < 0.25
    assert counts.count(1) > 0.95 * len(counts)
