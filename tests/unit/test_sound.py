"""Sound lies where the source's stamps put it, within 1 ms, whole, and of exactly 640 samples a frame."""

import hashlib
import wave
from contextlib import closing
from fractions import Fraction

import media_factory
import numpy as np
import pytest

from talkset import cut, media, sound

RATE = 48000


def wav_of(path, start, end, folder):
    with closing(media.Source(path)) as source:
        fields, clip = cut.cut(source, Fraction(start), Fraction(end), folder / "clip")
    record = {"start": start, "end": end} | fields
    made = sound.write_wav(folder / "clip.wav", clip, record, record["frames"])
    with wave.open(str(folder / "clip.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16000, 1, 2)
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    assert len(samples) == made["samples"] == 640 * record["frames"]
    assert made["sha256"] == hashlib.sha256(samples.tobytes()).hexdigest()
    return samples.astype(float) / 32768, made


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("a.mp4", {"rate": 44100}),
        ("a.mp4", {"rate": 22050, "layout": "mono"}),
        ("a.mp4", {"rate": 16000}),
        ("a.mp4", {"layout": "5.1"}),
        ("a.mp4", {"sound": "libopus"}),
        ("a.mp4", {"sound": "libmp3lame", "rate": 44100}),
        ("a.mp4", {"sound": "alac"}),
        ("a.webm", {"sound": "libopus", "codec": "libvpx-vp9"}),
        ("a.mkv", {"sound": "libopus"}),
        ("a.mkv", {"rate": 44100}),
        ("a.mkv", {"sound": "flac", "rate": 96000}),
        ("a.mkv", {"sound": "ac3", "layout": "5.1"}),
        ("a.ts", {"rate": 44100, "start": 1.4}),
        ("a.ts", {"sound": "libmp3lame", "start": 1.4}),
        ("a.flv", {"rate": 44100}),
    ],
)
def test_onsets_are_where_they_were(name, made, tmp_path):
    times = [0.51, 1.003, 1.6, 2.25, 2.72]
    path = media_factory.make(tmp_path / name, seconds=3, click_times=times, **made)
    samples, about = wav_of(path, "0.4", "2.9", tmp_path)
    onsets = [onset + 0.4 for onset in media_factory.onsets(samples, 16000)]
    assert len(onsets) == len(times)
    assert max(abs(was - time) for was, time in zip(onsets, times, strict=True)) < 0.001
    assert about["missing_s"] == 0
    assert 0.3 < np.abs(samples).max() < 1


@pytest.mark.parametrize("codec", ["aac", "libmp3lame", "libopus", "ac3"])
def test_a_clip_sounds_like_the_whole_source(codec, tmp_path):
    """Cut from the middle, the sound is the one that decoding from the beginning gives."""
    at = np.arange(4 * RATE) / RATE
    chirp = (0.3 * np.sin(2 * np.pi * (300 * at + 150 * at**2)) * (1 + np.sin(9 * at)) / 2).astype(np.float32)
    path = media_factory.make(tmp_path / "a.mp4", seconds=4, samples=chirp, sound=codec)
    whole, _ = wav_of(path, "0", "4", tmp_path)
    part, _ = wav_of(path, "1.2", "3.2", tmp_path)
    assert np.abs(part - whole[19200 : 19200 + len(part)]).max() < 3 / 32768


@pytest.mark.parametrize("name", ["a.mkv", "a.flv", "a.ts", "a.mp4"])
def test_rounded_stamps_leave_no_trace(name, tmp_path):
    """Containers that round stamps to 1 ms must not chop a steady tone."""
    rate = 44100
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(8 * rate) / rate).astype(np.float32)
    path = media_factory.make(tmp_path / name, seconds=8, samples=tone, rate=rate, size=(64, 48))
    samples, _ = wav_of(path, "0.5", "7.5", tmp_path)
    at = np.arange(len(samples)) / 16000 * 2 * np.pi * 440
    design = np.stack([np.sin(at), np.cos(at)], axis=1)
    fit, *_ = np.linalg.lstsq(design, samples, rcond=None)
    assert np.abs(samples - design @ fit).max() < 0.01
    assert abs(np.hypot(*fit) - 0.5) < 0.005


def test_resampling_delays_nothing_and_keeps_the_level(tmp_path):
    """A tone comes out in phase, to a fraction of a sample: 1 degree of 1 kHz is 3 microseconds."""
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(3 * RATE) / RATE).astype(np.float32)
    path = media_factory.make(tmp_path / "a.mov", seconds=3, samples=tone, sound="pcm_s16le")
    samples, _ = wav_of(path, "1", "2", tmp_path)
    at = np.arange(16000) / 16000 * 2 * np.pi * 1000
    level = 2 * np.mean(samples * np.exp(-1j * at))
    assert abs(np.abs(level) - 0.5) < 0.001
    assert abs(np.degrees(np.angle(level)) + 90) < 1
    assert np.abs(samples - 0.5 * np.sin(at)).max() < 0.001


def test_silence_where_the_source_has_none_is_counted(tmp_path):
    tone = np.full(round(1.3 * RATE), 0.25, np.float32)
    stamps = [Fraction(n, 25) for n in range(75)]
    path = media_factory.make(tmp_path / "a.mov", samples=tone, sound="pcm_s16le", sound_start=0.7, stamps=stamps)
    samples, made = wav_of(path, "0.5", "2.5", tmp_path)
    assert made["missing_s"] == pytest.approx(0.2 + 0.5, abs=0.001)
    silent = np.concatenate([samples[: round(0.2 * 16000) - 60], samples[round(1.5 * 16000) + 60 :]])
    assert np.abs(silent).max() < 0.001
    assert samples[round(0.2 * 16000) + 60 : round(1.5 * 16000) - 60] == pytest.approx(0.25, abs=0.002)


def test_a_span_beyond_all_sound_is_silent_but_there(tmp_path):
    path = media_factory.make(
        tmp_path / "a.mp4", samples=np.ones(RATE, np.float32) * 0.1, stamps=[Fraction(n, 25) for n in range(150)]
    )
    samples, made = wav_of(path, "4", "5", tmp_path)
    assert not samples.any() and made["missing_s"] == 1


def test_several_channels_become_one():
    left, right = np.full((1, 4), 0.5, np.float32), np.full((1, 4), -0.1, np.float32)
    assert sound._mono(np.concatenate([left, right]), ("FL", "FR"))[0] == pytest.approx(0.2)
    six = np.concatenate([np.full((1, 4), value, np.float32) for value in (0.1, 0.1, 0.4, 0.9, 0.2, 0.2)])
    mixed = sound._mono(six, ("FL", "FR", "FC", "LFE", "BL", "BR"))
    assert mixed[0] == pytest.approx((2 * 0.7071 * 0.1 + 0.4 + 2 * 0.5 * 0.2) / (2 * 0.7071 + 1 + 1))
    assert sound._mono(six[:3], ("TFL", "TFR", "TFC"))[0] == pytest.approx(0.2)


def blocks(stamps, length=1000, rate=RATE):
    """Blocks of a ramp whose samples say where they should lie."""
    for number, stamp in enumerate(stamps):
        first = number * length + 1
        yield Fraction(stamp), np.arange(first, first + length, dtype=np.float32)[None]


def laid_out(stamps, begin, end, length=1000):
    pieces = list(sound.placed(blocks(stamps, length), RATE, 1, Fraction(begin), Fraction(end)))
    return np.concatenate([samples[0] for samples, _ in pieces]), pieces


STEP = Fraction(1000, RATE)


def test_whole_sound_passes_untouched():
    out, pieces = laid_out([n * STEP for n in range(48)], 0, 1)
    assert np.array_equal(out, np.arange(1, 48001)) and all(there for _, there in pieces)


def test_jitter_and_rounding_do_not_move_samples():
    rng = np.random.default_rng(3)
    stamps = [Fraction(round(float(n * STEP) * 1000 + rng.uniform(-2, 2)), 1000) for n in range(480)]
    out, _ = laid_out(stamps, Fraction(1, 10), Fraction(99, 10))
    steps = np.diff(out)
    assert (steps == 1).all()
    assert abs(out[0] - 4801) <= 0.0005 * RATE


def test_a_gap_is_silence_of_its_own_length():
    stamps = [n * STEP + (Fraction(1, 10) if n >= 24 else 0) for n in range(48)]
    out, pieces = laid_out(stamps, 0, 1)
    assert np.array_equal(out[:24000], np.arange(1, 24001))
    assert not out[24000:28800].any()
    assert np.array_equal(out[28800:], np.arange(24001, 24001 + 19200))
    assert [(samples.shape[1], there) for samples, there in pieces if not there] == [(4800, False)]


def test_an_overlap_loses_what_is_double():
    stamps = [n * STEP - (Fraction(1, 20) if n >= 24 else 0) for n in range(48)]
    out, _ = laid_out(stamps, 0, Fraction(9, 10))
    assert np.array_equal(out[:24000], np.arange(1, 24001))
    assert np.array_equal(out[24000:], np.arange(24000 + 2400 + 1, 24000 + 2400 + 1 + 19200))


def test_a_drifting_clock_is_followed_within_a_millisecond():
    drift = Fraction(10002, 10000)  # 200 ppm: a minute is off by 12 ms
    stamps = [n * STEP * drift for n in range(60 * 48)]
    out, _ = laid_out(stamps, 0, 60)
    for second in range(1, 59):
        sample = out[second * RATE]
        if sample:
            assert abs(float((sample - 1) / RATE * drift) - second) < 0.001


def test_the_ends_are_filled():
    out, pieces = laid_out([Fraction(1, 10), Fraction(1, 10) + STEP], 0, Fraction(1, 5))
    assert len(out) == 9600
    assert [(samples.shape[1], there) for samples, there in pieces] == [(4800, False), (2000, True), (2800, False)]
    assert np.array_equal(laid_out([], 0, Fraction(1, 100))[0], np.zeros(480))
