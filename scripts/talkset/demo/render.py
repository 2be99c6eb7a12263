"""The demo's source videos and their annotation set: a real portrait made to speak, with every answer known.

Each source shows scikit-image's astronaut (NASA, public domain) speaking the bundled `speech.flac` (see README.md
beside this file). Mouth, head and camera move by formulas, the sound begins at a known sample and every frame carries
its number (`barcode`), so that whatever a dataset build makes of the sources can be compared with `truth.json`.
Good and bad cases are planted in `SOURCES`; the lists have HDTF's five-file format with its oddities.
"""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np

from talkset import files, progress
from talkset.demo import barcode
from talkset.demo.server import HOST

VERSION = "1"
SPEECH = Path(__file__).with_name("speech.flac")
CLICK_HZ, CLICK_SECONDS = 1500, 0.012  # a tone burst under a sine window
ROOM_LEVEL = 0.0004  # standard deviation of the room's noise, full scale = 1
VARIABLE_BASE = 1 / Fraction(90000)  # time base of the source with a variable frame rate

# The portrait, in its own pixels (512 x 512): landmark box of the face at rest, outline of the head, and the inner
# edges of the lips from corner to corner, measured once with mediapipe's face mesh and corrected by eye.
FACE = (180.0, 71.0, 271.5, 178.0)
HEAD, HEAD_RADII, NECK = (224.0, 105.0), (85.0, 95.0), (224.0, 190.0)
LIP_X = (204.4, 207.0, 210.0, 213.5, 218.1, 223.8, 229.8, 234.8, 238.7, 242.0, 244.6)
UPPER_LIP = (140.3, 140.6, 141.1, 141.7, 142.4, 143.0, 142.8, 142.2, 141.9, 141.7, 141.5)
LOWER_LIP = (140.3, 143.0, 145.3, 147.3, 149.0, 149.6, 149.3, 148.2, 146.1, 143.9, 141.5)
SHUT, WIDE = -0.85, 1.05  # change of the gap between the lips, as a multiple of the gap at rest
LEVELS = 48  # steps of mouth opening that are drawn


@dataclass(frozen=True)
class Clip:
    """One annotated interval (whole seconds, as HDTF has them) and what it is expected to end as."""

    start: int
    end: int
    status: str = "ok"
    reasons: tuple[str, ...] = ()
    soft: tuple[str, ...] = ()
    ratio: str | None = "1.2"  # None: the lists have neither window nor ratio


@dataclass(frozen=True)
class Tile:
    """A part of the frame that shows the portrait.

    Args:
        box: `x0, y0, x1, y1` in the frame.
        middle: point of the portrait (its own pixels) in the middle of the box.
        scale: frame pixels per portrait pixel.
        face: whether the face is inside.
        talks: whether the mouth follows the speech, or stays shut.
        mirrored: whether left and right are exchanged.
    """

    box: tuple[int, int, int, int]
    middle: tuple[float, float] = (224.0, 107.0)
    scale: float = 2.4
    face: bool = True
    talks: bool = True
    mirrored: bool = False


@dataclass(frozen=True)
class Source:
    """One source video; `seconds=None` is one that the site does not have.

    Args:
        subset, name, video: as in the lists (`RD`, `Even25`, 11 characters of the URL).
        fps: frames per second; of the underlying grid where `variable`.
        pan: camera motion in frame pixels (horizontal amplitude) and its period in seconds.
        heights: heights that the site offers, the last one being that of `size`; more than one means separate streams
            of picture and sound.
        listed: height in the lists, at which the windows are given; `None` = that of `size`.
        rate: of the sound in Hz; `None` = no sound stream.
    """

    subset: str
    name: str
    video: str
    clips: tuple[Clip, ...]
    fps: Fraction = Fraction(25)
    size: tuple[int, int] = (960, 540)
    seconds: Fraction | None = Fraction(7)
    tiles: tuple[Tile, ...] = (Tile((0, 0, 960, 540)),)
    pan: tuple[int, float] = (0, 1.0)
    interlaced: bool = False
    variable: bool = False
    blur: float = 0.0
    rate: int | None = 48000
    heights: tuple[int, ...] = ()
    listed: int | None = None
    query: str = ""

    @property
    def url(self) -> str:
        return f"http://{HOST}/watch?v={self.video}{self.query}"

    @property
    def click(self) -> Fraction:
        """Where the click begins, seconds: shortly after the first clip does."""
        return Fraction(self.clips[0].start) + Fraction(1, 4)

    @property
    def onset(self) -> Fraction:
        """Where the first sample of `speech.flac` lies, seconds."""
        return Fraction(self.clips[0].start) + Fraction(1, 2)


WHOLE_480 = (Tile((0, 0, 854, 480), (224.0, 100.0)),)
SOURCES = (
    Source(
        "RD",
        "Even25",
        "tSk-Even25a",
        (Clip(1, 5), Clip(5, 6, "rejected", ("short",))),
        heights=(360, 540),
    ),
    Source(
        "RD",
        "Even30",
        "tSk_Even30b",
        (Clip(2, 5),),
        fps=Fraction(30),
        heights=(360, 540),
        listed=360,
        query="&t=6s",
    ),
    Source(
        "RD",
        "Film2997",
        "-tSk2997fps",
        (Clip(1, 4, ratio="1.1"), Clip(4, 7, "no-window", ratio=None)),
        fps=Fraction(30000, 1001),
        size=(854, 480),
        tiles=WHOLE_480,
        rate=44100,
    ),
    Source("RD", "Gone", "tSkGone0000", (Clip(10, 40, "gone"),), seconds=None),
    Source(
        "WDA",
        "Interlaced",
        "tSk50fields",
        (Clip(1, 4),),
        size=(720, 576),
        seconds=Fraction(5),
        tiles=(Tile((0, 0, 720, 576)),),
        pan=(40, 2.0),
        interlaced=True,
    ),
    Source(
        "WDA",
        "Variable",
        "tSkVariable",
        (Clip(1, 4),),
        fps=Fraction(30),
        size=(854, 480),
        seconds=Fraction(6),
        tiles=WHOLE_480,
        variable=True,
        rate=44100,
    ),
    Source(
        "WDA",
        "TwoFaces",
        "tSkTwoFaces",
        (Clip(1, 4, "rejected", ("faces",)),),
        seconds=Fraction(5),
        tiles=(
            Tile((20, 45, 470, 525), (224.0, 112.0)),
            Tile((490, 45, 940, 525), (224.0, 112.0), talks=False, mirrored=True),
        ),
    ),
    Source(
        "WDA",
        "NoFace",
        "tSkNoFace00",
        (Clip(1, 4, "failed|rejected"),),
        size=(640, 480),
        seconds=Fraction(5),
        tiles=(Tile((0, 0, 640, 480), (233.0, 375.0), 1.8, face=False),),
        pan=(90, 5.0),
    ),
    Source(
        "WDA",
        "SmallFace",
        "tSkSmall000",
        (Clip(1, 4, "rejected", ("small",)),),
        size=(640, 360),
        seconds=Fraction(5),
        tiles=(Tile((170, 40, 470, 340), (224.0, 190.0), 0.8),),
    ),
    Source(
        "WRA",
        "Ending",
        "tSkEnding00",
        (Clip(5, 10), Clip(20, 23, "failed")),
        fps=Fraction(30),
        size=(854, 480),
        seconds=Fraction(38, 5),
        tiles=WHOLE_480,
    ),
    Source(
        "WRA",
        "Blurred",
        "tSkBlurred0",
        (Clip(1, 4, soft=("blur",)),),
        size=(854, 480),
        seconds=Fraction(5),
        tiles=WHOLE_480,
        blur=6.0,
    ),
    Source(
        "WRA",
        "Silent",
        "tSkSilent00",
        (Clip(1, 4, soft=("snr",)),),
        size=(854, 480),
        seconds=Fraction(5),
        tiles=WHOLE_480,
        rate=None,
    ),
)


def render(folder: str | Path) -> None:
    """Render every source into `folder/media`, the lists into `folder/annotations`, the answers into `truth.json`.

    `truth.json` is written last: where it is there in this `VERSION`, with the media, nothing is done; a killed render
    is done again. Takes about 20 s of one core.
    """
    folder = Path(folder)
    there = [source for source in SOURCES if source.seconds]
    if _finished(folder, there):
        return
    for source in progress.each(there, len(there), "demo", unit="sources", every=5):
        render_source(source, folder / "media")
    write_annotations(folder / "annotations")
    files.write_json(folder / "truth.json", truth())


def _finished(folder: Path, sources: list[Source]) -> bool:
    try:
        known = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return False
    return known.get("version") == VERSION and all(_media(source, folder / "media").exists() for source in sources)


def _media(source: Source, media: Path) -> Path:
    """The file that a source is complete with."""
    return media / (f"{source.video}/manifest.mpd" if source.heights else f"{source.video}.mp4")


def truth() -> dict:
    """The known answers: what is in every source, and what every annotated clip is expected to end as.

    Sources go by their video id. `stamps` of the frames and `onset` of the first speech sample are seconds as exact
    fractions in text, `clicks` the middle of each tone burst in seconds. Boxes are frame pixels `[x0, y0, x1, y1]` at
    full size: a face's `box` holds its landmarks at rest; `travel` is how far a side moves from there at most, in x and
    y. Of a clip, `status` may leave a choice (`|`); `reasons` are hard rules that speak against it, `soft` soft ones.
    """
    sources, clips = {}, {}
    for source in SOURCES:
        entry = {"subset": source.subset, "name": source.name, "url": source.url, "there": source.seconds is not None}
        if source.seconds:
            entry |= {
                "fps": str(source.fps),
                "stamps": [str(stamp) for stamp in stamps(source)],
                "size": list(source.size),
                "heights": list(source.heights) or [source.size[1]],
                "interlaced": source.interlaced,
                "rate": source.rate,
                "clicks": [float(source.click) + CLICK_SECONDS / 2] if source.rate else [],
                "onset": str(source.onset) if source.rate else None,
                "faces": [
                    {"box": face_box(tile), "travel": travel(source, tile), "talks": tile.talks}
                    for tile in source.tiles
                    if tile.face
                ],
            }
        sources[source.video] = entry
        for index, clip in enumerate(source.clips):
            clips[f"{source.subset}_{source.name}_{index:03d}"] = {
                "video": source.video,
                "start": clip.start,
                "end": clip.end,
                "status": clip.status,
                "reasons": list(clip.reasons),
                "soft": list(clip.soft),
            }
    return {"version": VERSION, "sources": sources, "clips": clips}


def write_annotations(folder: Path) -> None:
    """Write the five lists of every subset in HDTF's syntax, oddities included.

    As in the published lists: a byte-order mark before the first URL of WDA, spaces at the end of lines of WRA, no
    line feed at the end of a file, `&t=6s` in a URL, an id that begins with `-`. One file has CRLF line ends, which
    copies that went through other systems have.
    """
    for subset in dict.fromkeys(source.subset for source in SOURCES):
        url, height, times, window, ratio = [], [], [], [], []
        for source in SOURCES:
            if source.subset != subset:
                continue
            listed = source.listed or source.size[1]
            url.append(f"{source.name} {source.url}")
            height.append(f"{source.name}.mp4 {listed}")
            spans = " ".join(f"{_clock(clip.start)}-{_clock(clip.end)}" for clip in source.clips)
            times.append(f"{source.name}.mp4 {spans}{' ' if subset == 'WRA' else ''}")
            for index, clip in enumerate(source.clips):
                if clip.ratio:
                    x, y, side = _window(source, Fraction(listed, source.size[1]))
                    window.append(f"{source.name}_{index}.mp4 {x} {side} {y} {side}")
                    ratio.append(f"{source.name}_{index}.mp4 {clip.ratio}")
        lists = {"video_url": url, "resolution": height, "annotion_time": times, "crop_wh": window, "crop_ratio": ratio}
        for kind, lines in lists.items():
            ends = "\r\n" if (subset, kind) == ("WRA", "crop_wh") else "\n"
            mark = "\ufeff" if (subset, kind) == ("WDA", "video_url") else ""
            last = "" if (subset, kind) == ("WRA", "annotion_time") else ends
            with files.whole(folder / f"{subset}_{kind}.txt") as partial:
                partial.write_bytes((mark + ends.join(lines) + last).encode())


def _clock(seconds: int) -> str:
    return f"{seconds // 60:02d}:{seconds % 60:02d}"


def _window(source: Source, scale: Fraction) -> tuple[int, int, int]:
    """Left, top and side of the square window about the first face, inside the frame, in listed pixels."""
    width, height = source.size
    x0, y0, x1, y1 = face_box(source.tiles[0]) if source.tiles[0].face else (0, 0, *source.size)
    side = min(1.6 * max(x1 - x0, y1 - y0), width, height)
    left = min(max((x0 + x1 - side) / 2, 0), width - side)
    top = min(max((y0 + y1 - side) / 2, 0), height - side)
    return int(left * scale), int(top * scale), int(side * scale)


# --- time ---------------------------------------------------------------------------------------------------------


def stamps(source: Source) -> list[Fraction]:
    """When each frame is shown, seconds. Frame n of a steady source is at n / fps exactly.

    The variable one drops frames of its grid in no regular order and holds some for up to a third of a second.
    """
    grid = range(round(source.seconds * source.fps))
    if source.variable:
        grid = [slot for slot in grid if slot * slot % 7 != 2 and slot % 37 not in range(20, 25)]
    return [slot / source.fps for slot in grid]


def pose(seconds: float) -> tuple[float, float, float, float]:
    """Where the head is: shift right and down (portrait pixels), tilt (radians), turn (portrait pixels of the nose)."""
    angle = 2 * np.pi * seconds
    return (
        3.0 * np.sin(angle / 3.1),
        1.6 * np.sin(angle / 2.3 + 1.0),
        0.028 * np.sin(angle / 4.3 + 0.4),
        3.0 * np.sin(angle / 3.7 + 2.0),
    )


def pan(source: Source, seconds: float) -> int:
    """How far the camera looks to the right of the middle, whole frame pixels."""
    amplitude, period = source.pan
    return round(amplitude * np.sin(2 * np.pi * seconds / period))


def face_box(tile: Tile) -> list[float]:
    """Box of the face's landmarks at rest, frame pixels `[x0, y0, x1, y1]`."""
    left, top = (tile.box[0] + tile.box[2]) / 2, (tile.box[1] + tile.box[3]) / 2
    xs = [(x - tile.middle[0]) * (-1 if tile.mirrored else 1) * tile.scale + left for x in FACE[::2]]
    ys = [(y - tile.middle[1]) * tile.scale + top for y in FACE[1::2]]
    return [round(value, 1) for value in (min(xs), ys[0], max(xs), ys[1])]


def travel(source: Source, tile: Tile) -> list[float]:
    """How far a side of the face's box moves from rest at most (x, y), frame pixels: head, jaw and camera."""
    return [round(12 * tile.scale + source.pan[0], 1), round(9 * tile.scale, 1)]


# --- sound --------------------------------------------------------------------------------------------------------


@functools.cache
def speech() -> tuple[int, np.ndarray]:
    """The bundled speech: its rate in Hz and samples `[N]` float32, full scale = 1."""
    import av

    with av.open(str(SPEECH)) as container:
        frames = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
        return container.streams.audio[0].rate, np.concatenate(frames).astype(np.float32) / 32768


def openness(seconds: np.ndarray) -> np.ndarray:
    """How far the mouth is open, 0..1, at times after the speech's first sample: its smoothed loudness."""
    loudness, step = _loudness()
    return np.interp(np.asarray(seconds), np.arange(len(loudness)) * step, loudness, left=0.0, right=0.0)


@functools.cache
def _loudness() -> tuple[np.ndarray, float]:
    rate, samples = speech()
    step = rate // 100
    half = 3 * step
    power = np.cumsum(np.pad(samples.astype(np.float64) ** 2, half))
    centres = np.arange(0, len(samples), step) + half
    level = np.sqrt((power[centres + half - 1] - power[centres - half]) / (2 * half))
    smooth = np.convolve(level, np.hanning(9) / np.hanning(9).sum(), "same")
    return np.clip(smooth / np.percentile(smooth, 95), 0, 1) ** 0.7, step / rate


def sound(source: Source) -> np.ndarray:
    """The sound of a source at its rate, `[N]` float32: faint room noise, a click, then speech to the end."""
    from scipy.signal import resample_poly

    rate = source.rate
    samples = np.random.default_rng(0).normal(0, ROOM_LEVEL, int(source.seconds * rate)).astype(np.float32)
    own_rate, words = speech()
    parts = ((source.click, click(rate)), (source.onset, resample_poly(words, rate, own_rate)))
    for begin, part in parts:
        room = samples[round(begin * rate) :][: len(part)]
        room += part[: len(room)]
    return samples


def click(rate: int) -> np.ndarray:
    """The tone burst at a rate in Hz, `[N]` float32."""
    time = np.arange(round(CLICK_SECONDS * rate)) / rate
    return (0.5 * np.sin(np.pi * time / CLICK_SECONDS) * np.sin(2 * np.pi * CLICK_HZ * time)).astype(np.float32)


# --- picture ------------------------------------------------------------------------------------------------------


class Portrait:
    """The portrait at one scale, with a mouth that opens and a head that moves."""

    MARGIN = 60  # portrait pixels added on every side, so that views and motions stay inside

    def __init__(self, scale: float):
        import cv2
        import skimage.data

        self.scale = scale
        picture = cv2.copyMakeBorder(skimage.data.astronaut(), *[self.MARGIN] * 4, cv2.BORDER_REFLECT_101)
        kind = cv2.INTER_LANCZOS4 if scale > 1 else cv2.INTER_AREA
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=kind)
        if scale > 1:  # what enlarging took: edges and the film's grain
            soft = cv2.GaussianBlur(picture, (0, 0), 0.8 * scale)
            picture = cv2.addWeighted(picture, 1.7, soft, -0.7, 0)
            grain = np.random.default_rng(0).normal(0, 3, picture.shape[:2])[..., None]
            picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
        self.still = picture
        self._face = picture.copy()  # with the mouth as it is now
        self._scene = picture.copy()  # with the head where it is now
        self._mouths: dict[int, np.ndarray] = {}
        x, y = self._grid(150, 110, 300, 215)
        self._mouth_box, self._mouth_x, self._mouth_y = self._slices(150, 110, 300, 215), x, y
        region = (HEAD[0] - 150, HEAD[1] - 150, HEAD[0] + 150, HEAD[1] + 165)
        self._head_box = self._slices(*region)
        x, y = self._grid(*region)
        self._head_x = self._pixels(x)
        self._head_y = self._pixels(y)
        reach = np.hypot((x - HEAD[0]) / HEAD_RADII[0], (y - HEAD[1]) / HEAD_RADII[1])
        hold = _step(1.7 - reach, 0.7)  # 1 on the head, 0 where the background begins
        self._shift = (hold * scale).astype(np.float32)
        self._tilt_x = (-(y - NECK[1]) * hold * scale).astype(np.float32)
        self._tilt_y = ((x - NECK[0]) * hold * scale).astype(np.float32)
        nose = np.hypot((x - 224) / 45, (y - 120) / 60)
        self._turn = (np.exp(-(nose**2)) * hold * scale).astype(np.float32)

    def scene(self, opening: float, at: tuple[float, float, float, float]) -> np.ndarray:
        """The whole picture with the mouth `opening` (0..1) and the head `at` a `pose`; valid until the next call."""
        import cv2

        self._face[self._mouth_box] = self._mouth(round(opening * LEVELS))
        right, down, tilt, turn = (np.float32(value) for value in at)
        from_x = self._head_x - right * self._shift - tilt * self._tilt_x - turn * self._turn
        from_y = self._head_y - down * self._shift - tilt * self._tilt_y
        self._scene[self._head_box] = cv2.remap(self._face, from_x, from_y, cv2.INTER_LINEAR)
        return self._scene

    def view(self, scene: np.ndarray, tile: Tile, shift: int) -> np.ndarray:
        """The part of a scene that a tile shows, `shift` frame pixels further right."""
        width, height = tile.box[2] - tile.box[0], tile.box[3] - tile.box[1]
        left = round((tile.middle[0] + self.MARGIN) * self.scale - width / 2) + shift
        top = round((tile.middle[1] + self.MARGIN) * self.scale - height / 2)
        part = scene[top : top + height, left : left + width]
        return part[:, ::-1] if tile.mirrored else part

    def _mouth(self, level: int) -> np.ndarray:
        """The region of mouth and jaw at one of `LEVELS` of opening.

        The teeth stay with the head; the lower lip and the jaw move down (or up over the teeth), less and less
        towards cheeks and neck, and what opens below the teeth is dark.
        """
        import cv2

        if level in self._mouths:
            return self._mouths[level]
        x, y = self._mouth_x, self._mouth_y
        change = SHUT + (WIDE - SHUT) * level / LEVELS
        upper, lower = np.interp(x, LIP_X, UPPER_LIP), np.interp(x, LIP_X, LOWER_LIP)
        gap, largest = lower - upper, max(np.subtract(LOWER_LIP, UPPER_LIP))
        edge = lower + change * gap
        below = _step(y - edge, 25.0)
        wide = np.exp(-(((x - 223.5) / 38.0) ** 2))
        moved = change * ((1 - below) * gap + below * largest * wide) * _step(205.0 - y, 33.0)
        moved[y < edge] = 0.0
        from_y = np.where(y < edge, y, np.maximum(y - moved, np.minimum(y, lower)))
        warped = cv2.remap(self.still, self._pixels(x), self._pixels(from_y), cv2.INTER_LINEAR).astype(np.float32)
        depth = np.clip((y - lower) / (largest * WIDE), 0, 1)[..., None]
        dark = np.float32((58, 20, 20)) * (1 - depth) + np.float32((120, 52, 50)) * depth
        inside = np.clip((edge - y) * self.scale, 0, 1) * np.clip((y - lower) * self.scale + 0.5, 0, 1) * (gap > 0)
        warped += (dark - warped) * inside[..., None].astype(np.float32)
        self._mouths[level] = warped.astype(np.uint8)
        return self._mouths[level]

    def _slices(self, x0, y0, x1, y1) -> tuple[slice, slice]:
        edges = [round((value + self.MARGIN) * self.scale) for value in (x0, y0, x1, y1)]
        return slice(max(edges[1], 0), edges[3]), slice(max(edges[0], 0), edges[2])

    def _grid(self, *region) -> tuple[np.ndarray, np.ndarray]:
        """Portrait coordinates of the pixels of a region, each `[H,W]`."""
        rows, columns = self._slices(*region)
        y, x = np.mgrid[rows, columns].astype(np.float64)
        return (x + 0.5) / self.scale - self.MARGIN, (y + 0.5) / self.scale - self.MARGIN

    def _pixels(self, value: np.ndarray) -> np.ndarray:
        return ((value + self.MARGIN) * self.scale - 0.5).astype(np.float32)


def _step(value: np.ndarray, width: float) -> np.ndarray:
    """0 below 0, 1 above `width`, smooth between."""
    part = np.clip(value / width, 0, 1)
    return part * part * (3 - 2 * part)


@functools.cache
def _portrait(scale: float) -> Portrait:
    return Portrait(scale)


def picture(source: Source, seconds: float) -> np.ndarray:
    """What the camera sees at a time, `[H,W,3]` uint8 RGB, without a frame number."""
    import cv2

    frame = _wall(*source.size).copy()
    for tile in source.tiles:
        portrait = _portrait(tile.scale)
        opening = float(openness(seconds - float(source.onset))) if tile.talks else 0.0
        scene = portrait.scene(opening, pose(seconds if tile.talks else seconds + 1.3))
        x0, y0, x1, y1 = tile.box
        frame[y0:y1, x0:x1] = portrait.view(scene, tile, pan(source, seconds))
    return cv2.GaussianBlur(frame, (0, 0), source.blur) if source.blur else frame


@functools.cache
def _wall(width: int, height: int) -> np.ndarray:
    """A dark studio wall, lighter in the middle."""
    y, x = np.ogrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    light = np.exp(-(x**2 + y**2))[..., None]
    return (np.float64((30, 34, 44)) + light * np.float64((34, 38, 46))).astype(np.uint8)


# --- files --------------------------------------------------------------------------------------------------------


def render_source(source: Source, media: Path) -> None:
    """Write one source under `media`, whole or not at all: `{video}.mp4`, or `{video}/manifest.mpd` and segments."""
    path = _media(source, media)
    if not source.heights:
        with files.whole(path) as partial:
            _encode(source, partial, "mp4", (source.size[1],), {})
        return
    partial = media / f".{source.video}.partial"
    for leftover in (partial, path.parent):
        shutil.rmtree(leftover, ignore_errors=True)
    partial.mkdir(parents=True)
    options = {"seg_duration": "4", "adaptation_sets": "id=0,streams=v id=1,streams=a"}
    _encode(source, partial / path.name, "dash", source.heights, options)
    partial.rename(path.parent)


def _encode(source: Source, path: Path, container_format: str, heights: tuple[int, ...], options: dict) -> None:
    """Encode picture (H.264, one thread, one stream for each height) and sound (AAC) into one container."""
    import av

    with av.open(str(path), "w", format=container_format, options={"fflags": "+bitexact", **options}) as container:
        pictures = [_picture_stream(container, source, height) for height in heights]
        speaker = None
        if source.rate:
            speaker = container.add_stream("aac", rate=source.rate, layout="mono")
            speaker.bit_rate = 128000
            speaker.codec_context.flags |= av.codec.context.Flags.bitexact
            samples = _blocks(source)
        for number, frame in enumerate(_frames(source)):
            while speaker and (block := next(samples, None)):
                container.mux(speaker.encode(block))
                if block.pts / source.rate > stamps(source)[number]:
                    break
            for stream in pictures:
                container.mux(stream.encode(frame.reformat(width=stream.width, height=stream.height)))
        for block in samples if speaker else ():
            container.mux(speaker.encode(block))
        for stream in (*pictures, *([speaker] if speaker else [])):
            container.mux(stream.encode(None))


def _picture_stream(container, source: Source, height: int):
    import av

    stream = container.add_stream("libx264", rate=source.fps)
    stream.width, stream.height = source.size[0] * height // source.size[1], height
    stream.pix_fmt = "yuv420p"
    stream.options = {"preset": "superfast", "crf": "19", "threads": "1"}
    context = stream.codec_context
    context.gop_size = round(4 * source.fps)
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = 1, 6, 6, 6  # SMPTE 170M
    context.flags |= av.codec.context.Flags.bitexact
    if source.interlaced:
        context.flags |= av.codec.context.Flags.interlaced_dct | av.codec.context.Flags.interlaced_me
    if source.variable:
        context.time_base = stream.time_base = VARIABLE_BASE
    return stream


def _frames(source: Source) -> Iterator:
    """Yield the source's frames as `av.VideoFrame`, yuv420p, numbered and stamped."""
    import av
    import av.filter

    unit = VARIABLE_BASE if source.variable else 1 / source.fps
    marked = None
    if source.interlaced:
        marked = av.filter.Graph()
        width, height = source.size
        inlet = marked.add_buffer(width=width, height=height, format="yuv420p", time_base=unit)
        setter, outlet = marked.add("setfield", "tff"), marked.add("buffersink")
        inlet.link_to(setter)
        setter.link_to(outlet)
        marked.configure()
    for number, stamp in enumerate(stamps(source)):
        moments = [stamp, stamp + 1 / (2 * source.fps)] if source.interlaced else [stamp]
        fields = []
        for moment in moments:
            scene = picture(source, float(moment))
            barcode.draw(scene, number)
            fields.append(av.VideoFrame.from_ndarray(scene, format="rgb24").to_ndarray(format="yuv420p"))
        if source.interlaced:
            fields[0] = _weave(*fields)
        frame = av.VideoFrame.from_ndarray(fields[0], format="yuv420p")
        frame.pts, frame.time_base = int(stamp / unit), unit
        if marked:
            marked.push(frame)
            frame = marked.pull()
        yield frame


def _weave(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    """Two yuv420p pictures `[H*3/2,W]` as the fields of one frame: even lines of `top`, odd lines of `bottom`."""
    luma = len(top) * 2 // 3
    woven = top.copy()
    woven[1:luma:2] = bottom[1:luma:2]
    for plane in (0, 1):  # chroma planes as they lie in the array: half as wide, two of their lines in one of ours
        begin, end = luma + plane * luma // 4, luma + (plane + 1) * luma // 4
        lines = woven[begin:end].reshape(-1, top.shape[1] // 2)
        lines[1::2] = bottom[begin:end].reshape(-1, top.shape[1] // 2)[1::2]
    return woven


def _blocks(source: Source) -> Iterator:
    """Yield the source's sound as `av.AudioFrame`s of 1024 samples."""
    import av

    samples = sound(source)
    for first in range(0, len(samples), 1024):
        block = av.AudioFrame.from_ndarray(samples[None, first : first + 1024], format="fltp", layout="mono")
        block.rate, block.pts, block.time_base = source.rate, first, Fraction(1, source.rate)
        yield block
