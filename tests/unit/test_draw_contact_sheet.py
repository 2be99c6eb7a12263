"""The contact sheet shows the right frames, the right colours and every clip."""

from __future__ import annotations

import io
import wave

import media_factory
import numpy as np
import pytest
from PIL import Image

import draw_contact_sheet as sheets
from talkset import shardtar, tables
from talkset.demo import barcode

T = 100  # frames of the test's crops


def wav(samples: np.ndarray) -> bytes:
    held = io.BytesIO()
    with wave.open(held, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16000)
        sound.writeframes((samples * 32767).astype("<i2").tobytes())
    return held.getvalue()


def half_loud() -> np.ndarray:
    """Silence, then from the middle on a tone at half of full scale (-6 dB)."""
    samples = 0.5 * np.sin(2 * np.pi * 440 * np.arange(640 * T) / 16000)
    samples[: 320 * T] = 0
    return samples


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """One shard: `kept` and `light` with sound, `mute` without, `quiet` with silence, `gone` without a crop."""
    folder = tmp_path_factory.mktemp("crops")
    size = (sheets.FRAME, sheets.FRAME)
    picture = media_factory.make(folder / "x.mp4", seconds=T / 25, size=size, gop=30, sound=None)
    with shardtar.Writer(folder / "a.tar") as shard:
        loud = half_loud()
        for clip, sound in (("kept", loud), ("light", loud), ("mute", None), ("quiet", np.zeros(640 * T))):
            media = {"mp4": picture} | ({"wav": wav(sound)} if sound is not None else {})
            shard.add(clip, {"clip": clip, "status": "ok", "frames": T, "fps": 25}, media)
        shard.add("gone", {"clip": "gone", "status": "gone"})
    return folder / "a.tar"


def row(clip: str, status: str = "ok", weight: str = "1", reason: str = "") -> dict[str, str]:
    return {"clip": clip, "status": status, "weight": weight, "reason": reason}


def draw(folder, crops, rows) -> Image.Image:
    tables.write(folder / "manifest.tsv", ("clip", "status", "weight", "reason"), rows)
    sheets.main(folder / "manifest.tsv", [crops], folder / "sheet.jpg", version=1)
    return Image.open(folder / "sheet.jpg")


def tile(crops, given: dict[str, str]) -> Image.Image:
    shard = shardtar.Reader(crops)
    record = next(record for record in shard.records() if record["clip"] == given["clip"])
    return sheets.crop_tile(given, shard, record)


def test_frames_are_the_middles_of_equal_parts(crops):
    found = [barcode.read(np.asarray(picture)) for picture in sheets.pictures(*shard_and_record(crops), 4)]
    assert found == [12, 37, 62, 87]


def test_a_clip_shorter_than_the_number_of_frames(crops):
    shard, record = shard_and_record(crops)
    found = [barcode.read(np.asarray(picture)) for picture in sheets.pictures(shard, record | {"frames": 2}, 4)]
    assert found == [0, 0, 1, 1]


def shard_and_record(crops):
    shard = shardtar.Reader(crops)
    return shard, next(shard.records())


@pytest.mark.parametrize(
    ("given", "edge"),
    [
        (row("kept"), sheets.GREEN),
        (row("kept", weight="0.25"), sheets.AMBER),
        (row("kept", "rejected", "0", "small: face_px 90 < 256"), sheets.RED),
    ],
)
def test_the_colour_tells_the_verdict(crops, given, edge):
    assert "#{:02x}{:02x}{:02x}".format(*tile(crops, given).getpixel((1, 1))) == edge


def test_the_strip_shows_where_the_sound_is(crops):
    top = sheets.PAD + sheets.LINE + sheets.PAD + sheets.FRAME
    strip = np.asarray(tile(crops, row("kept")).crop((sheets.PAD, top, sheets.PAD + sheets.WIDTH, top + sheets.SOUND)))
    inked = (strip == (0x4F, 0x46, 0xE5)).all(axis=2).sum(axis=0)
    middle = sheets.WIDTH // 2
    assert inked[: middle - 1].max() <= 2 and inked[middle + 1 :].min() >= sheets.SOUND - 8


@pytest.mark.parametrize(("clip", "said"), [("kept", "peak -6 dB"), ("quiet", "silence"), ("mute", "no sound")])
def test_loudness_is_said(crops, clip, said):
    assert sheets.loudness(sheets.sound(shardtar.Reader(crops), clip)) == said


def test_every_clip_is_on_the_sheet(tmp_path, crops):
    ledger = [row(clip) for clip in ("kept", "light", "mute", "quiet")]
    small = draw(tmp_path, crops, [*ledger, row("gone", "gone", "0", "this video is private")])
    without_text = draw(tmp_path, crops, ledger)
    without_crops = draw(tmp_path, crops, [row("gone", "gone", "0", "this video is private")])
    two_rows = 2 * sheets.crop_tile(ledger[0], *shard_and_record(crops)).height
    assert without_text.height - 2 * sheets.GAP > two_rows
    assert without_text.height < small.height
    assert without_crops.height < small.height - two_rows
    assert {small.width, without_text.width, without_crops.width} == {small.width}


def test_no_clip_at_all_is_a_sheet_too(tmp_path, crops):
    assert draw(tmp_path, crops, []).width > 0


def test_the_same_ledger_gives_the_same_bytes(tmp_path, crops):
    draw(tmp_path, crops, [row("kept"), row("light", weight="0.5")])
    before = (tmp_path / "sheet.jpg").read_bytes()
    draw(tmp_path, crops, [row("kept"), row("light", weight="0.5")])
    assert (tmp_path / "sheet.jpg").read_bytes() == before


@pytest.mark.parametrize(("there", "most"), [(5, 5), (5, 9), (436, 120), (7, 3)])
def test_spread_is_even_and_in_order(there, most):
    shown = sheets.spread(range(there), most)
    assert len(shown) == min(there, most)
    steps = np.diff(shown)
    assert (steps >= 1).all() and (len(steps) == 0 or steps.max() - steps.min() <= 1)


def test_text_never_leaves_its_tile():
    lines = sheets.wrapped("many words " * 60 + "x" * 300, sheets.WIDTH, 3)
    assert len(lines) == 3 and lines[-1].endswith("...")
    assert max(sheets.TEXT.getlength(line) for line in lines) <= sheets.WIDTH
    assert sheets.wrapped("x" * 300, 100, 3)[0].endswith("...")
    assert sheets.wrapped("", 100, 3) == []
    assert sheets.wrapped("a few words", 1000, 3) == ["a few words"]
