"""The demo's known answers, all the way from the sources to the ledger."""

from __future__ import annotations

import io
import json
import re
import wave
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

import extract_feature
from talkset import faults, featurestore, shardtar, tables
from talkset.demo import barcode


@pytest.fixture(scope="session")
def truth(demo) -> dict:
    return json.loads((demo.folder / "resources" / "demo" / "truth.json").read_text())


def clip_rows(demo) -> list[dict]:
    return list(tables.rows(demo.results("clips.tsv")))


def test_clips_in_are_rows_out_at_every_stage(demo):
    listed = [row["clip"] for row in clip_rows(demo)]
    assert len(listed) == len(set(listed)) >= 14
    for stage in (
        "shards/*.tsv",
        "quality/*.tsv",
        "filtered/*.tsv",
        "filtered.tsv",
        "manifest.tsv",
        *(f"scores/{score}/*.tsv" for score in ("speech", "sync", "occlusion", "agreement")),
    ):
        found = [row["clip"] for path in demo.results().glob(stage) for row in tables.rows(path)]
        assert sorted(found) == sorted(listed), stage
    for stage in ("clips/*.tar", "crops/*.tar"):
        found = [record["clip"] for path in demo.results().glob(stage) for record in shardtar.Reader(path).records()]
        assert sorted(found) == sorted(listed), stage


def test_every_clip_ends_as_planted(demo, truth):
    ledger = {row["clip"]: row for row in tables.rows(demo.results("manifest.tsv"))}
    assert set(ledger) == set(truth["clips"])
    for clip, expected in truth["clips"].items():
        row = ledger[clip]
        assert row["status"] in faults.STATUSES
        assert row["status"] in expected["status"].split("|"), f"{clip}: {row}"
        for reason in expected.get("reasons", []):
            assert f"{reason}:" in row["reason"], f"{clip}: {row['reason']}"
        for reason in expected.get("soft", []):
            assert f"soft:{reason}:" in row["reason"], f"{clip}: {row['reason']}"
        assert row["status"] == "ok" or row["reason"], f"{clip} ended as {row['status']} without a reason"


def source_frames(demo, clip: str):
    """`(stamp, number)` of the decoded frames of a clip at source quality, on the annotated timeline."""
    for path in demo.results("clips").glob("*.tar"):
        shard = shardtar.Reader(path)
        for record in shard.records():
            if record["clip"] == clip and record["status"] == "ok":
                with av.open(shard.media(f"{clip}.{record['media']}")) as container:
                    stream = container.streams.video[0]
                    for frame in container.decode(stream):
                        if record["first_pts"] <= frame.pts <= record["last_pts"]:
                            grey = frame.to_ndarray(format="gray")
                            yield Fraction(record["zero"]) + frame.pts * stream.time_base, barcode.read(grey)


def test_clips_begin_at_the_annotated_frame(demo, truth):
    checked = 0
    for row in clip_rows(demo):
        stamps = truth["sources"].get(row["video"], {}).get("stamps")
        frames = list(source_frames(demo, row["clip"]))
        if not frames or stamps is None:
            continue
        checked += 1
        for time, number in frames:
            assert number is not None, row["clip"]
            assert abs(time - Fraction(stamps[number])) < Fraction(1, 1000), (
                f"{row['clip']}: frame {number} at {float(time)}"
            )
        first = min(range(len(stamps)), key=lambda n: abs(Fraction(stamps[n]) - Fraction(row["start"])))
        assert frames[0][1] == first, row["clip"]
    assert checked >= 8


def crops(demo):
    for path in sorted(demo.results("crops").glob("*.tar")):
        shard = shardtar.Reader(path)
        for record in shard.records():
            if record["status"] == "ok":
                yield shard, record


def test_crops_have_exactly_25_frames_a_second_and_640_samples_a_frame(demo):
    seen = 0
    for shard, record in crops(demo):
        seen += 1
        with av.open(shard.media(f"{record['clip']}.mp4")) as container:
            stream = container.streams.video[0]
            stamps = [frame.pts * stream.time_base for frame in container.decode(stream)]
            assert (stream.width, stream.height) == (512, 512)
        assert stamps == [Fraction(n, 25) for n in range(record["frames"])], record["clip"]
        if shard.has(f"{record['clip']}.wav"):
            with wave.open(io.BytesIO(shard.read(f"{record['clip']}.wav"))) as sound:
                assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
                assert sound.getnframes() == 640 * record["frames"], record["clip"]
    assert seen >= 9


def test_known_sounds_are_where_the_source_had_them(demo, truth):
    """The click of each source, to the millisecond, in every crop that holds it."""
    rows = {row["clip"]: row for row in clip_rows(demo)}
    checked = 0
    for shard, record in crops(demo):
        row = rows[record["clip"]]
        source = truth["sources"][row["video"]]
        for click in source.get("clicks", []):
            at = click - float(row["start"])
            if not 0.2 < at < record["frames"] / 25 - 0.2 or not shard.has(f"{record['clip']}.wav"):
                continue
            with wave.open(io.BytesIO(shard.read(f"{record['clip']}.wav"))) as sound:
                pcm = np.frombuffer(sound.readframes(sound.getnframes()), np.int16).astype(float)
            found = click_position(pcm, at)
            assert abs(found - at) < 0.001, f"{record['clip']}: click at {found:.4f} s instead of {at:.4f} s"
            checked += 1
    assert checked >= 4


def click_position(pcm: np.ndarray, near: float) -> float:
    """Middle of the 1500 Hz burst nearest to a time, by its energy envelope."""
    lower = int((near - 0.1) * 16000)
    part = pcm[lower : lower + 3200]
    phase = np.exp(-2j * np.pi * 1500 * np.arange(len(part)) / 16000)
    envelope = np.abs(np.convolve(part * phase, np.hanning(97), mode="same")) ** 4
    return (lower + (envelope * np.arange(len(part))).sum() / envelope.sum()) / 16000


# Rows a frame of the arrays that have a time axis; the shapes with the tiny models of the demo.
SHAPES = {
    "landmarks": {"landmarks": "[T,478,3]", "pose": "[T,3]"},
    "mel": {"mel": "[4T,80]"},
    "video_latents": {"latents": "[T,4,64,64]", "frames": "[2]"},
    "struct_latents": {"struct": "[T,128]", "side": "[T,5]"},
    "audio_features": {"audio": "[2T,D]"},
    "flame_params": {"flame": "[T,159]", "crop": "[T,3]"},
    "ref_features": {"ref": "[4,D]", "patches": "[4,0,C]", "frames": "[4]"},
}


def test_features_have_the_promised_rows(demo):
    frames = {record["clip"]: record["frames"] for _, record in crops(demo)}
    kept = {row["clip"] for row in tables.rows(demo.results("filtered.tsv")) if row["keep"] == "1"}
    assert {path.name for path in demo.results("features").iterdir()} == set(SHAPES)
    for modality, shapes in SHAPES.items():
        seen = set()
        for path in demo.results("features", modality).glob("*.safetensors"):
            said = featurestore.metadata(path)
            seen |= {*said["clips"], *said["missing"]}
            assert set(said["missing"].values()) <= {"no sound"}
            for clip in said["clips"]:
                found = featurestore.arrays(path, clip)
                assert set(found) == set(shapes)
                for name, array in found.items():
                    assert extract_feature.fits(array.shape, shapes[name], frames[clip]), (clip, name, array.shape)
                    if modality != "landmarks":
                        assert np.isfinite(array).all(), (clip, name)
        assert seen == kept, modality


def test_nothing_made_by_random_weights_can_be_taken_for_real(demo):
    output = (demo.folder / "output.txt").read_text()
    for modality in set(SHAPES) - {"landmarks", "mel"}:
        for path in demo.results("features", modality).glob("*.safetensors"):
            said = featurestore.metadata(path)
            assert said["weights"] == "random-tiny"
            assert all(model["id"].startswith("random-tiny/") for model in said["models"].values())
        assert re.search(rf"{modality}: .*random-tiny", output), modality
    for score in ("sync", "occlusion", "agreement"):
        for path in demo.results("scores", score).glob("*.tsv"):
            for row in tables.rows(path):
                assert row[f"{score}_weights"] == ("random-tiny" if row["status"] == "ok" else "")
    for row in tables.rows(demo.results("filtered.tsv")):
        # `note:sync:` says only that there is no value.
        assert not re.search(r"(^|;)(sync|occluded):", row["reasons"])


def test_export_and_pictures_are_there(demo):
    ok = {row["clip"] for row in tables.rows(demo.results("manifest.tsv")) if row["status"] == "ok"}
    assert {path.stem for path in demo.results("export", "hdtf").glob("*.mp4")} == ok
    with Image.open(demo.results("contact_sheet.jpg")) as sheet:
        assert sheet.width >= 600 and sheet.height >= 400
    output = (demo.folder / "output.txt").read_text()
    for words in ("contact_sheet.jpg", "manifest.tsv", "gone", "no-window", "rejected"):
        assert words in output


def test_no_secret_and_no_foreign_path_in_results(demo):
    for path in demo.results().rglob("*"):
        if path.suffix in {".tsv", ".json", ".txt"}:
            assert "127.0.0.1" not in path.read_text(encoding="utf-8"), path
            assert str(demo.folder) not in path.read_text(encoding="utf-8"), path
