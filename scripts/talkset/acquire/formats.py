"""Which of a site's streams to take: a pure function of yt-dlp's list of formats."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Equal in height and frame rate, the codecs of mp4 go first: its stamps are exact, while webm rounds each one to 1 ms.
# Among those, H.264 first: a site has it for nearly every video and keeps it, so a dataset is of one codec.
PICTURE_CODECS = (
    ("avc1", "avc3", "h264"),
    ("av01", "av1"),
    ("hvc1", "hev1", "h265", "hevc"),
    ("vp9", "vp09"),
    ("vp8", "vp08"),
)
# The same for sound; what AAC loses beside Opus at these bit rates lies above the 8 kHz that are kept.
SOUND_CODECS = (("mp4a", "aac"), ("opus",), ("vorbis",))

_ID_MARKS = {"sr": "AI-upscaled", "drc": "compressed in dynamics", "vb": "voice boost"}
_NOTE_MARKS = (
    (re.compile(r"ai[- ]upscaled|super[- ]resolution"), "AI-upscaled"),
    (re.compile(r"\bdrc\b"), "compressed in dynamics"),
    (re.compile(r"voice[- ]boost"), "voice boost"),
    (re.compile(r"\bdubbed"), "dubbed"),
    (re.compile(r"\bdescriptive"), "audio description"),
    (re.compile(r"\bdamaged"), "damaged"),
    (re.compile(r"missing pot"), "not fetchable without a PO token"),
)


class NoStream(Exception):
    """No stream of the list can be used; the text says what was offered and why not."""


@dataclass(frozen=True)
class Choice:
    """The streams to fetch.

    Attributes:
        picture: format id of the stream with the picture.
        sound: format id of the stream with the sound; `None` if it is in the picture's or there is none.
        height: stated height of the picture in pixels, `None` if the site does not state it.
        reduced: the height is below the one asked for, or no stream of a single kind was offered (the sign of a
            session that is given the poorest streams only).
        note: what was not as asked for, for the record; empty if all was.
    """

    picture: str
    sound: str | None
    height: int | None
    reduced: bool
    note: str


def choose(formats: Sequence[Mapping], height: int | None = None, max_height: int | None = None) -> Choice:
    """Choose the stream(s) of one video.

    Never taken: AI-upscaled, dubbed, described, DRC or voice-boosted, damaged, DRM-protected streams and storyboards;
    HDR only if nothing else is there. Then, in this order: the height, the frame rate (higher first), the codec (see
    `PICTURE_CODECS`), a picture-only stream before one with sound, plain HTTP before segments, the bit rate, the id.
    Sound: the original language, the codec (see `SOUND_CODECS`), plain HTTP before segments, the bit rate, the id.

    Args:
        formats: yt-dlp's format dicts (`format_id`, `vcodec`, `acodec`, `height`, `fps`, `tbr`, `format_note`, ...).
        height: the exact height wanted, in pixels; where it is not offered the next larger one, else the largest.
            `None`: the largest.
        max_height: with `height=None`, take none above it if one below is offered.

    Raises:
        NoStream: no stream has a usable picture.
    """
    refused: dict[str, int] = {}
    usable = []
    for one in formats:
        reason = _refusal(one)
        if reason:
            refused[reason] = refused.get(reason, 0) + 1
        else:
            usable.append(one)
    usable = _original_language(usable)
    pictures = [one for one in usable if one.get("vcodec") != "none"]
    if not pictures:
        offered = ", ".join(f"{count} {reason}" for reason, count in sorted(refused.items()))
        raise NoStream(f"no stream with a usable picture among {len(formats)} ({offered or 'sound only'})")
    notes = []
    plain = [one for one in pictures if (one.get("dynamic_range") or "SDR") == "SDR"]
    if not plain:
        notes.append("only HDR offered")
    pictures = plain or pictures
    taken, note = _height({one["height"] for one in pictures if one.get("height")}, height, max_height)
    notes += [note] if note else []
    if taken is not None:
        pictures = [one for one in pictures if one.get("height") == taken]
    picture = min(pictures, key=_picture_order)
    sound = None
    if picture.get("acodec") == "none":
        sounds = [one for one in usable if one.get("vcodec") == "none"]
        sound = min(sounds, key=_sound_order, default=None)
        if sound is None:
            notes.append("no sound offered")
    separate = any("none" in (one.get("vcodec"), one.get("acodec")) for one in usable)
    return Choice(
        picture=picture["format_id"],
        sound=sound and sound["format_id"],
        height=taken,
        reduced=not separate or (height is not None and taken is not None and taken < height),
        note="; ".join(notes),
    )


def _refusal(one: Mapping) -> str | None:
    """Why a format is never taken, or `None`."""
    if one.get("has_drm"):
        return "DRM-protected"
    if one.get("ext") == "mhtml" or one.get("vcodec") == one.get("acodec") == "none":
        return "storyboards"
    for mark in str(one["format_id"]).lower().split("-")[1:]:
        if mark in _ID_MARKS:
            return _ID_MARKS[mark]
    note = (one.get("format_note") or "").lower()
    for pattern, reason in _NOTE_MARKS:
        if pattern.search(note):
            return reason
    return None


def _original_language(formats: list[Mapping]) -> list[Mapping]:
    """Without the formats whose sound is not the original's, where the site tells which it is."""
    preferences = [one.get("language_preference") or -1 for one in formats if one.get("acodec") != "none"]
    best = max(preferences, default=-1)
    return [
        one
        for one in formats
        if one.get("acodec") == "none" or not one.get("language") or (one.get("language_preference") or -1) == best
    ]


def _height(offered: set[int], wanted: int | None, cap: int | None) -> tuple[int | None, str]:
    """The height to take of those offered, and a note if it is not the one asked for."""
    if not offered:
        return None, f"{wanted} lines wanted, the site states no height" if wanted else ""
    listing = ", ".join(map(str, sorted(offered)))
    if wanted is None:
        below = [one for one in offered if cap is None or one <= cap]
        if below:
            return max(below), ""
        return min(offered), f"at most {cap} lines wanted, took {min(offered)} (offered: {listing})"
    if wanted in offered:
        return wanted, ""
    larger = [one for one in offered if one > wanted]
    taken = min(larger) if larger else max(offered)
    which = "next larger" if larger else "largest"
    return taken, f"{wanted} lines wanted, took {taken}, the {which} (offered: {listing})"


def _picture_order(one: Mapping) -> tuple:
    return (
        -(one.get("fps") or 0),
        _rank(one.get("vcodec"), PICTURE_CODECS),
        one.get("acodec") != "none",
        _segmented(one),
        -(one.get("vbr") or one.get("tbr") or 0),
        one["format_id"],
    )


def _sound_order(one: Mapping) -> tuple:
    return (
        -(one.get("language_preference") or -1),
        _rank(one.get("acodec"), SOUND_CODECS),
        _segmented(one),
        -(one.get("abr") or one.get("tbr") or 0),
        one["format_id"],
    )


def _rank(codec: str | None, order: tuple[tuple[str, ...], ...]) -> int:
    name = (codec or "").lower()
    return next((rank for rank, names in enumerate(order) if name.startswith(names)), len(order))


def _segmented(one: Mapping) -> bool:
    return (one.get("protocol") or "https") not in ("http", "https")
