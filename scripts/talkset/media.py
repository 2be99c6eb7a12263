"""Media files: what a source holds, packets from a given time on, and the pictures of a clip.

Files are recognised by their content, never by their name, and nothing that a file refers to is opened.
"""

from __future__ import annotations

import errno
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.codec.context import Flags
from av.filter import Graph

from talkset import timeline
from talkset.faults import ClipFault
from talkset.shardtar import Span

DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS)
HDR_TRANSFERS = {16: "smpte2084", 18: "arib-std-b67"}
# ITU-T H.273 numbers as libavutil has them; 2 = not stated.
UNSTATED, BT709, SMPTE170M = 2, 1, 6
LIMITED, FULL = 1, 2
# Exact rounding and no instruction set of its own: the same pictures on every machine.
SCALER = "bicubic+accurate_rnd+bitexact"
# Where 4:2:0 has its chroma: at even columns, half a row below even rows (1/256 pixels). libswscale's own assumption is
# the middle of four pixels.
CHROMA_IN, CHROMA_OUT = "in_h_chr_pos=0:in_v_chr_pos=128", "out_h_chr_pos=0:out_v_chr_pos=128"

# How to turn a decoded picture upright, by the signs of the display matrix (x' = a x + c y, y' = b x + d y).
TURNS = {
    (1, 0, 0, 1): "",
    (-1, 0, 0, 1): "hflip",
    (1, 0, 0, -1): "vflip",
    (-1, 0, 0, -1): "hflip,vflip",
    (0, 1, -1, 0): "transpose=clock",
    (0, -1, 1, 0): "transpose=cclock",
    (0, 1, 1, 0): "transpose=cclock_flip",
    (0, -1, -1, 0): "transpose=clock_flip",
}


def open_file(file: str | Path | BinaryIO) -> av.container.InputContainer:
    """Open media for reading, recognised by its content.

    Raises:
        ClipFault: it is empty or no media.
    """
    if isinstance(file, (str, Path)):
        file = Span(file, 0, Path(file).stat().st_size)
    file.seek(0)
    try:
        return av.open(file, "r", io_open=_refuse, metadata_errors="replace")
    except (av.error.FFmpegError, PermissionError) as error:
        raise ClipFault(f"the file cannot be read as a video ({_said(error)})") from error


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn what libav says of a full or broken disk while it writes `path` into the usual error of the system.

    Raises:
        OSError: with the file's name.
    """
    try:
        yield
    except av.error.FFmpegError as error:
        if error.errno not in DISK:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error


def x264_options(width: int) -> dict[str, str]:
    """Options without which x264 does not give the same bytes every time.

    With the AVX-512 routines of the x264 in PyAV 18.1 the same pictures come out differently from run to run unless the
    width is a multiple of 128 (found at 96, 160, 192, 320, 448, 480; never at 128, 256, 384, 512, 640), so there they
    are left out. With AVX2 all runs agree, and agree with AVX-512 at those widths.
    """
    return {"x264-params": "asm=AVX2"} if width % 128 and _has_avx512() else {}


@cache
def _has_avx512() -> bool:
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False


def _refuse(url: str, flags: int, options: dict):
    raise PermissionError(f"the file refers to another one: {url}")


def _said(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def picture_stream(container: av.container.InputContainer) -> av.VideoStream:
    """The default picture stream that is not a cover picture, else the first such.

    Raises:
        ClipFault: there is none, or it cannot be decoded.
    """
    still = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    streams = [stream for stream in container.streams.video if not stream.disposition & still]
    if not streams:
        raise ClipFault("the file holds no moving picture")
    stream = min(streams, key=lambda stream: not stream.disposition & av.stream.Disposition.default)
    if stream.codec_context is None:
        raise ClipFault(f"picture stream {stream.index} has a codec that cannot be decoded here")
    if container.format.name == "avi" and stream.codec_context.has_b_frames:
        raise ClipFault("an AVI file does not say when reordered pictures (B-frames) are shown")
    return stream


def sound_stream(container: av.container.InputContainer) -> av.AudioStream | None:
    """The default sound stream that can be decoded, else the first such; `None` if there is none."""
    streams = [
        stream
        for stream in container.streams.audio
        if stream.codec_context is not None and stream.codec_context.sample_rate
    ]
    return min(streams, key=lambda stream: not stream.disposition & av.stream.Disposition.default, default=None)


class Source:
    """A source video: its streams, where its time begins, and its packets from a given time on.

    Attributes:
        path: the file.
        picture, sound: the streams in use (`sound` may be `None`).
        origin: stamp in seconds of annotated time 0.
        rate: nominal pictures per second.
    """

    def __init__(self, path: Path):
        self.path, self.container = path, open_file(path)
        self.picture, self.sound = picture_stream(self.container), sound_stream(self.container)
        self.streams = [self.picture, self.sound] if self.sound else [self.picture]
        only(self.container, *self.streams)
        self.rate = self.picture.average_rate or self.picture.guessed_rate or Fraction(timeline.FPS)
        starts = [_start(path, stream) for stream in self.streams]
        self.origin = timeline.origin(starts[0], starts[1] if self.sound else None)

    def packets(self, time: Fraction | None) -> Iterator[av.Packet]:
        """Yield packets of both streams in file order from a key picture before `time` on, or from the beginning.

        What the container's seek finds is not checked here: it may land late.

        Args:
            time: stamp in seconds; `None` = from the beginning, through an opening of its own (`packet.stream`).
        """
        if time is None:
            with closing(Source(self.path)) as again:
                yield from again._demux()
        else:
            self.container.seek(math.floor(time / self.picture.time_base), stream=self.picture)
            yield from self._demux()

    def close(self) -> None:
        self.container.close()

    def _demux(self) -> Iterator[av.Packet]:
        return (packet for packet in self.container.demux(self.streams) if packet.size)


def only(container: av.container.InputContainer, *streams: av.stream.Stream) -> None:
    """Read nothing but these streams, and decode them with one thread."""
    for stream in container.streams:
        stream.discard = av.stream.Discard.all
    for stream in streams:
        stream.discard = av.stream.Discard.default
        stream.codec_context.thread_count = 1


def _start(path: Path, stream: av.stream.Stream) -> Fraction:
    """The first stamp of a stream in seconds."""
    if stream.start_time is not None:
        return stream.start_time * stream.time_base
    stamps = []
    with open_file(path) as container:
        for packet in container.demux(container.streams[stream.index]):
            stamp = packet.pts if packet.pts is not None else packet.dts
            if stamp is not None:
                stamps.append(stamp * packet.time_base)
            if len(stamps) == 32:  # more than any codec reorders
                break
    return min(stamps, default=Fraction(0))


def describe(frame: av.VideoFrame, source: Source) -> dict:
    """What the record says of a source's picture, from one decoded picture of it.

    Raises:
        ClipFault: it is turned by an angle that is not a multiple of 90 degrees.
    """
    turn = _turn(frame)
    sar = source.picture.sample_aspect_ratio or Fraction(1)
    width, height = upright_size(frame.width, frame.height, sar, turn)
    return {
        "codec": source.picture.codec_context.codec.canonical_name,
        "width": width,
        "height": height,
        "coded_width": frame.width,
        "coded_height": frame.height,
        "pix_fmt": frame.format.name,
        "fps": str(source.rate),
        "interlaced": frame.interlaced_frame,
        "turn": turn,
        "sar": str(sar),
        "color": {
            "range": frame.color_range,
            "matrix": frame.colorspace,
            "primaries": frame.color_primaries,
            "transfer": frame.color_trc,
        },
    }


def describe_sound(source: Source) -> dict | None:
    """What the record says of a source's sound; `None` if it has none that can be decoded."""
    stream = source.sound
    if stream is None:
        return None
    return {
        "codec": stream.codec_context.codec.canonical_name,
        "rate": stream.codec_context.sample_rate,
        "channels": stream.codec_context.layout.nb_channels,
        "bit_rate": stream.codec_context.bit_rate or None,
        "stream": stream.index,
        "streams": len(source.container.streams.audio),
        "language": None if stream.language == "und" else stream.language,
    }


def upright_size(width: int, height: int, sar: Fraction, turn: str) -> tuple[int, int]:
    """Size of the upright picture with square pixels: one side grows, to a multiple of 2; none shrinks."""
    if sar > 1:
        width = 2 * round(width * sar / 2)
    elif sar < 1:
        height = 2 * round(height / sar / 2)
    return (height, width) if turn.startswith("transpose") else (width, height)


def _turn(frame: av.VideoFrame) -> str:
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return ""
    matrix = np.frombuffer(bytes(data), np.int32)
    scale = np.abs(matrix[[0, 1, 3, 4]]).max()
    key = tuple(int(value) for value in np.rint(matrix[[0, 1, 3, 4]] / scale)) if scale else (1, 0, 0, 1)
    if key not in TURNS or np.abs(matrix[[0, 1, 3, 4]] - scale * np.array(key)).max() > scale / 100:
        raise ClipFault(f"the picture is turned by {frame.rotation} degrees, not a multiple of 90")
    return TURNS[key]


@dataclass(frozen=True)
class Picture:
    """One picture of a clip.

    Attributes:
        pts: stamp in the clip file's picture time base.
        time: seconds after the annotated start, exact.
        frame: upright, square pixels, yuv420p of limited range.
        interlaced: whether it was coded as interlaced.
    """

    pts: int
    time: Fraction
    frame: av.VideoFrame
    interlaced: bool
    _graph: Graph | None = field(default=None, repr=False)  # PyAV: a frame must not outlive the graph it came from


class ClipReader:
    """The pictures of one clip, as `cut_clips` wrote it.

    Args:
        file: path or seekable binary file (`shardtar.Reader.media`).
        record: the clip's record.

    Attributes:
        width, height: size of every picture, upright, square pixels.
    """

    def __init__(self, file: str | Path | BinaryIO, record: dict):
        self._file = file
        self.record = record
        self.width, self.height = record["picture"]["width"], record["picture"]["height"]
        self._base = Fraction(record["picture"]["time_base"])
        self._shift = Fraction(record["zero"]) - Fraction(record["start"])

    def time(self, pts: int) -> Fraction:
        """Seconds after the annotated start of a stamp of the clip file."""
        return self._shift + pts * self._base

    def pictures(self, *, skip_loop_filter: bool = False, deinterlace: bool = True) -> Iterator[Picture]:
        """Yield every source picture of the clip, in order of time.

        Args:
            skip_loop_filter: a third less work, blockier pictures; for detectors, not for output.
            deinterlace: make pictures that are flagged as interlaced progressive.

        Raises:
            ClipFault: a picture is damaged or cannot be decoded; the reason names its time.
        """
        yield from self._read(None, skip_loop_filter, deinterlace)

    def shown(
        self, fps: int | Fraction, count: int | None = None, *, skip_loop_filter: bool = False, deinterlace: bool = True
    ) -> Iterator[tuple[int, Picture]]:
        """Yield for every slot at a constant rate its number and the picture that it shows (`timeline.shown`).

        Pictures that no slot shows are not decoded where the codec allows it. A picture that several slots show is
        the same object each time.

        Args:
            fps: slots a second.
            count: number of slots; default: those of the whole clip.

        Raises:
            ClipFault: as `pictures`.
        """
        if count is None:
            count = timeline.frame_count(Fraction(0), Fraction(self.record["frames"], timeline.FPS), fps)
        slots = timeline.slots(Fraction(0), count, fps)
        if not self._packets_are_pictures:
            with closing(self._read(None, skip_loop_filter, deinterlace)) as pictures:
                yield from timeline.shown(pictures, slots, lambda picture: picture.time)
            return
        stamps = self._stamps()
        picks = [stamps[index] for index in timeline.pick_frames([self.time(pts) for pts in stamps], slots)]
        slot = 0
        with closing(self._read(set(picks), skip_loop_filter, deinterlace)) as pictures:
            for picture in pictures:
                while slot < len(picks) and picks[slot] == picture.pts:
                    yield slot, picture
                    slot += 1

    @property
    def _packets_are_pictures(self) -> bool:
        """Whether each packet gives one picture, with its stamp, and says whether others refer to it.

        Interlaced pictures may come as two packets, some codecs have packets that are never shown.
        """
        return self.record["picture"]["codec"] in ("h264", "hevc") and not self.record["picture"]["interlaced"]

    def _stamps(self) -> list[int]:
        first, last = self.record["first_pts"], self.record["last_pts"]
        with open_file(self._file) as container:
            stream = picture_stream(container)
            only(container, stream)
            stamps = [packet.pts for packet in container.demux(stream) if packet.size]
        return sorted(stamp for stamp in stamps if first <= stamp <= last)

    def _read(self, wanted: set[int] | None, skip_loop_filter: bool, deinterlace: bool) -> Iterator[Picture]:
        first, last = self.record["first_pts"], self.record["last_pts"]
        upright = _Upright(self.record["picture"], self._base, deinterlace)
        before = None
        for frame in self._decode(wanted, skip_loop_filter):
            if before is not None and before.pts < first < frame.pts:  # no picture begins at `first`
                yield from self._as_pictures(upright.push(before))
            if frame.pts > last:
                break
            before = frame
            if frame.pts >= first and (wanted is None or frame.pts in wanted or upright.deinterlacing):
                yield from self._as_pictures(upright.push(frame))
        yield from self._as_pictures(upright.push(None))

    def _as_pictures(self, frames: list[tuple[av.VideoFrame, int, bool, Graph | None]]) -> Iterator[Picture]:
        for frame, pts, interlaced, graph in frames:
            yield Picture(pts, self.time(pts), frame, interlaced, graph)

    def _decode(self, wanted: set[int] | None, skip_loop_filter: bool) -> Iterator[av.VideoFrame]:
        """Decoded frames in order of time, some pictures nobody asked for left out."""
        first, last = self.record["first_pts"], self.record["last_pts"]
        skips = self._packets_are_pictures
        pending = set()  # stamps sent to the decoder that have to come out again
        key = at = None
        with open_file(self._file) as container:
            stream = picture_stream(container)
            only(container, stream)
            context = stream.codec_context
            context.flags |= Flags.bitexact
            if skip_loop_filter:
                context.options = {"skip_loop_filter": "all"}
            for packet in container.demux(stream):
                if packet.size:
                    key = packet.pts if key is None else key
                    asked = first <= packet.pts <= last and (wanted is None or packet.pts in wanted)
                    if skips:
                        context.skip_frame = "DEFAULT" if asked else "NONREF"
                        if asked:
                            pending.add(packet.pts)
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    if packet.pts is not None and packet.pts < key:  # refers to a picture before the clip's first
                        continue
                    raise self._damaged(packet.pts, _said(error)) from error
                for frame in frames:
                    pending.discard(frame.pts)
                    if frame.pts < key:
                        continue
                    if frame.is_corrupt:
                        raise self._damaged(frame.pts, "the decoder had to guess parts of it")
                    if at is not None and frame.pts <= at:
                        raise self._damaged(frame.pts, "it comes out of order")
                    at = frame.pts
                    yield frame
                    if at > last:
                        return
        if pending:
            raise self._damaged(min(pending), "the decoder gives no picture")
        if at is None:
            raise ClipFault("no picture of the clip can be decoded")

    def _damaged(self, pts: int | None, why: str) -> ClipFault:
        place = "at the end of the clip" if pts is None else f"{float(self.time(pts)):.3f} s after the start"
        return ClipFault(f"the picture {place} is damaged: {why}")


class _Upright:
    """Decoded frames to upright, square, progressive yuv420p; those that are so already pass untouched."""

    def __init__(self, picture: dict, time_base: Fraction, deinterlace: bool):
        self._picture, self._base, self._may_deinterlace = picture, time_base, deinterlace
        self.deinterlacing = deinterlace and picture["interlaced"]
        self._graph: Graph | None = None
        self._key: tuple | None = None
        self._flags: dict[int, bool] = {}

    def push(self, frame: av.VideoFrame | None) -> list[tuple[av.VideoFrame, int, bool, Graph | None]]:
        """Give one frame in (`None` = the end) and get what is ready: frame, stamp, interlaced, its graph."""
        if frame is None:
            return self._drain()
        self.deinterlacing |= self._may_deinterlace and frame.interlaced_frame
        key = (frame.width, frame.height, frame.format.name, frame.color_range, frame.colorspace, frame.color_trc,
               self.deinterlacing)  # fmt: skip
        ready = []
        if key != self._key:
            ready = self._drain()
            chain = self._chain(frame)
            self._graph = graph(frame, self._base, chain) if chain else None
            self._key = key
        if self._graph is None:
            return [*ready, (frame, frame.pts, frame.interlaced_frame, None)]
        self._flags[frame.pts] = frame.interlaced_frame
        self._graph.push(frame)
        return ready + self._pull()

    def _chain(self, frame: av.VideoFrame) -> list[tuple[str, str]]:
        picture = self._picture
        size = (picture["width"], picture["height"])
        if picture["turn"].startswith("transpose"):
            size = size[::-1]
        chain = []
        if self.deinterlacing:
            chain.append(("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
        if frame.color_trc in HDR_TRANSFERS:
            chain.append(("scale", "out_transfer=bt709:out_primaries=bt709:out_color_matrix=bt709:out_range=tv"
                                   ":intent=perceptual"))  # fmt: skip
        full = frame.color_range == FULL or frame.format.name.startswith("yuvj")
        if frame.format.name != "yuv420p" or full or (frame.width, frame.height) != size:
            matrix = ":out_color_matrix=bt709" if frame.format.is_rgb else ""
            where = CHROMA_IN + ":" if frame.format.name.startswith(("yuv420", "yuvj420")) else ""
            chain.append(("scale", f"{size[0]}:{size[1]}:flags={SCALER}:{where}{CHROMA_OUT}:out_range=tv{matrix}"))
            chain.append(("format", "yuv420p"))
        for step in filter(None, picture["turn"].split(",")):
            name, _, value = step.partition("=")
            chain.append((name, value))
        return chain

    def _drain(self) -> list[tuple[av.VideoFrame, int, bool, Graph | None]]:
        if self._graph is None:
            return []
        self._graph.push(None)
        ready = self._pull()
        self._graph = self._key = None
        return ready

    def _pull(self) -> list[tuple[av.VideoFrame, int, bool, Graph | None]]:
        ready = []
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return ready
            pts = int(frame.pts * frame.time_base / self._base)
            ready.append((frame, pts, self._flags.pop(pts), self._graph))


def graph(frame: av.VideoFrame, time_base: Fraction, chain: list[tuple[str, str]]) -> Graph:
    """A configured graph of filters (name, arguments) for frames like `frame`."""
    made = Graph()
    made.threads = 1
    buffer = made.add(
        "buffer",
        video_size=f"{frame.width}x{frame.height}",
        pix_fmt=frame.format.name,
        time_base=str(time_base),
        pixel_aspect="1/1",
        colorspace=str(int(frame.colorspace)),
        range=str(int(frame.color_range)),
    )
    nodes = [made.add(name, arguments or None) for name, arguments in chain]
    made.link_nodes(buffer, *nodes, made.add("buffersink")).configure()
    return made
