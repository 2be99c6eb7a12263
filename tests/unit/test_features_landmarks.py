"""The landmarks feature hands on what the track says, frame by frame."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from talkset.faults import ClipFault
from talkset.features import landmarks

T = 4


def clip(seen: list[bool]) -> SimpleNamespace:
    """A clip whose landmarks and pose at frame `t` are all `t`, NaN where the face is not seen."""
    value = np.where(seen, np.arange(T), np.nan).astype(np.float32)
    track = SimpleNamespace(
        landmarks=np.broadcast_to(value[:, None, None], (T, 478, 3)).copy(),
        box=np.broadcast_to(value[:, None], (T, 4)).copy(),
        pose=np.broadcast_to(value[:, None], (T, 3)).copy(),
    )
    return SimpleNamespace(frames=T, track=lambda: track)


def extract(clip: SimpleNamespace) -> dict | ClipFault:
    [(same, found)] = landmarks.extract(landmarks.load({}, {}), iter([clip]), {})
    assert same is clip
    return found


def test_frames_without_a_face_are_nan_and_the_others_keep_their_place():
    found = extract(clip([True, False, True, True]))
    assert found["landmarks"].shape == (T, 478, 3) and found["pose"].shape == (T, 3)
    for array in found.values():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.reshape(T, -1)[:, 0], np.float32([0, np.nan, 2, 3]))


def test_a_clip_without_any_face_is_the_clips_fault():
    found = extract(clip([False] * T))
    assert isinstance(found, ClipFault) and found.reason == "no face was followed"
