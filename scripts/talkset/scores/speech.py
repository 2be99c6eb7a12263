"""Where someone speaks (Silero VAD, whose model lies in its wheel) and how far the speech stands above the noise."""

from __future__ import annotations

from talkset import perclip
from talkset.faults import ToolFault
from talkset.registry import Column, ScoreSpec
from talkset.timeline import RATE

SPEC = ScoreSpec(
    name="speech",
    version=1,
    title="voice activity and signal-to-noise ratio",
    env="speech.yaml",
    threads=1,
    mem_mb=1500,
    gpus=0,
    columns=(
        Column("sound", "", "what the sound holds: speech, no speech, silence (every sample the same) or no sound"),
        Column("speech_share", "share", "seconds of speech by Silero VAD per second of the clip; empty without sound"),
        Column("snr_db", "dB", "power of the speech above that of the noise, see talkset/snr.py; empty without speech"),
    ),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "threshold": {
                "description": "probability from which Silero VAD takes a 32 ms window for speech",
                "type": "number",
                "exclusiveMinimum": 0,
                "exclusiveMaximum": 1,
                "default": 0.5,
            },
            "min_speech_ms": {
                "description": "shorter stretches of speech are not counted, ms",
                "type": "integer",
                "minimum": 0,
                "maximum": 5000,
                "default": 250,
            },
            "min_silence_ms": {
                "description": "shorter pauses count as speech, ms",
                "type": "integer",
                "minimum": 0,
                "maximum": 5000,
                "default": 100,
            },
            "pad_ms": {
                "description": "added to both ends of every stretch of speech, ms",
                "type": "integer",
                "minimum": 0,
                "maximum": 1000,
                "default": 30,
            },
        },
    },
)


def load(options: dict, models: dict):
    """The Silero VAD model, on one CPU thread.

    Raises:
        ToolFault: the model does not load from the wheel.
    """
    import silero_vad
    import torch

    torch.set_num_threads(1)
    try:
        return silero_vad.load_silero_vad()
    except (OSError, RuntimeError, ValueError) as error:
        raise ToolFault(f"speech: silero-vad's own model does not load ({error}); install silero-vad again") from error


def score(model, clips, options: dict):
    """Yield every clip with the columns of `SPEC`."""
    return perclip.by_clip(clips, lambda clip: of_clip(model, clip, options))


def of_clip(model, clip, options: dict) -> dict:
    """The columns of `SPEC` for one clip; `None` where there is no value."""
    import numpy as np

    from talkset import snr

    samples = clip.pcm()
    if samples is None:
        return {"sound": "no sound", "speech_share": None, "snr_db": None}
    if not np.ptp(samples):
        return {"sound": "silence", "speech_share": 0.0, "snr_db": None}
    speech = spoken(model, samples, options)
    found = {"sound": "speech" if speech.any() else "no speech", "speech_share": float(speech.mean())}
    return found | {"snr_db": snr.snr_db(samples, speech)}


def spoken(model, samples, options: dict):
    """`[n]` bool, true where Silero VAD hears speech in `[n]` float32 samples at 16 kHz."""
    import numpy as np
    import silero_vad
    import torch

    stretches = silero_vad.get_speech_timestamps(
        torch.tensor(samples),
        model,
        threshold=options["threshold"],
        sampling_rate=RATE,
        min_speech_duration_ms=options["min_speech_ms"],
        min_silence_duration_ms=options["min_silence_ms"],
        speech_pad_ms=options["pad_ms"],
    )
    speech = np.zeros(len(samples), bool)
    for stretch in stretches:
        speech[stretch["start"] : stretch["end"]] = True
    return speech
