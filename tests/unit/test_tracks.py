"""Faces of one picture after the other become tracks; what is written is what is read."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from talkset import pose, tracks
from talkset.faces import Face
from talkset.faults import ClipFault, ToolFault

OK = {"status": "ok", "reason": "", "stage": "track", "width": 640, "height": 360, "rate": "25"}


def box(x, y=100.0, side=80.0):
    return np.array([x, y, x + side, y + side])


def joined(*pictures, fps=25):
    joiner = tracks.Joiner()
    return [joiner.ids(boxes, Fraction(index, fps)) for index, boxes in enumerate(pictures)]


def test_ids_by_first_appearance_then_from_left_to_right():
    both = [box(400), box(100)]
    assert joined([], both, [box(250), *both], both[::-1]) == [[], [1, 0], [2, 1, 0], [0, 1]]


@pytest.mark.parametrize(("absent", "expected"), [(1, 0), (11, 0), (12, 1), (30, 1)])
def test_a_gap_of_up_to_half_a_second_is_bridged(absent, expected):
    ids = joined([box(100)], *[[]] * absent, [box(103)])
    assert ids[-1] == [expected]


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (box(140), 0),  # no overlap of 0.3, but half a side away
        (box(145), 1),  # further
        (box(90, 90, 100), 0),  # larger
        (box(112, 112, 30), 1),  # another, much smaller one there
    ],
)
def test_what_is_taken_for_the_same_face(after, expected):
    assert joined([box(100)], [after]) == [[0], [expected]]


def test_faces_that_pass_by_keep_their_ids():
    left_to_right = [[box(100 + 12 * k, 100), box(400 - 12 * k, 190)] for k in range(25)]
    assert joined(*left_to_right) == [[0, 1]] * 25


def test_each_takes_the_face_that_fits_best():
    assert joined([box(100), box(170)], [box(165), box(95)]) == [[0, 1], [1, 0]]


def face(x, landmarks=True, score=1.0, **place):
    points = None
    if landmarks:
        points = np.random.default_rng(round(x)).normal(size=(478, 3))
        points[pose.RIGID] = pose.REST
        points = 80 * points + (x + 40, 140, 0)
    return Face(box(x, **place), score, points)


def pictures(*rows, fps=25):
    return [(3000 * index + 7, Fraction(index, fps), list(row)) for index, row in enumerate(rows)]


@pytest.fixture
def shard(tmp_path):
    path = tmp_path / "tracks.parquet"
    with tracks.Writer(path, {"version": 1}) as out:
        out.add({"clip": "b"} | OK, pictures([face(300), face(50, landmarks=False, score=0.8)], [], [face(304.3)]))
        out.add({"clip": "gone", "status": "gone", "reason": "private", "stage": "raw"})
        out.add({"clip": "a"} | OK, pictures([]))
    return path


def test_round_trip(shard):
    read = tracks.read(shard, "b")
    assert read["frame"].tolist() == [0, 0, 1, 2]
    assert read["pts"].tolist() == [7, 7, 3007, 6007]
    assert read["time"].tolist() == [0, 0, 0.04, 0.08]
    assert read["face"].tolist() == [0, 1, -1, 1]
    assert read["x0"].tolist() == pytest.approx([50, 300, np.nan, 304.3], nan_ok=True)
    assert read["y1"].tolist() == pytest.approx([180, 180, np.nan, 180], nan_ok=True)
    assert read["score"].tolist() == pytest.approx([0.8, 1, np.nan, 1], nan_ok=True)
    assert read["landmarks"].shape == (4, 1434)
    assert np.isnan(read["landmarks"]).all(axis=1).tolist() == [True, False, True, False]
    for row, x in ((1, 300), (3, 304.3)):
        points = read["landmarks"][row].reshape(478, 3)
        assert np.abs(points - face(x).landmarks).max() <= 1 / 64 + 1e-4, "kept to 1/32 pixel"
    angles = np.stack([read[angle] for angle in ("yaw", "pitch", "roll")], axis=1)
    assert angles[[1, 3]] == pytest.approx(np.zeros((2, 3)), abs=1e-3)
    assert np.isnan(angles[[0, 2]]).all()


def test_columns_and_their_types(shard):
    schema = pq.read_schema(shard)
    assert {field.name: str(field.type) for field in schema} == {
        "clip": "string",
        "frame": "int32",
        "pts": "int64",
        "time": "double",
        "face": "int16",
        **dict.fromkeys(("x0", "y0", "x1", "y1", "score"), "float"),
        "landmarks": "fixed_size_list<element: float>[1434]",
        **dict.fromkeys(("yaw", "pitch", "roll"), "float"),
    }


def test_clips_of_a_shard(shard):
    assert [record["clip"] for record in tracks.records(shard)] == ["b", "gone", "a"]
    assert tracks.records(shard)[1] == {"clip": "gone", "status": "gone", "reason": "private", "stage": "raw"}
    assert tracks.read(shard, "a", ["face", "x0"])["face"].tolist() == [-1]
    for clip in ("gone", "unknown"):
        assert [len(column) for column in tracks.read(shard, clip).values()] == [0] * 13
        assert tracks.read(shard, clip, ["landmarks"])["landmarks"].shape == (0, 1434)


def test_clip_names_that_look_like_partitions(tmp_path):
    path = tmp_path / "x=1" / "a=b.parquet"
    with tracks.Writer(path) as out:
        out.add({"clip": "k=v"} | OK, pictures([face(1)]))
    assert list(tracks.read(path, "k=v", ["face"])) == ["face"]


def test_nothing_is_left_of_a_clip_that_fails_halfway(tmp_path):
    path = tmp_path / "tracks.parquet"

    def broken():
        yield from pictures(*[[face(1, landmarks=False)]] * (tracks.ROWS + 5))
        raise ClipFault("the picture 3.2 s after the start is damaged")

    with tracks.Writer(path) as out:
        with pytest.raises(ClipFault):
            out.add({"clip": "a"} | OK, broken())
        out.add({"clip": "a", "status": "failed", "reason": "damaged", "stage": "track"})
        out.add({"clip": "b"} | OK, pictures([face(2)]))
    assert len(tracks.read(path, "a")["face"]) == 0
    assert [record["status"] for record in tracks.records(path)] == ["failed", "ok"]
    assert pq.read_table(path)["clip"].to_pylist() == ["b"]


def test_long_clips_are_written_in_pieces(tmp_path, monkeypatch):
    monkeypatch.setattr(tracks, "ROWS", 100)
    monkeypatch.setattr(tracks, "IN_MEMORY", 1000)  # the rest waits on disk
    path = tmp_path / "tracks.parquet"
    with tracks.Writer(path) as out:
        out.add({"clip": "a"} | OK, pictures(*[[face(10 + k / 10, landmarks=False)] for k in range(1000)]))
        out.add({"clip": "b"} | OK, pictures([face(2)]))
    file = pq.ParquetFile(path)
    sizes = [file.metadata.row_group(index).num_rows for index in range(file.metadata.num_row_groups)]
    assert sizes == [100] * 10 + [1]
    assert tracks.read(path, "a")["frame"].tolist() == list(range(1000))
    assert list(tmp_path.iterdir()) == [path]


def test_same_input_same_bytes(tmp_path):
    content = []
    for name in ("one", "two"):
        with tracks.Writer(tmp_path / name) as out:
            out.add({"clip": "a"} | OK, pictures(*[[face(50 + k), face(300 - k)] for k in range(20)]))
        content.append((tmp_path / name).read_bytes())
    assert content[0] == content[1]


def test_a_job_that_fails_leaves_no_file(tmp_path):
    with pytest.raises(OSError, match="disk"), tracks.Writer(tmp_path / "tracks.parquet") as out:
        out.add({"clip": "a"} | OK, pictures([face(1)]))
        raise OSError("disk full")
    assert list(tmp_path.iterdir()) == []


def test_damaged_file(shard):
    shard.write_bytes(shard.read_bytes()[:-50])
    for read in (tracks.records, lambda path: tracks.read(path, "a")):
        with pytest.raises(ToolFault, match="is damaged.*delete it"):
            read(shard)


def track(*faces):
    """Columns from (picture, id, x, y, side)."""
    columns = np.array(faces, np.float32).reshape(-1, 5).T
    return {
        "pts": columns[0].astype(np.int64),
        "face": columns[1].astype(np.int16),
        **dict(zip(("x0", "y0", "x1", "y1"), (*columns[2:4], *(columns[2:4] + columns[4])), strict=True)),
    }


def test_follow_takes_presence_times_area():
    small_and_steady = [(k, 0, 100, 100, 50) for k in range(10)]
    assert tracks.follow(track(*small_and_steady, *[(k, 1, 400, 100, 100) for k in range(2)])) == 0
    assert tracks.follow(track(*small_and_steady, *[(k, 1, 400, 100, 100) for k in range(3)])) == 1


def test_follow_takes_the_face_in_the_annotated_window():
    both = track(*[row for k in range(5) for row in ((k, 0, 100, 100, 100), (k, 1, 400, 100, 60))])
    assert tracks.follow(both) == 0
    assert tracks.follow(both, (380, 50, 600, 270)) == 1
    assert tracks.follow(both, (150, 50, 600, 270)) == 0, "half of the large one is more than all of the small one"
    assert tracks.follow(both, (700, 50, 900, 250)) == -1


@pytest.mark.parametrize("rows", [[], [(0, -1, np.nan, np.nan, np.nan), (1, -1, np.nan, np.nan, np.nan)]])
def test_follow_without_a_face(rows):
    assert tracks.follow(track(*rows)) == -1
    assert tracks.follow(track(*rows), (0, 0, 100, 100)) == -1


def test_boxes():
    rows = track((0, 0, 10, 20, 5), (0, 1, 50, 60, 5), (4, -1, np.nan, np.nan, np.nan), (9, 1, 51, 61, 5))
    nan = [np.nan] * 4
    assert tracks.boxes(rows, 1) == pytest.approx(np.array([[50, 60, 55, 65], nan, [51, 61, 56, 66]]), nan_ok=True)
    assert tracks.boxes(rows, 0) == pytest.approx(np.array([[10, 20, 15, 25], nan, nan]), nan_ok=True)
    assert np.isnan(tracks.boxes(rows, -1)).all()
    assert tracks.boxes(track(), 0).shape == (0, 4)


def test_readers_do_not_import_mediapipe():
    probe = "import sys, talkset.tracks, talkset.geometry; sys.exit('mediapipe' in sys.modules)"
    scripts = Path(tracks.__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", probe], cwd=scripts).returncode == 0
