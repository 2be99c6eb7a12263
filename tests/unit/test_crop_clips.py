"""Crops from clip shard and face tracks: every clip has its record, and what is written is what the record says."""

import json
import wave
from contextlib import closing
from fractions import Fraction

import av
import media_factory
import numpy as np
import pytest

import crop_clips
import cut_clips
from talkset import clipdata, media, shardtar, tables, timeline
from talkset import tracks as face_tracks
from talkset.demo import barcode
from talkset.faces import Face
from talkset.faults import ToolFault

SETTINGS = {
    "way": "tracked", "scale": 1.0, "crop_scale": 1.5, "shift_up": 0.0, "margin": 0, "square": "outer",
    "size": 96, "preset": "veryfast", "crf": 12, "gop": 50,
}  # fmt: skip
CLICKS = [0.7, 1.3]


def row(clip, video, start, end, **more):
    return {"clip": clip, "dataset": "d", "video": video, "start": start, "end": end} | more


def shards(folder, rows, faces=(), **made):
    """Cut clips of one video, and tracks with the same faces (x0, y0, x1, y1) in each picture."""
    media_factory.make(folder / "v.mp4", **{"seconds": 2, "click_times": CLICKS, "size": (320, 240)} | made)
    (folder / "v.json").write_text(json.dumps({"video": "v", "status": "ok", "reason": ""}))
    (folder / "gone.mp4").write_bytes(b"")
    (folder / "gone.json").write_text(json.dumps({"video": "gone", "status": "gone", "reason": "removed"}))
    tables.write(folder / "shard.tsv", tables.CLIP_COLUMNS, rows)
    inputs = [[folder / f"{name}.{kind}" for name in ("v", "gone")] for kind in ("mp4", "json")]
    cut_clips.main(folder / "shard.tsv", *inputs, folder / "clips.tar", require_window=False, version=1)
    shard = shardtar.Reader(folder / "clips.tar")
    with face_tracks.Writer(folder / "tracks.parquet") as out:
        for record in shard.records():
            if record["status"] != "ok":
                out.add({key: record[key] for key in ("clip", "status", "reason", "stage")})
                continue
            with closing(shard.media(f"{record['clip']}.mp4")) as file:
                reader = media.ClipReader(file, record)
                pictures = [
                    (one.pts, one.time, [Face(np.array(box, float), 1.0) for box in faces]) for one in reader.pictures()
                ]
            about = {"status": "ok", "reason": "", "stage": "track", "width": 320, "height": 240, "rate": "25"}
            out.add({"clip": record["clip"]} | about, pictures)


def crop(folder, **settings):
    names = ("shard.tsv", "clips.tar", "tracks.parquet", "crops.tar")
    crop_clips.main(*(folder / name for name in names), settings=SETTINGS | settings, version=1)
    shard = shardtar.Reader(folder / "crops.tar")
    return {record["clip"]: record for record in shard.records()}, shard


def test_a_crop_is_what_its_record_says(tmp_path):
    shards(tmp_path, [row("a", "v", "0.5", "1.7")], [(120, 100, 180, 160)], fps=30)
    records, shard = crop(tmp_path)
    record = records["a"]
    assert {key: record[key] for key in ("status", "reason", "stage", "frames", "fps", "size", "way", "face")} == {
        "status": "ok", "reason": "", "stage": "crop", "frames": 30, "fps": 25, "size": 96, "way": "tracked", "face": 0,
    }  # fmt: skip
    assert (record["window"], record["window_px"]) == ([104, 84, 194, 174], 90)  # 60 x 1.5 about 150, 130, on even ones
    assert (record["missing_s"], record["sound_missing_s"]) == (0, 0)
    assert (record["source"]["codec"], record["source"]["fps"], record["source"]["interlaced"]) == ("h264", "30", False)
    clip = next(shardtar.Reader(tmp_path / "clips.tar").records())
    picks = timeline.pick_frames([Fraction(n, 30) for n in range(60)], timeline.slots(Fraction("0.5"), 30))
    base, zero = Fraction(clip["picture"]["time_base"]), Fraction(clip["zero"])
    assert [(zero + pts * base) * 30 for pts in record["source_pts"]] == picks
    with closing(shard.media("a.mp4")) as file, av.open(file) as container:
        assert [frame.pts for frame in container.decode(video=0)] == list(range(30))
    (tmp_path / "a.wav").write_bytes(shard.read("a.wav"))
    with wave.open(str(tmp_path / "a.wav")) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(float)
    assert len(samples) == 640 * 30
    onsets = [time + 0.5 for time in media_factory.onsets(samples, 16000)]
    assert np.abs(np.subtract(onsets, CLICKS)).max() < 0.001


def test_readers_downstream_take_it(tmp_path):
    shards(tmp_path, [row("a", "v", "0.5", "1.7")], [(120, 100, 180, 160)])
    crop(tmp_path, way="whole", size=240)
    clip = next(clipdata.read(tmp_path / "crops.tar", tmp_path / "tracks.parquet"))
    assert clip.pcm().shape == (640 * 30,)
    assert len(list(clip.pictures())) == 30
    box = clip.track().box  # the largest square in the middle: 240 of 320 x 240, so 40 to the left
    assert box == pytest.approx(np.tile([80, 100, 140, 160], (30, 1)), abs=0.01)


def test_every_row_has_its_record_in_order(tmp_path):
    rows = [row("a", "v", "0", "1"), row("b", "gone", "0", "1"), row("c", "v", "9", "10"), row("d", "v", "1", "2")]
    shards(tmp_path, rows, [(120, 100, 180, 160)])
    records, shard = crop(tmp_path)
    ends = [(record["clip"], record["status"], record["stage"]) for record in records.values()]
    assert ends == [("a", "ok", "crop"), ("b", "gone", "raw"), ("c", "failed", "clip"), ("d", "ok", "crop")]
    assert records["b"] == {"clip": "b", "status": "gone", "reason": "removed", "stage": "raw"}
    assert [shard.has(f"{clip}.mp4") for clip in "abcd"] == [True, False, False, True]


def test_one_bad_clip_does_not_stop_the_others(tmp_path):
    def noise(number, width, height):
        return np.random.default_rng(number).integers(0, 255, (height, width, 3), np.uint8)

    rows = [row("a", "v", "0", "0.9"), row("b", "v", "1", "1.9")]
    shards(tmp_path, rows, [(120, 100, 180, 160)], draw=noise, gop=5, sound=None)
    shard = shardtar.Reader(tmp_path / "clips.tar")
    data = bytearray((tmp_path / "clips.tar").read_bytes())
    middle = data.find(shard.read("a.mp4")) + len(shard.read("a.mp4")) // 2
    for offset in range(middle, middle + 3000):
        data[offset] ^= 0x5A
    (tmp_path / "clips.tar").write_bytes(data)
    records, crops = crop(tmp_path)
    assert (records["a"]["status"], records["a"]["stage"]) == ("failed", "crop")
    assert "s after the start is damaged" in records["a"]["reason"]
    assert records["b"]["status"] == "ok"
    assert not crops.has("a.mp4") and crops.has("b.mp4")


def test_no_face_is_the_clips_fault_and_no_sound_is_none(tmp_path):
    shards(tmp_path, [row("a", "v", "0", "1")], sound=None)
    assert crop(tmp_path)[0]["a"]["reason"] == "no face found in 25 frames"
    records, shard = crop(tmp_path, way="whole")
    assert (records["a"]["status"], records["a"]["face"]) == ("ok", -1)
    assert records["a"]["sound"] is records["a"]["pcm_sha256"] is records["a"]["sound_missing_s"] is None
    assert shard.has("a.mp4") and not shard.has("a.wav")


def test_an_annotated_window_is_taken_to_the_pixel_and_names_the_face(tmp_path):
    window = {"x0": "11", "y0": "31", "x1": "112", "y1": "132", "box_unit": "pixel", "ref_height": "240"}
    shards(tmp_path, [row("a", "v", "0", "1", **window)], [(30, 50, 90, 110), (180, 60, 300, 180)])
    record = crop(tmp_path, way="annotated")[0]["a"]
    assert (record["window"], record["face"]) == ([11, 31, 112, 132], 0)
    tracked = crop(tmp_path, way="tracked")[0]["a"]
    assert (tracked["window"], tracked["face"]) == ([14, 34, 104, 124], 0)  # and not the larger face beside it


def test_frame_numbers_survive_cut_and_crop(tmp_path):
    """Of a whole picture, so that the barcode is in the crop: the slots show what the annotation says."""
    strip = (0.125, 0, 0.875, 1 / 16)

    def numbered(number, width, height):
        picture = np.full((height, width, 3), 90, np.uint8)
        barcode.draw(picture, number, strip)
        return picture

    shards(tmp_path, [row("a", "v", "0.31", "1.63")], draw=numbered, fps="60000/1001", bframes=3)
    records, shard = crop(tmp_path, way="whole", size=240)
    with closing(shard.media("a.mp4")) as file, av.open(file) as container:
        seen = [barcode.read(frame.to_ndarray(format="gray")) for frame in container.decode(video=0)]
    stamps = [Fraction(n * 1001, 60000) for n in range(120)]
    assert seen == timeline.pick_frames(stamps, timeline.slots(Fraction("0.31"), 33))
    assert records["a"]["frames"] == 33


def test_equal_input_gives_equal_bytes(tmp_path):
    shards(tmp_path, [row("a", "v", "0", "1"), row("b", "v", "1", "2")], [(120, 100, 180, 160)])
    crop(tmp_path)
    first = (tmp_path / "crops.tar").read_bytes()
    crop(tmp_path)
    assert (tmp_path / "crops.tar").read_bytes() == first
    assert not list(tmp_path.glob(".*"))


def test_an_incomplete_input_stops_the_job(tmp_path):
    shards(tmp_path, [row("a", "v", "0", "1")])
    tables.write(tmp_path / "shard.tsv", tables.CLIP_COLUMNS, [row("a", "v", "0", "1"), row("b", "v", "1", "2")])
    with pytest.raises(ToolFault, match=r"clips\.tar lacks clip 'b'"):
        crop(tmp_path)
