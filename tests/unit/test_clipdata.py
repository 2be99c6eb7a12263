"""What scores and features see of a crop: every picture and sample, the face where and when the track has it."""

from __future__ import annotations

import numpy as np
import planted
import pytest

from talkset import clipdata
from talkset.demo import barcode
from talkset.faults import ToolFault

FRAMES = 6


def pictures(count: int) -> list[np.ndarray]:
    found = []
    for number in range(count):
        picture = np.full((planted.SIZE, planted.SIZE, 3), 128, np.uint8)
        picture[64:, :64] = (230, 20, 30)
        barcode.draw(picture, 500 + number, (0, 0, 1, 0.125))
        found.append(picture)
    return found


def one(folder, faces: list[dict], media: dict | None = None, **changed) -> clipdata.CropClip:
    """The only clip of a planted shard."""
    record = planted.crop_record("a", **{"frames": FRAMES} | changed)
    crops = planted.write_crops(folder / "crops.tar", {"a": (record, media or {})})
    tracks = planted.write_tracks(folder / "tracks.parquet", {"other": [planted.face(0)], "a": faces})
    (clip,) = clipdata.read(crops, tracks)
    return clip


def corner(clip) -> list:
    """Left edge of the face in every frame, in crop pixels; `None` where there is none."""
    return [None if np.isnan(x) else round(float(x), 3) for x in clip.track().box[:, 0]]


def moving(stamps, track: int = 0) -> list[dict]:
    """A face whose left edge is 100 + 2 x stamp in the source: 25 + stamp in the crop."""
    return [planted.face(pts, track, box=(100 + 2 * pts, 100, 200 + 2 * pts, 200)) for pts in stamps]


def test_pictures_come_in_order_and_in_the_format_asked_for(tmp_path):
    clip = one(tmp_path, [planted.face(0)], {"mp4": planted.mp4(pictures(FRAMES))})
    colour = list(clip.pictures())
    grey = list(clip.pictures("gray"))
    assert [barcode.read(picture, (0, 0, 1, 0.125)) for picture in colour] == list(range(500, 500 + FRAMES))
    assert [barcode.read(picture, (0, 0, 1, 0.125)) for picture in grey] == list(range(500, 500 + FRAMES))
    assert (colour[0].shape, grey[0].shape) == ((128, 128, 3), (128, 128))
    red, green, blue = colour[0][100, 32].astype(int)
    assert red > 180 and green < 60 and blue < 70


def test_a_number_of_frames_other_than_the_record_says_is_a_fault(tmp_path):
    clip = one(tmp_path, [planted.face(0)], {"mp4": planted.mp4(pictures(FRAMES - 1))})
    with pytest.raises(ToolFault, match="a.mp4 holds 5 frames, its record says 6 frames"):
        list(clip.pictures())


def test_sound(tmp_path):
    samples = np.random.default_rng(1).uniform(-1, 0.99, 640 * FRAMES)
    clip = one(tmp_path, [planted.face(0)], {"wav": planted.wav(samples)})
    found = clip.pcm()
    assert (found.shape, found.dtype) == ((640 * FRAMES,), np.float32)
    assert np.abs(found - samples).max() <= 2**-16


def test_no_sound(tmp_path):
    assert one(tmp_path, [planted.face(0)]).pcm() is None


def test_sound_of_another_length_is_a_fault(tmp_path):
    clip = one(tmp_path, [planted.face(0)], {"wav": planted.wav(np.zeros(640 * FRAMES - 1))})
    with pytest.raises(ToolFault, match="a.wav holds .*3839.* 6 frames"):
        clip.pcm()


def test_the_face_is_mapped_to_the_pixels_of_the_crop(tmp_path):
    row = planted.face(0, box=(100, 120, 200, 240), pose=(10, -5, 2), mouth=8)
    row["landmarks"][2] = 50  # z of the first point
    track = one(tmp_path, [row], frames=1, source_pts=[0], window=[50, 60, 306, 316]).track()
    assert track.box.tolist() == [[25, 30, 75, 90]]
    assert track.pose.tolist() == [[10, -5, 2]]
    assert (track.landmarks.shape, track.landmarks.dtype) == ((1, 478, 3), np.float32)
    assert track.landmarks[0, 13].tolist() == [50, 68, 0]
    assert track.landmarks[0, 14].tolist() == [50, 72, 0]
    assert track.landmarks[0, 0].tolist() == [50, 60, 25]


def test_every_frame_analysed(tmp_path):
    assert corner(one(tmp_path, moving(range(FRAMES)))) == [25, 26, 27, 28, 29, 30]


def test_a_source_frame_shown_twice_gives_the_same_face_twice(tmp_path):
    assert corner(one(tmp_path, moving(range(FRAMES)), source_pts=[0, 0, 1, 3, 5, 5])) == [25, 25, 26, 28, 30, 30]


def test_other_faces_and_frames_without_a_face_do_not_count(tmp_path):
    faces = [*moving([0, 1], 0), *moving([1, 2], 1), planted.face(3, -1), *moving([4, 5], 0)]
    faces.sort(key=lambda row: row["pts"])
    assert corner(one(tmp_path, faces)) == [25, 26, None, None, 29, 30]


def test_between_analysed_frames_the_face_is_interpolated(tmp_path):
    faces = moving([0, 4, 8])
    assert corner(one(tmp_path, faces, source_pts=[0, 1, 2, 3, 5, 8])) == [25, 26, 27, 28, 30, 33]


def test_between_a_face_and_none_there_is_none(tmp_path):
    faces = [*moving([0]), planted.face(4, -1), *moving([8])]
    assert corner(one(tmp_path, faces, source_pts=[0, 1, 4, 5, 7, 8])) == [25, None, None, None, None, 33]


def test_outside_the_analysed_frames_the_nearest_counts_if_it_is_near(tmp_path):
    faces = moving([10, 12, 14])
    assert corner(one(tmp_path, faces, source_pts=[7, 8, 10, 14, 16, 17])) == [None, 35, 35, 39, 39, None]


def test_no_face_followed(tmp_path):
    clip = one(tmp_path, [planted.face(pts, -1) for pts in range(FRAMES)], face=-1)
    assert corner(clip) == [None] * FRAMES
    assert clip.track().landmarks.shape == (FRAMES, 478, 3)


def test_every_clip_is_there_also_those_that_ended(tmp_path):
    crops = planted.write_crops(
        tmp_path / "crops.tar", {"b": planted.ended("b"), "a": (planted.crop_record("a", 1), {"mp4": b""})}
    )
    tracks = planted.write_tracks(tmp_path / "tracks.parquet", {"a": [planted.face(0)]})
    found = [(clip.clip, clip.record["status"]) for clip in clipdata.read(crops, tracks)]
    assert found == [("b", "failed"), ("a", "ok")]
