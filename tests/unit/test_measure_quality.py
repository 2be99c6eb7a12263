"""The joined score table: every clip a row, every score a column, clips of the shard list in its order."""

from __future__ import annotations

import numpy as np
import planted
import pytest
from planted import face
from skimage import data

import measure_quality
from talkset import quality, tables
from talkset.faults import STATUSES, ToolFault

SETTINGS = {"blur_size": 256, "blur_rate": 5, "cut_threshold": 27, "rival": 0.5}
FRAMES = 10


def clip_record(clip: str) -> dict:
    picture = {"codec": "h264", "width": 1280, "height": 720, "fps": "25", "bit_rate": 1234567}
    return {"clip": clip, "status": "ok", "reason": "", "stage": "clip", "picture": picture}


@pytest.fixture(scope="module")
def video() -> bytes:
    """A portrait for seven frames, another picture for three."""
    portrait = np.ascontiguousarray(data.astronaut()[: planted.SIZE * 4 : 4, : planted.SIZE * 4 : 4])
    return planted.mp4([portrait] * 7 + [255 - portrait] * 3)


@pytest.fixture
def shard(tmp_path, video):
    listed = [{"clip": clip, "video": "v"} for clip in ("b", "gone", "a")]
    listed[0]["x0"] = "10.5"
    tables.write(tmp_path / "list.tsv", tables.CLIP_COLUMNS, listed)
    gone = planted.ended("gone", "gone", "removed by the uploader")
    clips = {"a": (clip_record("a"), {}), "b": (clip_record("b"), {}), "gone": gone}
    crops = {clip: (planted.crop_record(clip, FRAMES), {"mp4": video}) for clip in "ab"}
    crops["b"][0]["missing_s"] = 0.25
    crops["gone"] = gone
    second = face(3, 1, box=(400, 100, 500, 200))
    faces = {clip: [face(0), face(1), face(2, -1), face(3), second] for clip in "ab"}
    return {
        "clips": planted.write_crops(tmp_path / "clips.tar", clips),
        "tracks": planted.write_tracks(tmp_path / "tracks.parquet", faces),
        "crops": planted.write_crops(tmp_path / "crops.tar", crops),
        "scores": [
            scores(tmp_path / "speech.tsv", {"clip": "a", "snr_db": "12.5"}, {"clip": "b", "reason": "no voice; none"}),
            scores(tmp_path / "sync.tsv", {"clip": "a", "offset": "0"}, {"clip": "b", "offset": "2"}),
        ],
        "shard_list": tmp_path / "list.tsv",
        "quality": tmp_path / "quality.tsv",
        "names": ["speech", "sync"],
        "settings": SETTINGS,
        "version": 1,
    }


def scores(path, *rows):
    column = "offset" if "offset" in rows[0] else "snr_db"
    gone = {"clip": "gone", "status": "gone", "reason": "removed by the uploader"}
    tables.write(path, ("clip", "status", "reason", column), [*({"status": "ok"} | row for row in rows), gone])
    return path


def measured(shard) -> dict[str, dict[str, str]]:
    measure_quality.main(**shard)
    return {row["clip"]: row for row in tables.rows(shard["quality"])}


def test_rows_and_columns(shard):
    rows = measured(shard)
    assert list(rows) == ["b", "gone", "a"]
    own = [column.name for column in quality.SCORES]
    assert list(rows["a"]) == ["clip", "status", "reason", "stage", *own, "snr_db", "offset"]


def test_scores_of_a_clip(shard):
    row = measured(shard)["a"]
    assert {name: row[name] for name in row if name not in ("blur", "head_angle_mean")} == {
        "clip": "a",
        "status": "ok",
        "reason": "",
        "stage": "",
        "duration_s": "0.4",
        "face_px": "100",
        "window_px": "256",
        "share_0": "0.25",
        "share_1": "0.5",
        "share_2plus": "0.25",
        "lost_share": "0.25",
        "head_angle_p95": "0",
        "head_angle_max": "0",
        "yaw_mean": "0",
        "pitch_mean": "0",
        "roll_mean": "0",
        "mouth_motion": "0",
        "scene_cuts": "1",
        "source_bitrate": "1234567",
        "source_codec": "h264",
        "source_fps": "25",
        "source_height": "720",
        "missing_s": "0",
        "sound_missing_s": "0",
        "snr_db": "12.5",
        "offset": "0",
    }
    assert float(row["blur"]) > 0


def test_a_rival_outside_the_window_counts_by_config(shard):
    for rival, shares in ((0.5, ("0.5", "0.25")), (9, ("0.75", "0"))):
        row = measured(shard | {"settings": SETTINGS | {"rival": rival}})["b"]
        assert (row["share_1"], row["share_2plus"], row["missing_s"]) == (*shares, "0.25")


def test_a_score_that_failed_is_said_and_ends_nothing(shard):
    row = measured(shard)["b"]
    assert (row["status"], row["reason"], row["snr_db"], row["offset"]) == ("ok", "speech: no voice, none", "", "2")


@pytest.mark.parametrize("status", sorted(set(STATUSES) - {"ok"}))
def test_a_clip_that_ended_keeps_its_end(shard, status):
    crops = {"gone": planted.ended("gone", status, "why", "track"), **_kept(shard)}
    planted.write_crops(shard["crops"], crops)
    row = measured(shard)["gone"]
    assert (row["status"], row["reason"], row["stage"]) == (status, "why", "track")
    assert not any(row[column.name] for column in quality.SCORES)


def _kept(shard) -> dict:
    from talkset import shardtar

    reader = shardtar.Reader(shard["crops"])
    return {
        record["clip"]: (record, {"mp4": reader.read(f"{record['clip']}.mp4")})
        for record in reader.records()
        if record["status"] == "ok"
    }


def test_a_crop_without_any_face_is_measured_as_such(shard):
    kept = _kept(shard)
    kept["a"][0]["face"] = -1
    planted.write_crops(shard["crops"], {**kept, "gone": planted.ended("gone")})
    planted.write_tracks(shard["tracks"], {"a": [face(0, -1), face(1, -1)], "b": [face(0)]})
    row = measured(shard)["a"]
    assert (row["lost_share"], row["share_0"], row["face_px"], row["blur"]) == ("1", "1", "", "")


@pytest.mark.parametrize("artifact", ["clips", "crops", "speech"])
def test_a_clip_that_an_input_lacks_is_a_fault(shard, artifact):
    if artifact == "speech":
        scores(shard["scores"][0], {"clip": "a"})
    else:
        planted.write_crops(shard[artifact], {"gone": planted.ended("gone"), "a": _kept(shard)["a"]})
    with pytest.raises(ToolFault, match=f"{artifact}.* lacks clip 'b'"):
        measured(shard)
    assert not shard["quality"].exists()


def test_two_scores_of_one_name_are_refused(shard):
    shard |= {"scores": [shard["scores"][1]] * 2, "names": ["sync", "other"]}
    with pytest.raises(ToolFault, match="scores: other: another score has a column 'offset' too"):
        measured(shard)


def test_the_same_inputs_give_the_same_bytes(shard):
    measured(shard)
    before = shard["quality"].read_bytes()
    measured(shard)
    assert shard["quality"].read_bytes() == before
