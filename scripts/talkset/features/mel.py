"""Log-mel spectrogram of a clip's sound: exactly four rows per video frame.

Row `i` sums up the sound around sample `160 i + 80` of the clip (the window's peak lies on that sample), so rows `4k`
to `4k + 3` belong to frame `k`, whose samples are `640 k` to `640 k + 639`. Before the clip's first and after its last
sample the sound counts as zero. Values are natural logarithms of power mel bands, at least `ln(floor)`.

Frames are those of `librosa.feature.melspectrogram`: periodic Hann window, squared magnitude, Slaney's mel scale with
bands of equal area. Samples are -1 to 1.
"""

from __future__ import annotations

from talkset import perclip
from talkset.faults import ClipFault, ToolFault
from talkset.registry import ArraySpec, FeatureSpec
from talkset.timeline import RATE

HOP = 160  # samples: a quarter of a frame's 640
BINS = 80

SPEC = FeatureSpec(
    name="mel",
    version=1,
    title="log-mel spectrogram of the sound, 100 rows a second",
    env="features.yaml",
    threads=1,
    mem_mb=1000,
    gpus=0,
    arrays=(
        ArraySpec(
            name="mel",
            dtype="float32",
            shape=f"[4T,{BINS}]",
            unit="natural logarithm of power, samples being -1 to 1",
            description="100 rows a second, row i centred at sample 160 i + 80 of the clip",
        ),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "sample_rate": {
                "description": "samples a second; that of every crop, stated for readers of the file",
                "const": RATE,
                "default": RATE,
            },
            "hop": {
                "description": "samples from one row to the next; fixed, so that a frame has four rows",
                "const": HOP,
                "default": HOP,
            },
            "bins": {"description": "mel bands a row; fixed", "const": BINS, "default": BINS},
            "window": {
                "description": "length of the Hann window, samples (400 = 25 ms)",
                "type": "integer",
                "minimum": HOP,
                "maximum": 4096,
                "default": 400,
            },
            "fft": {
                "description": "length of the Fourier transform, samples; even, not below window",
                "type": "integer",
                "minimum": 256,
                "maximum": 4096,
                "multipleOf": 2,
                "default": 512,
            },
            "fmin": {
                "description": "lower edge of the lowest band, Hz",
                "type": "number",
                "minimum": 0,
                "maximum": 1000,
                "default": 55,
            },
            "fmax": {
                "description": "upper edge of the highest band, Hz",
                "type": "number",
                "minimum": 2000,
                "maximum": RATE / 2,
                "default": 7600,
            },
            "floor": {
                "description": "power below which a band counts as silent: the logarithm is taken of no less",
                "type": "number",
                "exclusiveMinimum": 0,
                "maximum": 0.01,
                "default": 1e-10,
            },
        },
    },
)


def load(options: dict, models: dict):
    """The mel filter bank, `[80, fft / 2 + 1]` float32.

    Raises:
        ToolFault: the options contradict each other.
    """
    import librosa

    if options["fft"] < options["window"]:
        raise ToolFault(f"mel: fft is {options['fft']}, shorter than window {options['window']}; raise it")
    bank = librosa.filters.mel(
        sr=RATE, n_fft=options["fft"], n_mels=BINS, fmin=options["fmin"], fmax=options["fmax"], htk=False, norm="slaney"
    )
    if not bank.any(axis=1).all():
        raise ToolFault(f"mel: a band between fmin and fmax holds no frequency at fft {options['fft']}; raise fft")
    return bank


def extract(bank, clips, options: dict):
    """Yield every clip with its `mel`, or with the reason why it has none."""
    return perclip.by_clip(clips, lambda clip: of_clip(bank, clip, options))


def of_clip(bank, clip, options: dict) -> dict:
    """One clip's `mel`.

    Raises:
        ClipFault: the clip has no sound.
    """
    import librosa
    import numpy as np

    samples = clip.pcm()
    if samples is None:
        raise ClipFault("no sound")
    # The first window's middle is at half a hop, the last one's at half a hop before the end.
    around = (options["fft"] - HOP) // 2
    spectrum = librosa.stft(
        np.pad(samples, around),
        n_fft=options["fft"],
        hop_length=HOP,
        win_length=options["window"],
        window="hann",
        center=False,
    )
    power = bank @ np.square(np.abs(spectrum))
    return {"mel": np.log(np.maximum(power, options["floor"])).T.astype(np.float32)}
