"""The SNR estimator on mixtures of real speech and noise whose ratio the test sets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

import talkset
from talkset import snr
from talkset.scores import speech

SPEECH = Path(talkset.__file__).parent / "demo" / "speech.flac"
OPTIONS = {name: option["default"] for name, option in speech.SPEC.options["properties"].items()}
PAUSE = 8000  # samples


@pytest.fixture(scope="module")
def model():
    return speech.load(OPTIONS, {})


@pytest.fixture(scope="module")
def clean(model):
    """Real speech with pauses that hold nothing at all, and where it is: then what is added is all the noise."""
    samples, rate = soundfile.read(SPEECH, dtype="float32")
    assert rate == 16000
    parts = [np.pad(part, (0, PAUSE)) for part in np.array_split(samples, 3)]
    samples = np.concatenate([np.zeros(PAUSE, np.float32), *parts])
    spoken = speech.spoken(model, samples, OPTIONS)
    return samples * spoken, spoken


def noise(kind: str, count: int) -> np.ndarray:
    samples = np.random.default_rng(1).standard_normal(count)
    if kind == "pink":  # power falls by 3 dB an octave from 20 Hz on
        hertz = np.fft.rfftfreq(count, 1 / 16000)
        shape = np.where(hertz >= 20, 1 / np.sqrt(np.maximum(hertz, 1)), 0)
        samples = np.fft.irfft(np.fft.rfft(samples) * shape, count)
    return samples / samples.std()


def mixture(clean, kind: str, decibels: float) -> np.ndarray:
    samples, spoken = clean
    level = np.sqrt(np.mean(samples[spoken] ** 2) / 10 ** (decibels / 10))
    mixed = samples + level * noise(kind, len(samples))
    return (mixed / max(1, np.abs(mixed).max())).astype(np.float32)


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("decibels", [0, 5, 10, 20, 30])
def test_known_mixtures(clean, model, kind, decibels):
    mixed = mixture(clean, kind, decibels)
    assert snr.snr_db(mixed, speech.spoken(model, mixed, OPTIONS)) == pytest.approx(decibels, abs=1)


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("decibels", [0, 5, 10, 20])
def test_known_mixtures_without_a_pause(clean, kind, decibels):
    mixed = mixture(clean, kind, decibels)[clean[1]]
    assert snr.snr_db(mixed, np.ones(len(mixed), bool)) == pytest.approx(decibels, abs=3)


def test_without_a_pause_a_high_ratio_stays_clearly_above_a_low_one(clean):
    mixed = mixture(clean, "white", 30)[clean[1]]
    assert snr.snr_db(mixed, np.ones(len(mixed), bool)) > 20


def test_loudness_and_offset_do_not_count(clean):
    mixed = mixture(clean, "white", 10)
    found = snr.snr_db(mixed, clean[1])
    assert snr.snr_db(mixed * 0.01, clean[1]) == pytest.approx(found, abs=0.01)
    assert snr.snr_db(mixed * 0.5 + 0.3, clean[1]) == pytest.approx(found, abs=0.01)


def test_digital_silence_is_not_noise(clean):
    mixed, spoken = mixture(clean, "white", 10), clean[1]
    padded = np.concatenate([np.zeros(32000, np.float32), mixed, np.full(32000, 0.25, np.float32)])
    where = np.pad(spoken, 32000)
    assert snr.snr_db(padded, where) == pytest.approx(snr.snr_db(mixed, spoken), abs=0.1)


def test_pauses_of_digital_silence_leave_the_quietest_frames(clean):
    mixed, spoken = mixture(clean, "white", 10), clean[1]
    muted = np.where(spoken, mixed, 0)
    assert snr.snr_db(muted, spoken) == pytest.approx(10, abs=3)


def test_words_that_the_detector_missed_do_not_become_noise(clean):
    mixed, spoken = mixture(clean, "white", 10), clean[1].copy()
    first = np.flatnonzero(spoken)[0]
    spoken[first : first + PAUSE] = False
    assert snr.snr_db(mixed, spoken) == pytest.approx(10, abs=1)


def test_speech_below_the_noise_is_a_number():
    samples = np.random.default_rng(1).standard_normal(32000) * 0.1
    spoken = np.arange(32000) < 16000
    assert snr.snr_db(np.where(spoken, samples * 0.5, samples), spoken) == snr.LOWEST


def test_noise_free_sound_is_a_number():
    tone = 0.5 * np.sin(np.arange(32000) / 3)
    spoken = np.arange(32000) < 16000
    hiss = np.where(np.arange(32000) % 2, 2.0**-17, 0)  # below what 16 bits hold
    assert 80 < snr.snr_db(np.where(spoken, tone, hiss), spoken) < 101


def test_a_few_frames_are_enough_for_a_number():
    samples = np.random.default_rng(1).standard_normal(3 * snr.FRAME)
    assert isinstance(snr.snr_db(samples, np.ones(len(samples), bool)), float)


@pytest.mark.parametrize(
    "samples, spoken",
    [
        (np.zeros(0), np.zeros(0, bool)),
        (np.ones(319), np.ones(319, bool)),
        (np.random.default_rng(1).standard_normal(16000), np.zeros(16000, bool)),
        (np.zeros(16000), np.ones(16000, bool)),
    ],
    ids=["empty", "shorter than a frame", "no speech", "speech claimed in digital silence"],
)
def test_nothing_to_measure(samples, spoken):
    assert snr.snr_db(samples, spoken) is None
