"""Voice activity on real speech with planted pauses, and what is said of sound without speech."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import talkset
from talkset.scores import speech

SPEECH = Path(talkset.__file__).parent / "demo" / "speech.flac"
OPTIONS = {name: option["default"] for name, option in speech.SPEC.options["properties"].items()}


@pytest.fixture(scope="module")
def model():
    return speech.load(OPTIONS, {})


@pytest.fixture(scope="module")
def words() -> np.ndarray:
    """1.94 s of speech without a pause."""
    samples, _ = soundfile.read(SPEECH, dtype="float32")
    return samples[: int(1.94 * 16000)]


def score(model, samples: np.ndarray | None) -> dict:
    [(_, found)] = speech.score(model, iter([SimpleNamespace(pcm=lambda: samples)]), OPTIONS)
    assert set(found) == {column.name for column in speech.SPEC.columns}
    return found


def test_the_share_is_that_of_the_planted_speech(model, words):
    hiss = np.random.default_rng(1).standard_normal(64000).astype(np.float32) * 1e-3
    samples = hiss.copy()
    samples[16000 : 16000 + len(words)] += words
    found = score(model, samples)
    assert found["sound"] == "speech"
    assert found["speech_share"] == pytest.approx(len(words) / 64000, abs=0.05)
    assert found["snr_db"] > 25


def test_speech_lies_where_it_was_put(model, words):
    samples = np.zeros(64000, np.float32)
    samples[24000 : 24000 + len(words)] = words
    spoken = np.flatnonzero(speech.spoken(model, samples, OPTIONS))
    assert abs(spoken[0] - 24000) < 0.2 * 16000
    assert abs(spoken[-1] - (24000 + len(words))) < 0.2 * 16000


def test_no_sound_has_no_values(model):
    assert score(model, None) == {"sound": "no sound", "speech_share": None, "snr_db": None}


@pytest.mark.parametrize("value", [0, 0.25])
def test_digital_silence(model, value):
    samples = np.full(32000, value, np.float32)
    assert score(model, samples) == {"sound": "silence", "speech_share": 0, "snr_db": None}


def test_sound_without_speech(model):
    noise = np.random.default_rng(1).standard_normal(32000).astype(np.float32) * 0.05
    assert score(model, noise) == {"sound": "no speech", "speech_share": 0, "snr_db": None}


def test_a_clip_does_not_depend_on_the_one_before(model, words):
    first = score(model, words)
    score(model, np.random.default_rng(2).standard_normal(48000).astype(np.float32))
    assert score(model, words) == first


def test_samples_as_they_come_from_a_shard(model, words):
    """Read-only views are what the WAV reader gives."""
    samples = np.frombuffer(words.tobytes(), np.float32)
    assert not samples.flags.writeable
    assert score(model, samples) == score(model, words)
