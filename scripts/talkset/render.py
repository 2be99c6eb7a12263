"""A clip's crop as a constant-rate video: one decode, one scaling, one lossy encode."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.filter import Graph

from talkset import media
from talkset.faults import ToolFault
from talkset.media import ClipReader


def crop(
    reader: ClipReader,
    window: tuple[int, int, int, int],
    path: Path,
    *,
    count: int,
    fps: int,
    size: int,
    preset: str,
    crf: float,
    gop: int,
) -> dict:
    """Write `count` frames of one window of a clip as H.264 in mp4, stamps 0 to `count - 1` in units of `1 / fps`.

    Each slot shows the source picture that `timeline.shown` picks for it. The window is scaled by the bicubic filter
    (widened when it shrinks, so that nothing aliases). Matrix, primaries and transfer of the source are kept and
    written into the file; where the source does not state them they are what players assume for its height. The range
    is limited.

    Args:
        window: x0, y0, x1, y1 in pixels of the reader's pictures, inside them.
        size: side of the output, even.
        preset, crf: of x264.
        gop: largest distance of key frames, in frames.

    Returns:
        `source_pts` (stamp in the clip file of the picture in each slot), `interlaced` (whether any was) and `color`
        (ITU-T H.273 numbers).

    Raises:
        ClipFault: a picture is damaged.
        ToolFault: the file read back is not what was asked for.
        OSError: the disk is full or broken.
    """
    scaler = _Scaler(window, size)
    source_pts, interlaced, shown, frame = [], False, None, None
    tuning = {"preset": preset, "crf": str(crf)}
    options = {"movflags": "+faststart", "video_track_timescale": str(fps), "fflags": "+bitexact"}
    with media.writing(path), av.open(str(path), "w", format="mp4", container_options=options) as output:
        stream = output.add_stream("libx264", rate=fps, options=tuning | media.x264_options(size))
        context = stream.codec_context
        context.width = context.height = size
        context.pix_fmt, context.gop_size, context.thread_count = "yuv420p", gop, 1
        context.time_base = Fraction(1, fps)
        for slot, picture in reader.shown(fps, count):
            if shown is None:
                color = _color(picture.frame, reader.height)
                for name, value in color.items():
                    setattr(context, _ATTRIBUTES[name], value)
            if picture is not shown:
                frame, shown = scaler.scale(picture), picture
            frame.pts, frame.time_base, frame.pict_type = slot, context.time_base, av.video.frame.PictureType.NONE
            output.mux(context.encode(frame))
            source_pts.append(picture.pts)
            interlaced |= picture.interlaced
        output.mux(context.encode(None))
    if _stamps(path) != list(range(count)):
        raise ToolFault(
            f"{path}: {len(_stamps(path))} frames came back of {len(source_pts)} written, not 0 to {count - 1}"
        )
    return {"source_pts": source_pts, "interlaced": interlaced, "color": color}


_ATTRIBUTES = {"range": "color_range", "matrix": "colorspace", "primaries": "color_primaries", "transfer": "color_trc"}


def _color(frame: av.VideoFrame, height: int) -> dict[str, int]:
    """What the output's colours mean; what the source leaves open is BT.709 from 720 lines on, else BT.601."""
    usual = media.BT709 if height >= 720 else media.SMPTE170M
    stated = {
        "matrix": int(frame.colorspace),
        "primaries": int(frame.color_primaries),
        "transfer": int(frame.color_trc),
    }
    return {"range": media.LIMITED} | {
        name: usual if value in (0, media.UNSTATED) else value for name, value in stated.items()
    }


def _stamps(path: Path) -> list[int]:
    """Stamps of a video's packets, in the order of time."""
    with av.open(str(path)) as container:
        return sorted(packet.pts for packet in container.demux(video=0) if packet.size)


class _Scaler:
    """Pictures to one window of them, `size` x `size`.

    A window with an odd side or corner cuts through chroma samples: it goes through 4:4:4, so that colour stays where
    brightness is.
    """

    def __init__(self, window: tuple[int, int, int, int], size: int):
        x0, y0, x1, y1 = window
        out = f"{size}:{size}:flags={media.SCALER}:{media.CHROMA_OUT}"
        if any(side % 2 for side in window):
            left, top, right, bottom = x0 - x0 % 2, y0 - y0 % 2, x1 + x1 % 2, y1 + y1 % 2
            self._chain = [
                ("crop", f"min({right - left}\\,iw-{left}):min({bottom - top}\\,ih-{top}):{left}:{top}:exact=1"),
                ("scale", f"iw:ih:flags={media.SCALER}:{media.CHROMA_IN}"),
                ("format", "yuv444p"),
                ("crop", f"{x1 - x0}:{y1 - y0}:{x0 - left}:{y0 - top}"),
                ("scale", out),
                ("format", "yuv420p"),
            ]
        else:
            self._chain = [("crop", f"{x1 - x0}:{y1 - y0}:{x0}:{y0}"), ("scale", f"{out}:{media.CHROMA_IN}")]
        self._graph: Graph | None = None

    def scale(self, picture: media.Picture) -> av.VideoFrame:
        if self._graph is None:
            self._graph = media.graph(picture.frame, picture.frame.time_base, self._chain)
        self._graph.push(picture.frame)
        return self._graph.pull()
