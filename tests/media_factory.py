"""Test media with known answers: a frame number in every picture, clicks and tones at known times.

`make(path, ...)` writes one file. Picture n carries the number n (talkset.demo.barcode) and is shown at
`start + stamps[n]`; a sound event at time t is heard at `start + t`, both on the file's own time axis. What an
encoder puts before the first sample (priming) is signalled by the container, where it can.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from talkset.demo import barcode

os.environ.setdefault("SVT_LOG", "1")  # errors only
CLICK = 0.002  # seconds that a click lasts: a 4 kHz burst, so that its onset is sharp after 16 kHz as well


def picture(number: int, width: int, height: int) -> np.ndarray:
    """`[H,W,3]` uint8: the frame number on top of a pattern that moves a little from picture to picture."""
    y, x = np.mgrid[0:height, 0:width]
    pattern = np.stack([x * 255 // width, y * 255 // height, (x + y + 7 * number) % 256], axis=2).astype(np.uint8)
    barcode.draw(pattern, number)
    return pattern


def clicks(times: Sequence[float], seconds: float, rate: int) -> np.ndarray:
    """`[N]` float32 at `rate`: silence with a click that begins at each of `times`."""
    sound = np.zeros(round(seconds * rate), np.float32)
    for time in filter(lambda time: time >= 0, times):
        first = round(time * rate)
        burst = 0.8 * np.sin(2 * np.pi * 4000 * np.arange(round(CLICK * rate)) / rate)
        sound[first : first + len(burst)] = burst[: max(0, len(sound) - first)]
    return sound


def onsets(sound: np.ndarray, rate: int, level: float = 0.25, apart: float = 0.05) -> list[float]:
    """Times in seconds at which a sound of clicks rises above `level` of its peak after `apart` seconds of quiet."""
    loud = np.flatnonzero(np.abs(sound) > level * np.abs(sound).max())
    pairs = zip(loud, [-rate, *loud], strict=False)
    return [index / rate for index, before in pairs if index - before > apart * rate]


def make(
    path: Path | str,
    *,
    seconds: float = 2.0,
    fps: Fraction | int | str = 25,
    size: tuple[int, int] = (320, 180),
    codec: str | None = "libx264",
    options: dict[str, str] | None = None,
    gop: int = 50,
    bframes: int = 2,
    pix_fmt: str = "yuv420p",
    stamps: Sequence[Fraction] | None = None,
    start: Fraction | float = 0,
    draw: Callable[[int, int, int], np.ndarray] = picture,
    filters: Sequence[tuple[str, str]] = (),
    interlaced: bool = False,
    turn: int | None = None,
    sar: Fraction | None = None,
    colors: dict[str, int] | None = None,
    sound: str | None = "aac",
    rate: int = 48000,
    layout: str = "stereo",
    click_times: Sequence[float] = (),
    samples: np.ndarray | None = None,
    sound_start: float = 0.0,
    sounds: int = 1,
    container: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a media file; the kind of container follows from the ending of `path` or from `container`.

    Args:
        stamps: seconds of every picture; default `n / fps` for `seconds`.
        start: added to every stamp of picture and sound.
        draw: `(number, width, height)` to `[H,W,3]` uint8.
        filters: libavfilter names and arguments put between picture and encoder.
        interlaced: code as interlaced, upper field first.
        turn: display rotation in degrees, counter-clockwise.
        colors: attributes of the encoder, e.g. `{"color_trc": 16}`.
        click_times: onsets in seconds on the axis of `stamps`.
        samples: `[N]` or `[C,N]` float32 at `rate` that begin at `sound_start`; default clicks.
        sounds: how many sound streams; those after the first are silent, the last one is the default.
    """
    start, fps = Fraction(start).limit_denominator(10**6), Fraction(fps)
    if stamps is None:
        stamps = [Fraction(number) / fps for number in range(round(seconds * fps))]
    kind = container or Path(path).suffix[1:]
    exact = {"movie_timescale": "720000"} if kind in ("mp4", "mov") else {}  # else offsets are rounded to 1 ms
    with av.open(str(path), "w", format=container, container_options=exact | (container_options or {})) as output:
        jobs = []
        if codec:
            jobs.append(_pictures(output, codec, options or {}, fps, size, gop, bframes, pix_fmt, stamps, start, draw,
                                  filters, interlaced, turn, sar, colors or {}))  # fmt: skip
        if sound:
            length = float(stamps[-1] + 1 / fps) - sound_start
            for number in range(sounds):
                if number:
                    content = np.zeros(round(length * rate), np.float32)
                elif samples is None:
                    content = clicks([time - sound_start for time in click_times], length, rate)
                else:
                    content = samples
                jobs.append(_sound(output, sound, rate, layout, content, start + Fraction(sound_start)))
            if sounds > 1:
                for stream in output.streams.audio:
                    stream.disposition = int(stream is output.streams.audio[-1])
        output.start_encoding()
        packets = [packet for job in jobs for packet in job]
        for packet in sorted(packets, key=lambda packet: packet.dts * packet.time_base):
            output.mux(packet)
    return Path(path)


def _pictures(output, codec, options, fps, size, gop, bframes, pix_fmt, stamps, start, draw, filters, interlaced, turn,
              sar, colors):  # fmt: skip
    stream = output.add_stream(codec, rate=fps, options=dict(options))
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = *size, pix_fmt
    context.gop_size, context.max_b_frames, context.thread_count = gop, bframes, 1
    for name, value in colors.items():
        setattr(context, name, value)
    if sar:
        context.sample_aspect_ratio = sar
    if turn is not None:
        stream.set_display_rotation(turn)
    if interlaced:
        context.flags |= av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
        filters = [*filters, ("setfield", "tff")]
    scale = 1 if codec in ("mpeg2video", "mpeg4", "wmv2") else 90000
    context.time_base = 1 / fps if scale == 1 else Fraction(1, scale)
    if scale != 1 and any((stamp + start) * scale % 1 for stamp in stamps):
        context.time_base = 1 / fps

    small = context.colorspace == 2 and size[1] < 720  # not stated: what players assume
    matrix = "ITU601" if small or context.colorspace in (5, 6) else "ITU709"

    def packets():
        graph = None
        for number, stamp in enumerate(stamps):
            frame = av.VideoFrame.from_ndarray(draw(number, *size), format="rgb24")
            frame = frame.reformat(format=pix_fmt, dst_colorspace=matrix)
            ticks = (stamp + start) / context.time_base
            frame.pts, frame.time_base = round(ticks), context.time_base
            for name, value in colors.items():
                setattr(frame, name, value)
            if filters:
                graph = graph or _graph(frame, filters)
                graph.push(frame)
                frame = graph.pull()
                frame.time_base = context.time_base
            yield from context.encode(frame)
        yield from context.encode(None)

    return _own(stream, packets)


def _graph(frame, filters):
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(template=frame),
        *(graph.add(name, arguments or None) for name, arguments in filters),
        graph.add("buffersink"),
    ).configure()
    return graph


def _sound(output, codec, rate, layout, content, start):
    stream = output.add_stream(codec, rate=rate)
    context = stream.codec_context
    context.layout, context.thread_count, context.bit_rate = layout, 1, 128000
    channels = context.layout.nb_channels

    def packets():
        planes = np.broadcast_to(np.atleast_2d(content), (channels, np.shape(content)[-1])).astype(np.float32)
        resampler = av.AudioResampler(context.format.name, layout, rate, context.frame_size or 1024)
        first = round(start * rate)
        for at in range(0, planes.shape[1], 4096):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(planes[:, at : at + 4096]), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, first + at, Fraction(1, rate)
            for piece in resampler.resample(frame):
                yield from context.encode(piece)
        for piece in resampler.resample(None):
            yield from context.encode(piece)
        yield from context.encode(None)

    return _own(stream, packets)


def _own(stream, packets):
    """The packets with the stream that they belong to: a codec context alone does not know it."""
    for packet in packets():
        packet.stream = stream
        yield packet
