"""Known answers for the log-mel feature: clicks and tones whose place and pitch the test sets."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from talkset.faults import ClipFault, ToolFault
from talkset.features import mel

OPTIONS = {name: option["default"] for name, option in mel.SPEC.options["properties"].items()}
FRAMES = 50


def rows(samples: np.ndarray | None, **changed) -> np.ndarray:
    options = OPTIONS | changed
    [(_, found)] = mel.extract(mel.load(options, {}), iter([SimpleNamespace(pcm=lambda: samples)]), options)
    return found["mel"]


def click(at: int) -> np.ndarray:
    samples = np.zeros(640 * FRAMES, np.float32)
    samples[at] = 1
    return samples


def tone(hertz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hertz * np.arange(640 * FRAMES) / 16000).astype(np.float32)


@pytest.mark.parametrize("frames", [1, 2, 49])
def test_four_rows_per_frame(frames):
    found = rows(np.zeros(640 * frames, np.float32))
    assert (found.shape, found.dtype) == ((4 * frames, 80), np.float32)


@pytest.mark.parametrize("row", [0, 1, 77, 4 * FRAMES - 1])
def test_a_row_is_centred_at_its_sample(row):
    found = rows(click(160 * row + 80)).sum(axis=1)
    assert found.argmax() == row
    if 0 < row < len(found) - 1:  # the window is symmetric, so the neighbours agree only if the click is in its middle
        assert found[row - 1] == pytest.approx(found[row + 1], abs=1e-2)


@pytest.mark.parametrize(("at", "row"), [(160 * 20 + 1, 20), (160 * 20 + 158, 20), (160 * 21 + 2, 21)])
def test_a_click_is_loudest_in_the_row_whose_samples_hold_it(at, row):
    assert rows(click(at)).sum(axis=1).argmax() == row


def test_sound_of_a_frame_lies_in_its_four_rows():
    samples = np.zeros(640 * FRAMES, np.float32)
    samples[640 * 10 : 640 * 11] = tone(1000)[:640]
    loud = np.flatnonzero(rows(samples).max(axis=1) > rows(samples).max() - np.log(2))
    assert loud.tolist() == [40, 41, 42, 43]


@pytest.mark.parametrize("hertz", [300, 1000, 4000])
def test_a_tone_lies_in_the_band_of_its_pitch(hertz):
    found = rows(tone(hertz))[FRAMES * 2]
    assert abs(band_centres()[found.argmax()] - hertz) == np.abs(band_centres() - hertz).min()


def band_centres() -> np.ndarray:
    """Centres of the 80 bands in Hz by Slaney's definition: linear below 1 kHz, logarithmic above."""

    def to_mel(hertz):
        return hertz * 3 / 200 if hertz < 1000 else 15 + 27 * np.log(hertz / 1000) / np.log(6.4)

    scale = np.linspace(to_mel(55), to_mel(7600), 82)[1:-1]
    return np.where(scale < 15, scale * 200 / 3, 1000 * np.exp((scale - 15) * np.log(6.4) / 27))


def test_values_are_natural_logarithms_of_mel_power():
    samples = np.random.default_rng(0).normal(0, 0.1, 640 * FRAMES).astype(np.float32)
    row, first = 100, 160 * 100 + 80 - 200
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(samples[first : first + 400] * window, 512)) ** 2
    expected = np.log(mel.load(OPTIONS, {}) @ power)
    assert rows(samples)[row] == pytest.approx(expected, abs=1e-4)


def test_twice_the_amplitude_is_ln_4_more_and_silence_is_the_floor():
    assert rows(2 * tone(1000)).max() - rows(tone(1000)).max() == pytest.approx(np.log(4), abs=1e-4)
    assert np.unique(rows(np.zeros(6400, np.float32))).tolist() == [np.float32(np.log(1e-10))]
    assert rows(np.zeros(6400, np.float32), floor=1e-5).max() == pytest.approx(np.log(1e-5))


def test_a_wider_window_keeps_rows_in_place():
    found = rows(click(160 * 30 + 80), window=800, fft=1024)
    assert (len(found), found.sum(axis=1).argmax()) == (4 * FRAMES, 30)


def test_a_clip_without_sound_is_the_clips_fault():
    [(_, found)] = mel.extract(mel.load(OPTIONS, {}), iter([SimpleNamespace(pcm=lambda: None)]), OPTIONS)
    assert isinstance(found, ClipFault) and found.reason == "no sound"


def test_a_transform_shorter_than_the_window_is_refused():
    with pytest.raises(ToolFault, match="fft is 512.*window 800"):
        mel.load(OPTIONS | {"window": 800}, {})


@pytest.mark.filterwarnings("ignore:Empty filters")
def test_a_transform_too_coarse_for_the_bands_is_refused():
    with pytest.raises(ToolFault, match="no frequency at fft 256"):
        mel.load(OPTIONS | {"window": 200, "fft": 256, "fmax": 2000}, {})
