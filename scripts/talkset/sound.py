"""Sound on the picture's timeline: exactly 640 T samples at 16 kHz mono, each where the source's stamps put it."""

from __future__ import annotations

import hashlib
import wave
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soxr

from talkset import media, timeline
from talkset.timeline import RATE

PAD = Fraction(1, 5)  # seconds of real sound on both sides for the resampler's filter

PIECE = 5.0  # seconds of sound that are placed as one, by the median of what its stamps say
BREAK = 0.01  # seconds by which neighbouring stamps must disagree with the samples between them to be a gap or overlap
HOLD = 0.0005  # seconds: pieces that would move by no more than this follow each other without a seam

# ITU-R BS.775 weights for one channel, scaled below to sum to 1; a channel that is not here (LFE, height) is left out.
WEIGHTS = {"FL": 0.7071, "FR": 0.7071, "FC": 1.0, "BL": 0.5, "BR": 0.5, "SL": 0.5, "SR": 0.5, "BC": 0.5,
           "FLC": 0.7071, "FRC": 0.7071}  # fmt: skip


def write_wav(
    path: Path,
    file: str | Path | BinaryIO,
    record: dict,
    count: int,
    fps: int = timeline.FPS,
    delay: Fraction = Fraction(0),
) -> dict:
    """Write a clip's sound as 16 kHz mono 16 bit PCM, `count * 16000 / fps` samples from the annotated start on.

    One or two channels are averaged; more are mixed by `WEIGHTS`. Resampling is linear-phase, so nothing is delayed.
    Where the source has no sound (or it cannot be decoded) there is silence.

    Args:
        file: the clip, as `cut_clips` wrote it; `record`: its record.
        fps: divides 16000.
        delay: seconds by which all sound is put later than the source has it; below 0: earlier.

    Returns:
        `samples`, `missing_s` (seconds of silence put in) and `sha256` of the samples as little-endian 16 bit.
    """
    begin, length = Fraction(record["start"]) - Fraction(record["zero"]) - delay, Fraction(count, fps)
    samples = count * RATE // fps
    digest, done = hashlib.sha256(), 0
    lost = [Fraction(0)]
    with wave.open(str(path), "wb") as output:
        output.setnchannels(1)
        output.setsampwidth(2)
        output.setframerate(RATE)
        output.setnframes(samples)
        for block in _resampled(file, begin, length, lost):
            data = _int16(block[: samples - done]).tobytes()
            done += len(data) // 2
            digest.update(data)
            output.writeframesraw(data)
        silence = bytes(2 * (samples - done))
        digest.update(silence)
        output.writeframesraw(silence)
    return {"samples": samples, "missing_s": round(float(lost[0]), 6), "sha256": digest.hexdigest()}


def _resampled(
    file: str | Path | BinaryIO, begin: Fraction, length: Fraction, lost: list[Fraction]
) -> Iterator[np.ndarray]:
    """Blocks of `[N]` float32 at 16 kHz from stamp `begin` on; `lost[0]` grows by the seconds of silence put in."""
    with media.open_file(file) as container:
        stream = media.sound_stream(container)
        if stream is None:
            lost[0] += length
            return
        rate = stream.codec_context.sample_rate
        resampler = soxr.ResampleStream(rate, RATE, 1, dtype="float32", quality="VHQ") if rate != RATE else None
        at, skip = begin - PAD, round(PAD * RATE)
        mixed = ((stamp, _mono(samples, names)) for stamp, samples, names in decoded(container, stream))
        for samples, heard in placed(mixed, rate, 1, begin - PAD, begin + length + PAD):
            after = at + Fraction(samples.shape[1], rate)
            if not heard:
                lost[0] += max(Fraction(0), min(after, begin + length) - max(at, begin))
            at = after
            block = resampler.resample_chunk(samples[0]) if resampler else samples[0]
            yield block[skip:]
            skip = max(0, skip - len(block))
        if resampler:
            yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)[skip:]


def decoded(
    container: av.container.InputContainer, stream: av.AudioStream, packets: Iterable[av.Packet] | None = None
) -> Iterator[tuple[Fraction, np.ndarray, tuple[str, ...]]]:
    """Yield decoded sound: stamp in seconds, `[C,N]` float32 in [-1, 1), names of the channels.

    What cannot be decoded, or has another sample rate than the stream, is left out.

    Args:
        packets: of this stream; default: all of the container from where it stands.
    """
    rate = stream.codec_context.sample_rate
    if packets is None:
        media.only(container, stream)
        packets = container.demux(stream)
    expected = None
    for packet in packets:
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            continue
        for frame in frames:
            stamp = expected if frame.pts is None else frame.pts * frame.time_base
            if stamp is None or frame.sample_rate != rate:
                continue
            expected = stamp + Fraction(frame.samples, rate)
            yield stamp, _float32(frame), tuple(channel.name for channel in frame.layout.channels)


def placed(
    blocks: Iterable[tuple[Fraction, np.ndarray]], rate: int, channels: int, begin: Fraction, end: Fraction
) -> Iterator[tuple[np.ndarray, bool]]:
    """Yield sound without holes from `begin` to `end`: `[C,N]` float32 and whether the source had it.

    Stamps place sound, samples keep it whole: neighbours whose stamps disagree with their samples by more than
    `BREAK` have a gap (silence is put in) or an overlap (the later one loses what is double) between them. Smaller
    differences are rounding of the container or a drifting clock: each `PIECE` goes where the median of its stamps puts
    it, and follows the one before without a seam where that is within `HOLD`.

    Args:
        blocks: stamp in seconds and `[C,N]` float32, in order.
    """
    total, at, follows = round((end - begin) * rate), 0, None
    for first, samples in _pieces(blocks, rate, begin):
        if follows is not None and abs(first - follows) <= HOLD * rate:
            first = follows
        follows = first + samples.shape[1]
        if first > at:
            silent = min(first, total) - at
            if silent > 0:
                yield np.zeros((channels, silent), np.float32), False
                at += silent
        samples = samples[:, max(0, at - first) : max(0, total - first)]
        if samples.shape[1]:
            yield samples, True
            at += samples.shape[1]
        if at >= total:
            return
    if at < total:
        yield np.zeros((channels, total - at), np.float32), False


def _pieces(
    blocks: Iterable[tuple[Fraction, np.ndarray]], rate: int, begin: Fraction
) -> Iterator[tuple[int, np.ndarray]]:
    """Join blocks to pieces: number of samples after `begin` at which the piece starts, and its samples."""
    parts: list[np.ndarray] = []
    offs: list[float] = []  # where the stamp of each block would put the piece's first sample, relative to the first's
    start, length = Fraction(0), 0
    for stamp, samples in blocks:
        off = float((stamp - start) * rate) - length if parts else 0.0
        if parts and (abs(off - offs[-1]) > BREAK * rate or length > PIECE * rate):
            yield _join(start, offs, parts, rate, begin)
            parts, offs = [], []
        if not parts:
            start, length, off = stamp, 0, 0.0
        parts.append(samples)
        offs.append(off)
        length += samples.shape[1]
    if parts:
        yield _join(start, offs, parts, rate, begin)


def _join(start: Fraction, offs: list[float], parts: list[np.ndarray], rate: int, begin: Fraction):
    return round(float((start - begin) * rate) + float(np.median(offs))), np.concatenate(parts, axis=1)


def _mono(samples: np.ndarray, names: tuple[str, ...]) -> np.ndarray:
    """Mix `[C,N]` to `[1,N]`."""
    if len(names) <= 2:
        return samples.mean(axis=0, keepdims=True, dtype=np.float32)
    weights = np.array([WEIGHTS.get(name, 0.0) for name in names], np.float32)
    if not weights.any():
        weights[:] = 1
    return (weights / weights.sum())[None] @ samples


def _float32(frame: av.AudioFrame) -> np.ndarray:
    """`[C,N]` float32 in [-1, 1)."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        return (samples.astype(np.float32) - 128) / 128
    if samples.dtype.kind == "i":
        return (samples / float(1 << (8 * samples.dtype.itemsize - 1))).astype(np.float32)
    return samples.astype(np.float32, copy=False)


def _int16(samples: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(samples * 32768.0), -32768, 32767).astype("<i2")
