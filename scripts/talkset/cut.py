"""One annotated span of a source as a file of its own, at source quality, with every stamp exact.

Packets are copied from the key picture at or before the first picture needed, sound from `LEAD` before the start, so
that its decoder is in step by then. Stamps keep the source's own time base, shifted as a whole. The file is read back:
where its container cannot hold the codec, or came back with another stamp, the next of `WAYS` is tried.
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.codec.context import Flags

from talkset import media, sound, timeline
from talkset.faults import ClipFault, ToolFault

LEAD = Fraction(1, 2)  # seconds of sound before the start: codecs need up to 0.25, the resampler 0.2
TAIL = Fraction(1, 2)  # seconds of sound after the end, for the resampler
REORDER = 2  # seconds: no codec shows a picture later than this after it is decoded
SKEW = 5  # seconds that sound may lie behind the picture in a file
EARLIER = (0, 1, 4, 16, 64, None)  # seconds to go back further, one after the other; None = to the beginning

# How a clip may be stored, best first. The first two copy packets; Matroska holds whole milliseconds only, which is
# what webm and mkv sources have. The last is H.264 without loss (in 4:4:4 where x264 has not the pixel format, or not
# for an odd size) and FLAC, of 24 bits where the source's samples are not 16 bit integers.
WAYS = ("mp4", "matroska", "lossless")
TIMESCALE_MAX = 2**31 - 1
SLACK = Fraction(1, 20000)  # seconds by which sound may come back shifted, where no time scale suits both streams


class _Unfit(Exception):
    """This way of storing cannot hold the clip."""


@dataclass(frozen=True)
class Span:
    """Slots and pictures of a clip.

    Attributes:
        count: T, slots at 25 a second that lie before the end of the picture.
        first, last: stamps of the first and the last picture that belong to the clip, in the source's time base.
        missing: annotated slots that lie after the end of the picture.
    """

    count: int
    first: int
    last: int
    missing: int


@dataclass
class _Found:
    """Packets that a clip may need.

    Attributes:
        begin: where the seek aimed at (stamp in seconds) that found them; `None` = read from the beginning.
        pictures: stamp, duration, size and whether it is never shown, in the order of decoding, from a key picture on.
        sounds: stamp, duration.
        first_picture, first_sound: number of the first of them among the packets of its stream since the seek.
        timed, sound_timed: whether every packet has a stamp.
        ended: whether the file ends with them.
    """

    begin: Fraction | None
    pictures: list[tuple[int, int, int, bool]] = field(default_factory=list)
    sounds: list[tuple[int, int]] = field(default_factory=list)
    first_picture: int = 0
    first_sound: int = 0
    timed: bool = True
    sound_timed: bool = True
    ended: bool = False


def cut(source: media.Source, start: Fraction, end: Fraction | None, stem: Path) -> tuple[dict, Path]:
    """Write one span of a source to `{stem}.mp4` or `{stem}.mkv`.

    Args:
        start, end: seconds on the annotation's timeline; `end` `None` = to the end of the picture.

    Returns:
        The fields that the clip's record gets (see `cut_clips`), and the file.

    Raises:
        ClipFault: the span lies outside the source, or the source cannot be read there.
        ToolFault: no way of storing it came back exact.
        OSError: the disk is full or broken.
    """
    if start < 0:
        raise ClipFault(f"the clip starts at {float(start)} s, before the video")
    if end is not None and end <= start:
        raise ClipFault(f"the clip ends at {float(end)} s, not after its start at {float(start)} s")
    if end is not None and timeline.frame_count(start, end) == 0:
        raise ClipFault(f"the clip lasts {float(end - start)} s, less than a frame")
    clip = _Clip(source, start, end)
    picture = media.describe(clip.frame, source)
    refused = []
    for way in WAYS:
        path = stem.with_name(f"{stem.name}.{'mkv' if way == 'matroska' else 'mp4'}")
        try:
            stored = clip.encode(path) if way == "lossless" else clip.copy(path, way)
            break
        except _Unfit as unfit:
            refused.append(f"{way}: {unfit}")
            path.unlink(missing_ok=True)
    else:
        raise ToolFault(f"{source.path}, {float(start)} s: no way of storing the clip is exact ({'; '.join(refused)})")
    span, base, zero = stored
    return {
        "media": path.suffix[1:],
        "stored": way,
        "refused": refused,
        "origin": str(source.origin),
        "zero": str(zero),
        "picture": picture | {"time_base": str(base), "bit_rate": clip.bit_rate(span)},
        "sound": media.describe_sound(source),
        "frames": span.count,
        "first_pts": int((span.first * source.picture.time_base - source.origin - zero) / base),
        "last_pts": int((span.last * source.picture.time_base - source.origin - zero) / base),
        "missing_s": float(Fraction(span.missing, timeline.FPS)),
    }, path


class _Clip:
    """One span of a source: what it needs, and the ways to store it."""

    def __init__(self, source: media.Source, start: Fraction, end: Fraction | None):
        self.source, self.start, self.end = source, start, end
        self.base = source.picture.time_base
        # From here on all times are stamps of the source in seconds.
        self.begin = source.origin + start
        self.stop = None if end is None else source.origin + end
        # Some streams have no key picture that is whole at once (intra refresh): decoding has to begin earlier then.
        for preroll in EARLIER:
            self.found = self._find(preroll)
            self.frame = self._look()
            latest = max(self.begin / self.base, min(self._shown(), default=0))
            if self.frame is not None and (self.frame.pts is None or self.frame.pts <= latest):
                return
        raise ClipFault("the first picture of the clip cannot be decoded")

    def _look(self) -> av.VideoFrame | None:
        """The first picture that decoding gives, for what only decoded pictures tell; `None` if there is none."""
        for fed, packet in enumerate(self._pictures()):
            context = packet.stream.codec_context
            try:
                frames = context.decode(packet)
                if not frames and fed == 0 and not packet.is_discard:
                    frames = context.decode(None)  # decoders hold pictures back that they could give
                    context.flush_buffers()
            except av.error.FFmpegError as error:
                raise ClipFault(f"the picture cannot be decoded ({error.strerror})") from error
            if frames:
                return frames[0]
            if fed > len(self.found.pictures):
                break
        return None

    def copy(self, path: Path, container: str) -> tuple[Span, Fraction, Fraction]:
        """Copy the packets.

        Returns:
            Span, picture time base of the file, and its zero (see `cut_clips`).

        Raises:
            _Unfit: the container cannot hold them exactly.
        """
        found, heard = self.found, self.source.sound
        stamps = [stamp for stamp, *_ in found.pictures]
        base = Fraction(1, self.base.denominator if container == "mp4" else 1000)
        if not found.timed or not found.sound_timed:
            raise _Unfit("packets without a stamp of their own")
        if len(set(stamps)) < len(stamps):
            raise _Unfit("two pictures with one stamp")
        if (self.base / base).denominator > 1:
            raise _Unfit(f"stamps in steps of {self.base} s")
        if container == "mp4" and heard and heard.codec_context.name.startswith("pcm_"):
            raise _Unfit("sound samples that come in no packets of their own")
        span = self._span(sorted(self._shown()), self._picture_end())
        needed = max(number for number, stamp in enumerate(stamps) if stamp <= span.last) + 1
        decode = _decode_times(stamps[:needed])
        stop = self.begin + Fraction(span.count, timeline.FPS) + TAIL
        sounds = [pair for pair in found.sounds if pair[0] * heard.time_base < stop]
        sound_base = Fraction(1, heard.codec_context.sample_rate) if sounds and container == "mp4" else base
        shift = decode[0] * self.base
        if sounds:
            shift = min(shift, sounds[0][0] * heard.time_base)
        shift = math.floor(shift / base) * base

        def ticks(stamp: int, own: Fraction, unit: Fraction) -> int:
            return round((stamp * own - shift) / unit)

        pictures = [
            (ticks(stamp, self.base, base), ticks(when, self.base, base), round(length * self.base / base))
            for (stamp, length, *_), when in zip(found.pictures, decode, strict=False)
        ]
        sounds = [
            (ticks(stamp, heard.time_base, sound_base), None, round(length * heard.time_base / sound_base))
            for stamp, length in sounds
        ]
        with _Output(path, container, base, sound_base) as output:
            streams = [output.copy_of(self.source.picture)]
            if sounds:
                streams.append(output.copy_of(heard))
            for packet, kind, (pts, dts, duration) in self._matched(pictures, sounds):
                packet.stream, packet.time_base = streams[kind], (base, sound_base)[kind]
                packet.pts, packet.dts, packet.duration = pts, pts if dts is None else dts, duration
                output.mux(packet)
        return span, base, shift - self.source.origin

    def encode(self, path: Path) -> tuple[Span, Fraction, Fraction]:
        """Store pictures and sound as decoded, without loss; returns and raises like `copy`."""
        found, heard = self.found, self.source.sound
        base = Fraction(1, self.base.denominator)
        shift = min(stamp for stamp, *_ in found.pictures) * self.base
        if found.sounds:
            shift = min(shift, found.sounds[0][0] * heard.time_base)
        shift = math.floor(shift / base) * base
        taken: list[int] = []
        sound_base = Fraction(1, heard.codec_context.sample_rate) if found.sounds else base
        with _Output(path, "mp4", base, sound_base) as output:
            pictures = self._encoded_pictures(output, base, shift, taken)
            sounds = self._encoded_sound(output, shift) if found.sounds else iter(())
            for packet in heapq.merge(pictures, sounds, key=lambda packet: packet.dts * packet.time_base):
                output.mux(packet)
        ended = self.stop is None or taken[-1] * self.base <= self.stop
        return self._span(taken, self._picture_end() if ended else None), base, shift - self.source.origin

    def bit_rate(self, span: Span) -> int:
        """Bits a second of the source's picture within the span."""
        sizes = [size for stamp, _, size, _ in self.found.pictures if span.first <= stamp <= span.last]
        return round(sum(sizes) * 8 * Fraction(timeline.FPS, span.count))

    def _find(self, preroll: int | None) -> _Found:
        """The packets of the span, from a seek that did not land late.

        Args:
            preroll: seconds before the span by which its decoding has to begin; `None` = with the file.
        """
        for back in EARLIER:
            aim = None
            if None not in (preroll, back):
                aim = self.begin - LEAD - Fraction(1, 4) - preroll - back
            if aim is not None and aim <= self.source.origin:
                aim = None
            try:
                found = self._scan(aim, self.begin - preroll if preroll is not None else None)
            except av.error.FFmpegError as error:
                if aim is None:
                    raise ClipFault(f"the video cannot be read ({error.strerror})") from error
                continue
            if found is not None:
                return found
            if aim is None:
                break
        raise ClipFault("the video holds no key picture")

    def _scan(self, aim: Fraction | None, by: Fraction | None) -> _Found | None:
        """Read the stamps of the span, from the last key picture at or before `by` (`None` = from the first of all).

        Returns:
            `None` where the seek to `aim` landed too late for it.
        """
        source, found = self.source, _Found(aim)
        picture_needed = -math.inf if by is None else by / self.base
        sound_base = source.sound.time_base if source.sound else None
        sound_needed = (self.begin - LEAD) / sound_base if sound_base else None
        landed = reached = heard = None
        pictures = sounds = -1
        for packet, kind in self._packets(aim):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if kind == 0:
                pictures += 1
                if stamp is None:
                    found.timed = False
                    continue
                if packet.is_keyframe and (not found.pictures or stamp <= picture_needed):
                    if landed is None:
                        landed = stamp * self.base
                        if aim is not None and stamp > picture_needed:
                            return None
                    found.pictures, found.first_picture = [], pictures
                elif not found.pictures:
                    continue
                found.timed &= packet.pts is not None
                found.pictures.append((stamp, packet.duration or 0, packet.size, packet.is_discard))
                reached = packet.dts * self.base if packet.dts is not None else stamp * self.base - REORDER
            else:
                sounds += 1
                if stamp is None:
                    found.sound_timed = False
                    continue
                if not found.sounds or stamp <= sound_needed:
                    found.sounds, found.first_sound = [], sounds
                found.sounds.append((stamp, packet.duration or 0))
                heard = stamp * sound_base
            if self.stop is not None and reached is not None and reached > self.stop + timeline.GAP:
                if sound_base is None or (heard is not None and heard > self.stop + TAIL):
                    break
                if reached > self.stop + SKEW:
                    break
        else:
            found.ended = True
        if aim is None:
            return found if found.pictures else None
        late = found.sounds and found.sounds[0][0] > sound_needed and landed > self.begin - LEAD - REORDER
        return None if late or not found.pictures else found

    def _packets(self, aim: Fraction | None) -> Iterator[tuple[av.Packet, int]]:
        """Packets with their kind: 0 picture, 1 sound."""
        index = self.source.picture.index
        for packet in self.source.packets(aim):
            yield packet, int(packet.stream_index != index)

    def _pictures(self) -> Iterator[av.Packet]:
        """The span's picture packets from its key picture on, to the end of the file."""
        number = -1
        for packet, kind in self._packets(self.found.begin):
            number += kind == 0
            if kind == 0 and number >= self.found.first_picture:
                yield packet

    def _matched(self, pictures: list, sounds: list) -> Iterator[tuple[av.Packet, int, tuple]]:
        """The span's packets in file order with their kind and their entry in `pictures` or `sounds`."""
        entries, firsts = (pictures, sounds), (self.found.first_picture, self.found.first_sound)
        counts, left = [-1, -1], len(pictures) + len(sounds)
        for packet, kind in self._packets(self.found.begin):
            counts[kind] += 1
            number = counts[kind] - firsts[kind]
            if 0 <= number < len(entries[kind]):
                left -= 1
                yield packet, kind, entries[kind][number]
                if not left:
                    return

    def _shown(self) -> list[int]:
        return [stamp for stamp, _, _, discarded in self.found.pictures if not discarded]

    def _picture_end(self) -> Fraction | None:
        """Stamp at which the source's picture ends; `None` if that is beyond the packets that were read.

        Less one tick, by which it may be off through rounding: no slot shall begin there.
        """
        if not self.found.ended:
            return None
        stamp, duration = max((stamp, duration) for stamp, duration, *_ in self.found.pictures)
        return (stamp - 1) * self.base + (duration * self.base or 1 / self.source.rate)

    def _span(self, stamps: list[int], picture_end: Fraction | None) -> Span:
        """Slots and pictures of the clip, from the stamps of the pictures about it, in order of time."""
        asked = None if self.end is None else timeline.frame_count(self.start, self.end)
        count = asked
        if picture_end is not None:
            there = timeline.slots_before(self.begin, picture_end)
            count = there if asked is None else min(asked, there)
        if not count:
            raise ClipFault(
                f"the clip starts at {float(self.start)} s, "
                f"but the picture ends at {float(picture_end + self.base - self.source.origin):.3f} s"
            )
        times = [stamp * self.base for stamp in stamps]
        picks = timeline.pick_frames(times, [self.begin, self.begin + Fraction(count - 1, timeline.FPS)])
        within = bisect.bisect_left(times, self.begin + Fraction(count, timeline.FPS)) - 1
        return Span(count, stamps[picks[0]], stamps[max(picks[1], within)], (asked or count) - count)

    def _encoded_pictures(
        self, output: _Output, base: Fraction, shift: Fraction, taken: list[int]
    ) -> Iterator[av.Packet]:
        """Pictures as lossless H.264; `taken` grows by their stamps in the source's time base."""
        context = None
        for stamp, frame in self._needed_frames():
            if context is None:
                context = output.lossless_picture(frame, self.source.rate)
            if frame.format.name != context.pix_fmt:
                frame = frame.reformat(format=context.pix_fmt)
            frame.pts, frame.time_base = int((stamp * self.base - shift) / base), base
            frame.pict_type = av.video.frame.PictureType.NONE
            taken.append(stamp)
            yield from output.encoded(context, frame)
        if context is None:
            raise ClipFault("no picture of the clip can be decoded")
        yield from output.encoded(context, None)

    def _needed_frames(self) -> Iterator[tuple[int, av.VideoFrame]]:
        """Decoded pictures with their stamps: the last at or before the clip's begin, and all up to its stop."""
        before = reached = None

        def decoded() -> Iterator[av.VideoFrame]:
            for packet in self._pictures():
                context = packet.stream.codec_context
                yield from context.decode(packet)
            yield from context.decode(None)

        try:
            for frame in decoded():
                stamp = frame.pts if frame.pts is not None else frame.dts
                if stamp is None or (reached is not None and stamp <= reached):
                    continue
                reached = stamp
                if self.stop is not None and stamp * self.base > self.stop + timeline.GAP:
                    break
                if stamp * self.base <= self.begin:
                    before = (stamp, frame)
                    continue
                if before is not None:
                    yield before
                    before = None
                yield stamp, frame
        except av.error.FFmpegError as error:
            raise ClipFault(f"the picture cannot be decoded ({error.strerror})") from error
        if before is not None:
            yield before

    def _encoded_sound(self, output: _Output, shift: Fraction) -> Iterator[av.Packet]:
        """The span's sound as FLAC, without holes."""
        with contextlib.closing(media.Source(self.source.path)) as source:
            stream, number = source.sound, self.found.first_sound
            stamps = self.found.sounds
            begin = max(self.begin - LEAD, stamps[0][0] * stream.time_base)
            end = (stamps[-1][0] + stamps[-1][1]) * stream.time_base
            if self.stop is not None:
                end = min(end, self.stop + TAIL)
            packets = (packet for packet in source.packets(self.found.begin) if packet.stream.type == "audio")
            packets = (packet for count, packet in enumerate(packets) if count >= number)
            rate, channels = stream.codec_context.sample_rate, stream.codec_context.layout.nb_channels
            blocks = (
                (stamp, samples)
                for stamp, samples, _ in sound.decoded(source.container, stream, packets)
                if len(samples) == channels
            )
            context = output.lossless_sound(stream)
            at, rest = round((begin - shift) * rate), np.zeros((channels, 0), np.float32)
            for samples, _ in sound.placed(blocks, rate, channels, begin, end):
                rest = np.concatenate([rest, samples], axis=1)
                while rest.shape[1] >= context.frame_size:
                    yield from output.encoded(context, _audio(rest[:, : context.frame_size], context, at))
                    at, rest = at + context.frame_size, rest[:, context.frame_size :]
            if rest.shape[1]:
                yield from output.encoded(context, _audio(rest, context, at))
            yield from output.encoded(context, None)


class _Output:
    """A media file that is written, and read back when it is complete.

    Args:
        container: a libavformat name.
        bases: time base that the picture's stream shall have, and the sound's.

    Raises:
        _Unfit: it cannot hold what it was given, or gave back another stamp than it was given.
        OSError: the disk is full or broken.
    """

    def __init__(self, path: Path, container: str, *bases: Fraction):
        self._path, self._container, self._bases = path, container, bases
        self._streams: list[av.stream.Stream] = []
        self._given: list[list[int]] = []

    def __enter__(self) -> _Output:
        options = {"fflags": "+bitexact"}
        if self._container == "mp4":
            # Offsets of the streams are written in units of the whole file's: one that suits both is exact.
            whole = math.lcm(*(base.denominator for base in self._bases))
            options["video_track_timescale"] = str(self._bases[0].denominator)
            options["movie_timescale"] = str(whole if whole <= TIMESCALE_MAX else self._bases[0].denominator)
        with self._faults():
            self._muxer = av.open(str(self._path), "w", format=self._container, container_options=options)
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is not None:
            with contextlib.suppress(av.error.FFmpegError):
                self._muxer.close()
            return
        with self._faults():
            self._muxer.close()
        self._check()

    def copy_of(self, template: av.stream.Stream) -> av.stream.Stream:
        """A stream for packets that are copied."""
        with self._faults():
            return self._add(self._muxer.add_stream_from_template(template, opaque=True))

    def lossless_picture(self, frame: av.VideoFrame, rate: Fraction) -> av.VideoCodecContext:
        """A stream of lossless H.264 for pictures like `frame`."""
        options = {"qp": "0", "preset": "ultrafast", "bf": "0", "g": str(timeline.FPS)}
        options |= media.x264_options(frame.width)
        context = self._add(self._muxer.add_stream("libx264", rate=rate, options=options)).codec_context
        known = {format.name for format in context.codec.video_formats}
        odd = (frame.width % 2 or frame.height % 2) and "444" not in frame.format.name
        context.width, context.height = frame.width, frame.height
        context.pix_fmt = "yuv444p" if odd or frame.format.name not in known else frame.format.name
        context.time_base, context.thread_count = self._bases[0], 1
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(context, name, getattr(frame, name))
        if frame.interlaced_frame:
            context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        return context

    def lossless_sound(self, template: av.AudioStream) -> av.AudioCodecContext:
        """A stream of FLAC for the sound of another stream."""
        rate = template.codec_context.sample_rate
        context = self._add(self._muxer.add_stream("flac", rate=rate)).codec_context
        context.layout = template.codec_context.layout.name
        context.format = "s16" if template.codec_context.format.name in ("s16", "s16p", "u8", "u8p") else "s32"
        context.thread_count = 1
        with self._faults():
            context.open()
        return context

    def encoded(self, context: av.CodecContext, frame: av.frame.Frame | None) -> Iterator[av.Packet]:
        """What an encoder of this file gives for a frame (`None` = the end)."""
        stream = next(stream for stream in self._streams if stream.codec_context is context)
        for packet in context.encode(frame):
            packet.stream = stream
            yield packet

    def mux(self, packet: av.Packet) -> None:
        """Write one packet, in its own time base."""
        kind = self._streams.index(packet.stream)
        if not any(self._given):
            with self._faults():
                self._muxer.start_encoding()
            bases = [stream.time_base for stream in self._streams]
            if bases != list(self._bases[: len(bases)]):
                raise _Unfit(f"steps of {', '.join(map(str, bases))} s")
        if packet.time_base != self._bases[kind]:
            raise _Unfit(f"packets in steps of {packet.time_base} s")
        if packet.size:  # FLAC ends with a packet of nothing but its final header
            self._given[kind].append(packet.pts)
        with self._faults():
            self._muxer.mux_one(packet)

    def _add(self, stream: av.stream.Stream) -> av.stream.Stream:
        kind = len(self._streams)
        stream.time_base = self._bases[kind]
        self._streams.append(stream)
        self._given.append([])
        return stream

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            with media.writing(self._path):
                yield
        except (av.error.FFmpegError, ValueError) as error:
            raise _Unfit(getattr(error, "strerror", None) or str(error)) from error

    def _check(self) -> None:
        found = [[] for _ in self._given]
        try:
            with media.open_file(self._path) as container:
                bases = [stream.time_base for stream in container.streams]
                for packet in container.demux():
                    if packet.size:
                        found[packet.stream_index].append(packet.pts)
        except (ClipFault, av.error.FFmpegError, IndexError) as error:
            raise _Unfit(f"it cannot be read back ({error})") from error
        if bases != list(self._bases[: len(found)]):
            raise _Unfit(f"it came back with steps of {', '.join(map(str, bases))} s")
        for given, back in zip(self._given, found, strict=True):
            slack = 0 if given is self._given[0] else int(SLACK / self._bases[1])
            differ = sum(abs(one - other) > slack for one, other in zip(given, back, strict=False))
            if differ or len(given) != len(back):
                raise _Unfit(f"of {len(given)} stamps {len(back)} came back, {differ} of them changed")


def _decode_times(stamps: list[int]) -> list[int]:
    """Increasing decoding stamps, none after its picture's, for pictures in the order of decoding."""
    ordered = sorted(stamps)
    rank = {stamp: number for number, stamp in enumerate(ordered)}
    delay = max(number - rank[stamp] for number, stamp in enumerate(stamps))
    step = min((after - before for before, after in itertools.pairwise(ordered)), default=1)
    return [ordered[0] - step * lead for lead in range(delay, 0, -1)] + ordered[: len(ordered) - delay]


def _audio(samples: np.ndarray, context: av.AudioCodecContext, pts: int) -> av.AudioFrame:
    """A frame of `[C,N]` float32 for an encoder of packed integers."""
    kind = np.dtype(np.int16 if context.format.name == "s16" else np.int32)
    limit = float(1 << (8 * kind.itemsize - 1))
    whole = np.clip(np.rint(samples.astype(np.float64) * limit), -limit, limit - 1).astype(kind)
    frame = av.AudioFrame.from_ndarray(
        np.ascontiguousarray(whole.T.reshape(1, -1)), context.format.name, context.layout.name
    )
    frame.sample_rate, frame.pts, frame.time_base = context.sample_rate, pts, context.time_base
    return frame
