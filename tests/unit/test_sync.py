"""The score `sync`: which pictures and samples the network gets, and what becomes of its vectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace

import numpy as np
import planted
import pytest
import torch

from talkset import clipdata
from talkset.demo.tiny import syncnet_v2
from talkset.faults import ClipFault, ToolFault
from talkset.models import Model
from talkset.nets import syncnet
from talkset.scores import sync

OPTIONS = {name: option["default"] for name, option in sync.SPEC.options["properties"].items()}
FRAMES = 60
SIZE = 100
NOISE = np.random.default_rng(0).standard_normal(640 * FRAMES).clip(-4, 4).astype(np.float32) / 5


@dataclass
class Clip:
    """A crop whose frame `k` is grey of level `2 k` but for a face that is lighter by 100."""

    clip: str = "a"
    frames: int = FRAMES
    samples: np.ndarray | None = field(default_factory=lambda: NOISE)
    lost: tuple[int, int] = (0, 0)

    def pcm(self):
        return None if self.samples is None else self.samples[: 640 * self.frames]

    def pictures(self, format):
        assert format == "rgb24"
        for frame in range(self.frames):
            picture = np.full((SIZE, SIZE, 3), 2 * frame, np.uint8)
            picture[30:70, 40:70] += 100
            picture[..., 0] += 1
            yield picture

    def track(self):
        box = np.tile(np.array([40, 30, 70, 70], np.float32), (self.frames, 1))
        box[slice(*self.lost)] = np.nan
        return SimpleNamespace(box=box)


class Told:
    """A network whose vectors of lips say which frame a window begins with, and of sound what was planted.

    Args:
        ahead: frames by which the sound comes before the lips.
        clear: how much the vectors of matching windows stand out.
    """

    def __init__(self, ahead: int, clear: float = 10.0):
        random = np.random.default_rng(1)
        self.events = torch.from_numpy(clear * random.standard_normal((FRAMES + 40, 8)).astype(np.float32))
        self.ahead = ahead

    def lips(self, pictures):
        assert pictures.shape[1:] == (5, 224, 224, 3) and pictures.dtype == torch.uint8
        first = pictures[:, 0, -1, 0, 0] // 2  # below the chin, left: background
        return self.events[20 + first.long()]

    def sound(self, windows):
        return self.events[20 + self.ahead : 20 + self.ahead + len(windows)]


def model(ahead: int, clear: float = 10.0) -> sync.Model:
    return sync.Model(Told(ahead, clear), torch.device("cpu"))


def score(net, *clips, **options):
    return {clip.clip: found for clip, found in sync.score(net, iter(clips), OPTIONS | options)}


@pytest.mark.parametrize("ahead", [0, 1, 3, -5, 15, -15])
def test_sound_that_comes_before_the_lips_has_an_offset_above_zero(ahead):
    found = score(model(ahead), Clip())["a"]
    assert found["sync_offset"] == ahead
    assert found["sync_offset_ms"] == 40 * ahead
    assert found["sync_error_ms"] == 40 * abs(ahead)
    assert found["sync_confidence"] > 10 and found["sync_distance"] < 20
    assert set(found) == {column.name for column in sync.SPEC.columns}


def test_an_offset_of_chance_is_no_error():
    """Where nothing stands out, offset and confidence are told, but there is nothing to reject a clip for."""
    found = score(model(7, clear=0.01), Clip())["a"]
    assert found["sync_offset"] is not None and 0 <= found["sync_confidence"] < 3
    assert found["sync_error_ms"] is None
    assert score(model(7, clear=0.01), Clip(), min_confidence=0)["a"]["sync_error_ms"] is not None


@pytest.mark.parametrize(
    ("clip", "reason"),
    [
        (Clip(samples=None), "no sound"),
        (Clip(samples=np.full(640 * FRAMES, 0.1, np.float32)), "the sound is silence"),
        (Clip(frames=49), "49 frames, fewer than the 50 that an offset needs"),
        (Clip(lost=(0, FRAMES)), "no face in 60 frames in a row; no more than 25 are bridged"),
        (Clip(lost=(10, 36)), "no face in 26 frames in a row; no more than 25 are bridged"),
        (Clip(lost=(34, 60)), "no face in 26 frames in a row; no more than 25 are bridged"),
    ],
)
def test_a_clip_without_what_an_offset_needs_has_a_reason(clip, reason):
    found = score(model(0), Clip("before"), clip, Clip("after"))
    assert isinstance(found["a"], ClipFault) and found["a"].reason == reason
    assert found["before"] == found["after"] and found["after"]["sync_offset"] == 0


def test_a_short_loss_of_the_face_is_bridged():
    assert score(model(2), Clip(lost=(10, 35)))["a"]["sync_offset"] == 2
    shortest = {"min_frames": sync.SPEC.options["properties"]["min_frames"]["minimum"]}
    assert isinstance(score(model(0), Clip(frames=25, lost=(0, 25)), **shortest)["a"], ClipFault)
    assert score(model(0), Clip(frames=25), **shortest)["a"]["sync_offset"] == 0


def test_windows_are_five_faces_in_a_row_bgr():
    found = list(sync.windows(Clip(), OPTIONS | {"face_scale": 1.0, "face_shift_up": 0.0}))
    assert len(found) == FRAMES - 5
    for first, window in enumerate(found):
        assert window.shape == (5, 224, 224, 3) and window.dtype == np.uint8
        assert window[:, -1, 0].tolist() == [[2 * frame, 2 * frame, 2 * frame + 1] for frame in range(first, first + 5)]


def test_the_square_is_that_of_the_box_times_its_scale():
    """Box 30 x 40 about 55, 50: the square is 2.8 x 20 wide and begins at the box's upper edge."""
    window = next(sync.windows(Clip(), OPTIONS | {"face_scale": 1.0, "face_shift_up": 0.0}))
    lit = window[0, ..., 0] >= 50
    assert np.flatnonzero(lit.any(axis=1))[[0, -1]] == pytest.approx([0, 159], abs=2)  # 4 pixels for one
    assert np.flatnonzero(lit.any(axis=0))[[0, -1]] == pytest.approx([52, 171], abs=2)
    window = next(sync.windows(Clip(), OPTIONS | {"face_scale": 1.25, "face_shift_up": 0.05}))
    lit = window[0, ..., 0] >= 50  # half is 25, the middle 48: from row 23 on, 3.2 pixels for one
    assert np.flatnonzero(lit.any(axis=1))[[0, -1]] == pytest.approx([7 * 3.2, 47 * 3.2], abs=4)


def test_face_places_bridge_in_a_line_and_hold_at_the_ends():
    boxes = np.full((40, 4), np.nan)
    boxes[5], boxes[25] = (0, 0, 20, 10), (40, 0, 60, 10)
    places = sync.face_places(boxes, scale=1.1, shift_up=0.1)
    assert places.shape == (40, 3)
    assert places[8:22, 0] == pytest.approx(10 + 2 * np.arange(3, 17))  # the median of a line is the line
    assert places[26:34, 0] == pytest.approx(np.r_[50, [50] * 7])
    assert places[8:34, 1] == pytest.approx(np.full(26, 5 - 0.1 * 20))
    assert places[8:34, 2] == pytest.approx(np.full(26, 1.1 * 10))


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    folder = tmp_path_factory.mktemp("syncnet")
    syncnet_v2.make(folder)
    return Model("syncnet-v2", "random-tiny/syncnet-v2", "seed 0", "random-tiny", folder)


def test_a_crop_shard_through_the_loader_and_the_network(tiny, tmp_path):
    """Against the parts, called by hand on what the shard holds."""
    frames, options = 30, {"min_frames": 30, "min_confidence": 0}
    random = np.random.default_rng(2)
    still = random.integers(0, 256, (8, 8, 3)).astype(np.uint8).repeat(16, axis=0).repeat(16, axis=1)
    media = {
        "mp4": planted.mp4([np.roll(still, 3 * frame, axis=1) for frame in range(frames)]),
        "wav": planted.wav(NOISE[: 640 * frames]),
    }
    rows = [planted.face(frame, box=(100, 100, 200, 180)) for frame in range(frames)]
    tracks = planted.write_tracks(tmp_path / "tracks.parquet", {"a": rows, "b": rows})
    records = {clip: (planted.crop_record(clip, frames), media) for clip in "ab"}
    clips = list(clipdata.read(planted.write_crops(tmp_path / "crops.tar", records), tracks))
    net = sync.load(OPTIONS, {"model": tiny})
    found = score(net, *clips, **options)
    assert found["a"] == found["b"]
    assert score(net, clips[0], batch_size=7, **options)["a"] == pytest.approx(found["a"], rel=1e-5, abs=1e-5)

    # The box 25..75, 25..65 in the crop of 128. At the ends its median is of 7 times itself and 6 zeros.
    place = {"x": 50, "y": 45 - 0.05 * 50, "half": 1.05 * 25}
    faces = np.stack([syncnet.face(picture[..., ::-1], **place) for picture in clips[0].pictures("rgb24")])
    windows = np.stack([faces[first : first + 5] for first in range(frames - 5)])
    cepstra = syncnet.mfcc(np.rint(NOISE[: 640 * frames] * 32768).clip(-32768, 32767))
    heard = np.stack([cepstra[4 * first : 4 * first + 20] for first in range(frames - 5)])
    with torch.inference_mode():
        expected = syncnet.agreement(net.net.lips(torch.from_numpy(windows)), net.net.sound(torch.from_numpy(heard)))
    assert found["a"]["sync_offset"] == expected.offset
    assert found["a"]["sync_distance"] == pytest.approx(expected.distance, rel=1e-5)
    assert found["a"]["sync_confidence"] == pytest.approx(expected.confidence, abs=1e-5 * expected.distance)


def test_a_missing_checkpoint_is_the_tools_fault(tmp_path):
    with pytest.raises(ToolFault, match="syncnet_v2.model"):
        sync.load(OPTIONS, {"model": Model("syncnet-v2", "random-tiny/x", "seed 0", "random-tiny", tmp_path)})
