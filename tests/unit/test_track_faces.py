"""The face tracks of a shard: every clip has a record, the good ones have rows, nothing depends on what came before."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import portraits
import pytest

import cut_clips
import track_faces
from talkset import files, shardtar, tables, tracks
from talkset.faults import ToolFault

SETTINGS = {"rate": 0, "skip_loop_filter": True, "detect_rate": 5, "min_score": 0.5, "smallest_face": 0.03}
VIDEOS = Path(__file__).parents[3] / "shared" / "data" / "videos"
FRAMES = 60
START = Fraction(2, 5)  # of the clips in their sources


def place(frame: int) -> tuple[float, float, float]:
    return 200 + 3 * frame, 180, 140


def video(path: Path, pictures, rate: int = 30) -> Path:
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast", "threads": "1"})
        stream.height, stream.width = 360, 640
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(portraits.frame(picture)))
        container.mux(stream.encode())
    return path


def clip_shard(folder: Path, sources: dict[str, Path], end: Fraction) -> tuple[Path, Path]:
    """The list and the clip shard of one clip per source, and of one whose source is gone."""
    rows = [
        {"clip": f"{name}_000", "video": name, "start": str(float(START)), "end": str(float(end))} for name in sources
    ]
    rows.insert(1, {"clip": "gone_000", "video": "gone", "start": "0", "end": "2"})
    listed, shard = folder / "list.tsv", folder / "clips.tar"
    tables.write(listed, tables.CLIP_COLUMNS, rows)
    media, records = [folder / "gone.mp4", *sources.values()], []
    media[0].touch()
    for path in media:
        end = {"status": "gone", "reason": "private"} if path.stem == "gone" else {"status": "ok", "reason": ""}
        records.append(folder / f"{path.stem}.json")
        files.write_json(records[-1], {"video": path.stem} | end)
    cut_clips.main(listed, media, records, shard, require_window=False, version=1)
    return listed, shard


@pytest.fixture(scope="module")
def shard(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shard")
    empty = portraits.picture(640, 360)
    sources = {
        "walk": video(folder / "walk.mp4", [portraits.picture(640, 360, place(k)) for k in range(FRAMES)]),
        "empty": video(folder / "empty.mp4", [empty] * FRAMES),
        "torn": video(folder / "torn.mp4", [portraits.picture(640, 360, place(k)) for k in range(FRAMES)]),
    }
    listed, shard = clip_shard(folder, sources, Fraction(9, 5))
    whole = shardtar.Reader(shard)
    torn = folder / "torn.tar"
    with shardtar.Writer(torn) as out:
        for record in whole.records():
            media = whole.read(f"{record['clip']}.mp4") if record["status"] == "ok" else None
            if record["clip"] == "torn_000":
                middle = media.index(b"mdat") + len(media) // 2
                media = media[:middle] + b"\xa5" * 3000 + media[middle + 3000 :]
            out.add(record["clip"], record, {"mp4": media} if media else None)
    return listed, torn


def tracked(shard, path: Path, **changed) -> Path:
    listed, clips = shard
    track_faces.main(clips, listed, path, settings=SETTINGS | changed, version=1)
    return path


@pytest.fixture(scope="module")
def path(shard, tmp_path_factory):
    return tracked(shard, tmp_path_factory.mktemp("tracks") / "tracks.parquet")


def test_every_clip_has_a_record(path):
    by_clip = {record["clip"]: record for record in tracks.records(path)}
    assert list(by_clip) == ["walk_000", "gone_000", "empty_000", "torn_000"]
    size = {"width": 640, "height": 360, "rate": "30"}
    assert by_clip["walk_000"] == {"clip": "walk_000", "status": "ok", "reason": "", "stage": "track"} | size
    gone = by_clip["gone_000"]
    assert (gone["status"], gone["reason"]) == ("gone", "private")
    torn = by_clip["torn_000"]
    assert (torn["status"], torn["stage"]) == ("failed", "track")
    assert "damaged" in torn["reason"]


def test_face_is_where_it_was_in_every_picture(path):
    read = tracks.read(path, "walk_000")
    assert set(read["face"]) == {0}
    assert read["frame"].tolist() == list(range(len(read["frame"])))
    boxes = np.stack([read[side] for side in ("x0", "y0", "x1", "y1")], axis=1)
    sources = np.rint((read["time"] + float(START)) * 30).astype(int)
    assert np.abs((read["time"] + float(START)) * 30 - sources).max() < 1e-6
    assert {12, 53} <= set(sources.tolist()) <= set(range(11, 55)), "every picture from 0.4 to 1.8 s"
    for box, source in zip(boxes, sources, strict=True):
        assert np.abs(box - portraits.box(*place(source))).max() < 0.05 * 140


def test_clip_without_a_face_has_a_row_for_every_picture(path):
    read = tracks.read(path, "empty_000")
    assert set(read["face"]) == {-1}
    assert read["pts"].tolist() == tracks.read(path, "walk_000")["pts"].tolist()
    assert np.isnan(read["landmarks"]).all()


@pytest.mark.parametrize("clip", ["gone_000", "torn_000"])
def test_clips_that_ended_have_no_rows(path, clip):
    assert len(tracks.read(path, clip)["face"]) == 0


def test_same_input_same_bytes(shard, path, tmp_path):
    assert tracked(shard, tmp_path / "again.parquet").read_bytes() == path.read_bytes()


def test_rate(shard, path, tmp_path):
    coarse = tracked(shard, tmp_path / "coarse.parquet", rate=10)
    few, every = (tracks.read(where, "walk_000") for where in (coarse, path))
    assert len(few["pts"]) == 14
    assert set(few["pts"]) <= set(every["pts"])
    assert np.abs(few["time"] - np.arange(14) / 10).max() <= 1 / 60
    assert tracks.records(coarse)[0]["rate"] == "10"


def test_rate_that_is_not_whole(shard, tmp_path):
    coarse = tracked(shard, tmp_path / "coarse.parquet", rate=2.5)
    assert np.abs(tracks.read(coarse, "walk_000")["time"] - [0, 0.4, 0.8, 1.2]).max() <= 1 / 60
    assert tracks.records(coarse)[0]["rate"] == "5/2"


def test_clip_that_the_shard_lacks(shard, tmp_path):
    listed, clips = shard
    rows = [*tables.rows(listed), {"clip": "other_000"}]
    tables.write(tmp_path / "list.tsv", tables.CLIP_COLUMNS, rows)
    with pytest.raises(ToolFault, match="lacks clip 'other_000'"):
        tracked((tmp_path / "list.tsv", clips), tmp_path / "tracks.parquet")


def test_real_videos_without_the_loop_filter(tmp_path):
    source = VIDEOS / "scene_1280x720_30fps.mp4"
    if not source.exists():
        pytest.skip(f"{source} is not there")
    shard = clip_shard(tmp_path, {source.stem: source}, START + 2)
    found = []
    for skip in (True, False):
        path = tracked(shard, tmp_path / f"{skip}.parquet", skip_loop_filter=skip)
        found.append(tracks.read(path, f"{source.stem}_000"))
        assert set(found[-1]["face"]) == {0}
    face = np.median(found[1]["y1"] - found[1]["y0"])
    points = [read["landmarks"].reshape(-1, 478, 3)[..., :2] for read in found]
    # A face takes about 300 of a crop's 512 pixels.
    away = np.hypot(*(points[0] - points[1]).transpose(2, 0, 1)) * 300 / face
    assert 0 < away.mean() < 0.5


def test_progress_is_shown(shard, tmp_path, capfd, monkeypatch):
    ticks = iter(range(0, 10**6, 40))
    monkeypatch.setattr("talkset.progress.time.monotonic", lambda: next(ticks))
    with contextlib.suppress(StopIteration):
        tracked(shard, tmp_path / "tracks.parquet", rate=2)
    assert "track_faces: walk_000: 1 of 3 pictures" in capfd.readouterr().err
