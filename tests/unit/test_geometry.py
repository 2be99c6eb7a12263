"""Crop windows, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest

from talkset import geometry
from talkset.faults import STATUSES, ClipFault, ToolFault

SETTINGS = {"scale": 1.6, "crop_scale": 1.0, "shift_up": 0.1, "margin": 0, "square": "outer"}
CELEBV_HQ = SETTINGS | {"margin": 0.02, "square": "inner"}


def row(window=("", "", "", ""), height="", width="", unit="pixel", crop_scale=""):
    sides = dict(zip(("x0", "y0", "x1", "y1"), map(str, window), strict=True))
    return sides | {"box_unit": unit, "ref_height": height, "ref_width": width, "crop_scale": crop_scale}


def corners(window: geometry.Window) -> tuple[int, int, int, int]:
    assert window.x1 - window.x0 == window.y1 - window.y0 == window.side
    return window.x0, window.y0, window.x1, window.y1


@pytest.mark.parametrize(
    ("listed", "size", "expected"),
    [
        (row((483, 0, 873, 390), "720"), (1280, 720), (483, 0, 873, 390)),  # RD Radio10_0
        (row((483, 0, 873, 390), "720"), (1920, 1080), (724, 0, 1309, 585)),
        (row((483, 0, 873, 390), "720", "1280"), (1920, 1080), (724, 0, 1309, 585)),
        (row((608, 0, 1334, 726), "1080"), (1280, 720), (405, 0, 889, 484)),
        (row((100, 50, 300, 250), ""), (640, 480), (100, 50, 300, 250)),
        (row((0.25, 0.1, 0.5, 0.5444444444), unit="fraction"), (1280, 720), (320, 72, 640, 392)),
        (row((100, 100, 300, 200), "480"), (640, 480), (100, 50, 300, 250)),  # not square: its longer side
        (row((500, 0, 1220, 720), "720"), (1280, 714), (496, 0, 1210, 714)),  # an encode that was cropped
        (row((570, 10, 1290, 730), "720"), (1280, 720), (560, 0, 1280, 720)),  # beyond by 1.4 %: moved inside
        (row((-10, 20, 190, 220), "720"), (1280, 720), (0, 20, 200, 220)),
    ],
)
def test_annotated(listed, size, expected):
    assert corners(geometry.window("annotated", listed, size, None, SETTINGS)) == expected


@pytest.mark.parametrize(
    ("edges", "size", "expected"),
    [
        # As the authors' script: edges 0.02 further, in whole pixels, then the square of the shorter side.
        ((0.1964, 0, 0.6922, 0.8815), (1920, 1080), (366, 0, 1340, 974)),
        ((0.5271, 0, 1.0, 0.8407), (1920, 1080), (982, 0, 1912, 930)),
        ((0.25, 0.1, 0.5, 0.9), (1280, 720), (294, 174, 666, 546)),  # 294.4..665.6, 57.6..662.4
        ((0, 0, 1, 1), (641, 361), (140, 0, 500, 360)),  # half pixels: to the left and up
    ],
)
def test_celebv_hq_s_own_crop(edges, size, expected):
    listed = row(edges, unit="fraction")
    assert corners(geometry.window("annotated", listed, size, None, CELEBV_HQ)) == expected


def test_margin_alone_keeps_the_longer_side():
    listed = row((0.25, 0.1, 0.5, 0.5), unit="fraction")
    settings = SETTINGS | {"margin": 0.05}
    assert corners(geometry.window("annotated", listed, (1280, 720), None, settings)) == (256, 0, 704, 448)


# The three windows of the published lists that reach beyond a picture of the listed height, and what must be said.
@pytest.mark.parametrize(
    ("window", "numbers"),
    [
        ((389, 0, 1165, 776), ("389..1165", "0..776", "7.8 %")),  # WDA MaggieHassan_0
        ((83, 0, 1217, 1134), ("83..1217", "0..1134", "57.5 %")),  # WDA MazieHirono1_0
        ((178, 0, 1050, 872), ("178..1050", "0..872", "21.1 %")),  # WRA PeterKing_0
    ],
)
def test_annotated_beyond_the_picture(window, numbers):
    with pytest.raises(ClipFault) as fault:
        geometry.window("annotated", row(window, "720"), (1280, 720), None, SETTINGS)
    assert fault.value.status == "failed"
    for number in (*numbers, "height 720", "1280x720"):
        assert number in fault.value.reason


def test_annotated_at_unknown_height_must_fit():
    with pytest.raises(ClipFault, match="unknown height.*0.1 %"):
        geometry.window("annotated", row((500, 1, 1220, 721), ""), (1280, 720), None, SETTINGS)


def test_annotated_without_a_window():
    with pytest.raises(ClipFault) as fault:
        geometry.window("annotated", row(), (1280, 720), None, SETTINGS)
    assert fault.value.status == "no-window" in STATUSES


def test_annotated_empty_window():
    with pytest.raises(ClipFault, match="empty"):
        geometry.window("annotated", row((10, 10, 10, 50), "720"), (1280, 720), None, SETTINGS)


def still(*box, count=50):
    return np.tile(np.array(box, float), (count, 1))


@pytest.mark.parametrize(
    ("boxes", "crop_scale", "size", "expected"),
    [
        # side 200 x 1.6 = 320, middle at y 400 - 0.1 x 200
        (still(600, 300, 760, 500), "", (1920, 1080), (520, 220, 840, 540)),
        (still(600, 300, 760, 500), "1.2", (1920, 1080), (488, 188, 872, 572)),
        (still(600, 300, 760, 500), "0.75", (1920, 1080), (560, 260, 800, 500)),
        (still(600, 20, 760, 220), "", (1920, 1080), (520, 0, 840, 320)),  # moved down
        (still(20, 300, 180, 500), "", (1920, 1080), (0, 220, 320, 540)),  # moved right
        (still(1800, 900, 1960, 1100), "", (1920, 1080), (1600, 760, 1920, 1080)),
        (still(400, 100, 900, 700), "1.2", (1280, 720), (290, 0, 1010, 720)),  # shrunk to what fits
        (still(100, 300, 300, 500), "2.0", (500, 1000), (0, 130, 500, 630)),
    ],
)
def test_tracked(boxes, crop_scale, size, expected):
    window = geometry.window("tracked", row(crop_scale=crop_scale), size, boxes, SETTINGS)
    assert corners(window) == expected


def test_tracked_holds_a_face_that_moves():
    boxes = np.concatenate([still(400, 300, 500, 400), still(700, 350, 800, 450)])
    window = geometry.window("tracked", row(), (1920, 1080), boxes, SETTINGS)
    assert corners(window) == (280, 15, 920, 655)  # 400 wide, so 640; middle at y 375 - 40


def test_tracked_ignores_single_wild_boxes_and_absences():
    boxes = still(600, 300, 760, 500, count=300)
    expected = geometry.window("tracked", row(), (1920, 1080), boxes, SETTINGS)
    boxes[77] = (0, 0, 1900, 1000)
    boxes[100:120] = np.nan
    assert geometry.window("tracked", row(), (1920, 1080), boxes, SETTINGS) == expected


@pytest.mark.parametrize("boxes", [np.full((75, 4), np.nan), np.empty((0, 4))])
def test_tracked_without_a_face(boxes):
    with pytest.raises(ClipFault, match=f"no face found in {len(boxes)} frames") as fault:
        geometry.window("tracked", row(), (1920, 1080), boxes, SETTINGS)
    assert fault.value.status == "failed"


@pytest.mark.parametrize(
    ("size", "expected"),
    [((1280, 720), (280, 0, 1000, 720)), ((1080, 1920), (0, 420, 1080, 1500)), ((641, 360), (140, 0, 500, 360))],
)
def test_whole(size, expected):
    assert corners(geometry.window("whole", row(), size, None, SETTINGS)) == expected


def test_unknown_way():
    with pytest.raises(ToolFault, match="'middle' is none of annotated, tracked, whole"):
        geometry.window("middle", row(), (1280, 720), None, SETTINGS)


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        (row(), None),
        (row((10, 20, 30, 40), "360"), (20, 40, 60, 80)),
        (row((10, 20, 30, 40), "360", "320"), (40, 40, 120, 80)),
        (row((0.5, 0.25, 0.75, 0.5), unit="fraction"), (640, 180, 960, 360)),
        (row((389, 0, 1165, 776), "720"), (389, 0, 1165, 776)),
    ],
)
def test_annotation(listed, expected):
    assert geometry.annotation(listed, (1280, 720)) == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 0, 10, 10), 1),
        ((5, 0, 15, 10), 1 / 3),
        ((5, 5, 15, 15), 25 / 175),
        ((10, 0, 20, 10), 0),
        ((2, 2, 4, 4), 0.04),
    ],
)
def test_overlap(other, expected):
    assert geometry.overlap(np.array([0, 0, 10, 10.0]), np.array(other, float)) == pytest.approx(expected)
