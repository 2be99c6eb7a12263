"""What a media file holds, and whether it is whole. The name's ending says nothing: containers are known by content."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# Containers that may be opened. Play lists are not among them: they would make the library open what they name.
CONTAINERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,asf,ogg,mxf,nut"

# A file may end so much before its own stated end, seconds: streams differ in length, and stated ends are rounded.
SLACK = 2.0


class Unreadable(Exception):
    """The file cannot be used at all; the text says why."""


@dataclass(frozen=True)
class Media:
    """One media file.

    Attributes:
        height: of the stored picture, pixels.
        width: of the stored picture, pixels.
        fps: average frame rate, exact; `None` if the container does not tell.
        vcodec: name of the picture's codec.
        acodec: name of the first sound stream's codec, or `None`.
        duration: from the first to the end of the last packet of picture and sound, seconds.
        fault: what is wrong with the end of the file, or empty: it is whole.
    """

    height: int
    width: int
    fps: Fraction | None
    vcodec: str
    acodec: str | None
    duration: float
    fault: str


def probe(path: str | Path) -> Media:
    """Read a file's packets to its end (nothing is decoded).

    Raises:
        Unreadable: empty, of no known container, or without picture.
    """
    import av
    from av.stream import Disposition

    if Path(path).stat().st_size == 0:
        raise Unreadable("the file is empty")
    try:
        container = av.open(str(path), options={"protocol_whitelist": "file", "format_whitelist": CONTAINERS})
    except (av.FFmpegError, ValueError) as error:
        raise Unreadable(f"not a readable media file ({getattr(error, 'strerror', None) or error})") from None
    with container:
        pictures = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
        if not pictures or not pictures[0].codec_context.width:
            raise Unreadable("the file has no picture")
        picture = pictures[0]
        sound = container.streams.audio[0] if container.streams.audio else None
        fault = ""
        count, first, last = 0, None, None
        try:
            for packet in container.demux([one for one in (picture, sound) if one]):
                if packet.size == 0:
                    continue
                if packet.is_corrupt:
                    fault = "a packet is cut off"
                count += packet.stream is picture
                if packet.pts is not None:
                    start = packet.pts * packet.time_base
                    end = start + (packet.duration or 0) * packet.time_base
                    first = start if first is None else min(first, start)
                    last = end if last is None else max(last, end)
        except av.FFmpegError as error:
            fault = f"reading stops with {error.strerror!r}"
        if not count or first is None:
            raise Unreadable(f"the file holds no pictures ({fault or 'no packets'})")
        duration = float(last - first)
        stated = max(
            (float(one.duration * one.time_base) for one in (picture, sound) if one and one.duration), default=0.0
        )
        stated = stated or (container.duration or 0) / av.time_base
        # Only here is the count of frames that of packets; AVI also counts frames that it leaves out.
        if not fault and "mp4" in container.format.name and picture.frames > count:
            fault = f"only {count} of {picture.frames} frames are there"
        elif not fault and duration < stated - SLACK:
            fault = f"it ends after {duration:.1f} s of {stated:.1f} s"
        return Media(
            height=picture.codec_context.height,
            width=picture.codec_context.width,
            fps=picture.average_rate and Fraction(picture.average_rate),
            vcodec=picture.codec_context.codec.canonical_name,
            acodec=sound and sound.codec_context.codec.canonical_name,
            duration=duration,
            fault=fault,
        )
