"""Sound that is apart from the lips comes to them, by what a table says; everything else stays byte for byte."""

import hashlib
import json
import wave

import media_factory
import numpy as np
import pytest

import correct_sync
import crop_clips
import cut_clips
from talkset import clipdata, shardtar, tables
from talkset import tracks as face_tracks
from talkset.faults import ToolFault
from talkset.scores import sync

CROP = {
    "way": "whole", "scale": 1.0, "crop_scale": 1.0, "shift_up": 0.0,
    "size": 96, "preset": "veryfast", "crf": 12, "gop": 50,
}  # fmt: skip
COLUMNS = ("clip", "status", "reason", *(column.name for column in sync.SPEC.columns), "sync_weights")
CLICKS = [0.3, 0.61, 1.003, 1.5, 1.93, 2.4, 2.7]
START, END = 1.0, 2.0


def row(clip, video="v", start=str(START), end=str(END)):
    return {"clip": clip, "dataset": "d", "video": video, "start": start, "end": end}


def shards(folder, rows, **made):
    """Clips and uncorrected crops of one video with clicks at `CLICKS`."""
    media_factory.make(folder / "v.mp4", **{"seconds": 3, "click_times": CLICKS, "size": (96, 96)} | made)
    (folder / "v.json").write_text(json.dumps({"video": "v", "status": "ok", "reason": ""}))
    (folder / "gone.mp4").write_bytes(b"")
    (folder / "gone.json").write_text(json.dumps({"video": "gone", "status": "gone", "reason": "removed"}))
    tables.write(folder / "shard.tsv", tables.CLIP_COLUMNS, rows)
    inputs = [[folder / f"{name}.{kind}" for name in ("v", "gone")] for kind in ("mp4", "json")]
    cut_clips.main(folder / "shard.tsv", *inputs, folder / "clips.tar", require_window=False, version=1)
    with face_tracks.Writer(folder / "tracks.parquet") as out:
        for record in shardtar.Reader(folder / "clips.tar").records():
            about = {key: record[key] for key in ("clip", "status", "reason", "stage")}
            out.add(about | ({"width": 96, "height": 96, "rate": "25"} if record["status"] == "ok" else {}))
    names = ("shard.tsv", "clips.tar", "tracks.parquet", "uncorrected.tar")
    crop_clips.main(*(folder / name for name in names), settings=CROP, version=1)


def correct(folder, offsets, confidence=6.5):
    """Correct by a table of offsets in frames; `None` = not known."""
    rows = []
    for record in shardtar.Reader(folder / "uncorrected.tar").records():
        found = {"clip": record["clip"], "status": record["status"], "reason": record["reason"]}
        offset = offsets.get(record["clip"])
        if offset is not None:
            values = {"sync_offset": offset, "sync_offset_ms": 40 * offset, "sync_error_ms": abs(40 * offset)}
            found |= values | {"sync_confidence": confidence, "sync_distance": 7, "sync_weights": "published"}
        rows.append({name: tables.cell(value) for name, value in found.items()})
    tables.write(folder / "sync.tsv", COLUMNS, rows)
    inputs = (folder / name for name in ("uncorrected.tar", "clips.tar", "sync.tsv", "shard.tsv"))
    correct_sync.main(*inputs, folder / "crops.tar", version=1)
    shard = shardtar.Reader(folder / "crops.tar")
    return {record["clip"]: record for record in shard.records()}, shard


def clicks(folder, clip="a"):
    """Seconds of the clicks in a crop, on the source's timeline of its pictures."""
    found = {one.clip: one for one in clipdata.read(folder / "crops.tar", folder / "tracks.parquet")}[clip].pcm()
    assert len(found) == 640 * 25
    return [onset + START for onset in media_factory.onsets(found, 16000)]


@pytest.mark.parametrize("offset", [3, -3, 1, 15, -15])
def test_clicks_go_where_the_lips_are(offset, tmp_path):
    """Sound that comes 3 frames before the lips is put 3 frames later, real sound from outside the clip included."""
    shards(tmp_path, [row("a")])
    records, shard = correct(tmp_path, {"a": offset})
    expected = [time + offset / 25 for time in CLICKS if START <= time + offset / 25 < END]
    assert len(expected) >= 2
    assert np.abs(np.subtract(clicks(tmp_path), expected)).max() < 0.001
    assert records["a"]["sync"] == {
        "offset_ms": 40 * offset, "shifted_samples": 640 * offset, "confidence": 6.5, "weights": "published",
    }  # fmt: skip
    # The clip file holds half a second beyond both ends.
    assert records["a"]["sound_missing_s"] == pytest.approx(max(0, abs(offset) / 25 - 0.5), abs=0.05)
    with wave.open(shard.media("a.wav")) as file:
        assert file.getnframes() == 640 * 25


def test_the_record_says_what_the_sound_is(tmp_path):
    shards(tmp_path, [row("a")])
    records, shard = correct(tmp_path, {"a": 3})
    before = next(shardtar.Reader(tmp_path / "uncorrected.tar").records())
    assert before["sync"] is None
    with wave.open(shard.media("a.wav")) as file:
        assert records["a"]["pcm_sha256"] == hashlib.sha256(file.readframes(file.getnframes())).hexdigest()
    changed = {key for key in before if records["a"][key] != before[key]}
    assert changed == {"pcm_sha256", "sync"} and list(records["a"]) == list(before)


def test_at_the_source_s_beginning_there_is_silence_and_it_is_counted(tmp_path):
    shards(tmp_path, [row("a", start="0", end="1")])
    records, _ = correct(tmp_path, {"a": 3})
    assert records["a"]["sound_missing_s"] == pytest.approx(0.12, abs=0.025)  # less what AAC's encoder put before 0
    found = {one.clip: one for one in clipdata.read(tmp_path / "crops.tar", tmp_path / "tracks.parquet")}["a"].pcm()
    assert not found[: 3 * 640 - 60].any()
    assert media_factory.onsets(found, 16000) == pytest.approx([0.42, 0.73], abs=0.001)


def test_pictures_and_every_other_clip_stay_as_they_are(tmp_path):
    rows = [row("a"), row("b"), row("c"), row("d", "gone"), row("e", start="9", end="10")]
    shards(tmp_path, rows)
    records, shard = correct(tmp_path, {"a": 2, "b": 0})  # c: not known
    before = shardtar.Reader(tmp_path / "uncorrected.tar")
    was = {record["clip"]: record for record in before.records()}
    assert list(records) == list(was) == list("abcde")
    assert {clip: records[clip] for clip in "bcde"} == {clip: was[clip] for clip in "bcde"}
    assert records["b"]["sync"] is None and "sync" not in records["d"]
    for name in ("a.mp4", "b.mp4", "b.wav", "c.mp4", "c.wav"):
        assert shard.read(name) == before.read(name)
    assert shard.read("a.wav") != before.read("a.wav")
    assert not any(shard.has(name) for name in ("d.mp4", "d.wav", "e.mp4", "e.wav"))


def test_a_clip_without_sound_stays_without(tmp_path):
    shards(tmp_path, [row("a")], sound=None)
    records, shard = correct(tmp_path, {})
    assert records["a"]["sync"] is records["a"]["sound"] is None
    assert shard.has("a.mp4") and not shard.has("a.wav")


def test_again_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path):
    shards(tmp_path, [row("a"), row("b")])
    inputs = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    correct(tmp_path, {"a": -2, "b": 1})
    first = (tmp_path / "crops.tar").read_bytes()
    (tmp_path / ".crops.scratch").mkdir()
    (tmp_path / ".crops.partial.tar").write_bytes(b"of a killed job")
    correct(tmp_path, {"a": -2, "b": 1})
    assert (tmp_path / "crops.tar").read_bytes() == first
    assert {path.name for path in tmp_path.iterdir()} == {*inputs, "sync.tsv", "crops.tar"}
    assert all((tmp_path / name).read_bytes() == content for name, content in inputs.items())


def test_a_table_that_lacks_a_clip_is_refused(tmp_path):
    shards(tmp_path, [row("a"), row("b")])
    correct(tmp_path, {})
    tables.write(tmp_path / "sync.tsv", COLUMNS, list(tables.rows(tmp_path / "sync.tsv"))[:1])
    with pytest.raises(ToolFault, match="sync.tsv lacks clip 'b'"):
        inputs = (tmp_path / name for name in ("uncorrected.tar", "clips.tar", "sync.tsv", "shard.tsv"))
        correct_sync.main(*inputs, tmp_path / "crops.tar", version=1)
