"""HDTF (Zhang et al., CVPR 2021): five text files for each of its subsets RD, WDA and WRA.

    RD_video_url.txt      Radio99 https://www.youtube.com/watch?v=-aB3dE5gH7i&t=6s   name, address
    RD_annotion_time.txt  Radio99.mp4 00:30-01:00 01:30-02:30     clips as M:SS-M:SS or H:MM:SS-H:MM:SS, whole seconds
    RD_resolution.txt     Radio99.mp4 720                         height in pixels that the windows were made at
    RD_crop_wh.txt        Radio99_0.mp4 483 390 0 390             clip, window as x, width, y, height in pixels
    RD_crop_ratio.txt     Radio99_0.mp4 1.2                       clip, enlargement of a window found by detection

Fields are parted by blanks. A byte-order mark, CRLF, blanks at the end of a line and empty lines are allowed; any other
deviation is a `ToolFault` that shows file, line number and text. Rules where the lists leave a choice:

- Clip `RD_Radio11_001` is the second interval in the line of Radio11, whether or not the first has a window.
  Aliases are the authors' name `Radio11_1` and `RD_Radio11_1`, the stem of pieces that some trainers cut further
  (`RD_Radio11_1_clip_0`).
- A clip without lines in crop_wh and crop_ratio keeps its row, with an empty window. A window without a ratio, a ratio
  without a window, a line for a clip, video or name that another file does not have, and a name listed twice contradict
  the lists' own structure (the published ones hold none) and are faults. A listed video without any interval is said,
  and gives no row. An interval that ends before it starts keeps its row; cutting it fails that clip.
- Height 0 means unknown: `ref_height` is empty. Every other height is kept as listed, also those that no YouTube
  encoding has (700, 714): windows are scaled by (height of the file at hand) / `ref_height`, so none needs to exist.
- A window that reaches below the frame of its listed height (three in the published lists: MaggieHassan_0,
  MazieHirono1_0, PeterKing_0) is kept as listed too and said: the height it was made at is not known, so cropping by
  the `annotated` way fails that clip where the scaled window leaves the frame; tracked crops do not use it.
- `video` is the YouTube id, so two names with one address share a source (gh3YqnvNdio); `url` is then the plain watch
  address, without time marks or playlists. An address of another site is named by its `v` parameter, or else by a hash.
- `identity` is the name without the digits at its end. It is weak: Radio is one label for all of RD, and one person may
  have two spellings.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from talkset import annotations, names, progress
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec

SUBSETS = ("RD", "WDA", "WRA")

CLOCK = r"(?:([0-9]{1,3}):(?=[0-5][0-9]:))?([0-9]{1,4}):([0-5][0-9])"
INTERVAL = re.compile(f"{CLOCK}-{CLOCK}")
HEIGHT = re.compile(r"[0-9]{1,5}")
PIXELS = re.compile(r"-?[0-9]{1,6}")
RATIO = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,6})?")

# The lines of each file: their first field, which holds the name; the least and most fields; what is expected of both.
VIDEO = re.compile(r"(.+)\.mp4")
CLIP = re.compile(r"(.+_(?:0|[1-9][0-9]{0,3}))\.mp4")
FORMS = {
    "video_url": (re.compile(r"(.+)"), (2, 2), "name and address of a video"),
    "annotion_time": (VIDEO, (2, math.inf), "name.mp4 and one or more intervals M:SS-M:SS"),
    "resolution": (VIDEO, (2, 2), "name.mp4 and a height in pixels"),
    "crop_wh": (CLIP, (5, 5), "name_index.mp4 (index from 0), then x, width, y, height in pixels"),
    "crop_ratio": (CLIP, (2, 2), "name_index.mp4 (index from 0) and a ratio"),
}


def _files(subsets: list[str] | tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{subset}_{part}.txt" for subset in subsets for part in FORMS)


SPEC = DatasetSpec(
    name="hdtf",
    version=1,
    title="HDTF",
    licence="CC BY 4.0",
    access="lists from the authors' repository, videos from YouTube",
    homepage="https://github.com/MRzzm/HDTF",
    files=_files(SUBSETS),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "subsets": {
                "type": "array",
                "items": {"type": "string", "pattern": "^[A-Za-z0-9]{1,20}$"},
                "minItems": 1,
                "uniqueItems": True,
                "default": list(SUBSETS),
                "description": "Subsets to use: the part of the annotation files' names before the first underscore.",
            },
            "require_window": {
                "type": "boolean",
                "default": True,
                "description": "End clips without a listed window as no-window (15 of the published 436); "
                "false: cut them too, and crop them by detection.",
            },
        },
    },
)


@dataclass(frozen=True)
class Line:
    """One line of an annotation file.

    Attributes:
        path: the file.
        number: counted from 1, as editors do.
        text: without line end.
        fields: the text split at blanks.
    """

    path: Path
    number: int
    text: str
    fields: list[str]

    def fault(self, expected: str) -> ToolFault:
        """The error that shows this line and says what should have been there."""
        return ToolFault(f"{self.path}, line {self.number}: {self.text[:500]!r}: {expected}")


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    return _files(options["subsets"])


def import_names(row: dict) -> list[str]:
    """`{subset}_{name}`: what the usual download script calls the source video."""
    return [names.safe_name(f"{row['subset']}_{json.loads(row['labels'])['name']}")]


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows: subset by subset, videos as in video_url, clips as in annotion_time.

    Args:
        files: the annotation files by name, at least `annotation_files(options)`.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a line is malformed or contradicts another one.
    """
    first_of: dict[str, tuple[str, Line]] = {}
    for subset in options["subsets"]:
        paths = dict(zip(FORMS, (files[name] for name in _files([subset])), strict=True))
        lines = {part: _by_name(path, *FORMS[part]) for part, path in paths.items()}
        sources = {name: _source(line) for name, line in lines["video_url"].items()}
        spans = {name: _spans(line) for name, line in lines["annotion_time"].items()}
        heights = {name: _height(line) for name, line in lines["resolution"].items()}
        windows = {name: _window(line) for name, line in lines["crop_wh"].items()}
        ratios = {name: _ratio(line) for name, line in lines["crop_ratio"].items()}

        for part, other in (
            ("annotion_time", "video_url"),
            ("annotion_time", "resolution"),
            ("resolution", "video_url"),
            ("crop_wh", "crop_ratio"),
            ("crop_ratio", "crop_wh"),
        ):
            for name, line in lines[part].items():
                if name not in lines[other]:
                    raise line.fault(f"{paths[other].name} has no line for {name!r}")
        for clip_name, line in lines["crop_wh"].items():
            name, _, index = clip_name.rpartition("_")
            if int(index) >= len(spans.get(name, ())):
                found = f"{paths['annotion_time'].name} has {len(spans.get(name, ()))} intervals for {name!r}"
                raise line.fault(f"{found}, so there is no clip {index}")

        for name, (video, url) in sources.items():
            line = lines["video_url"][name]
            first_url, first = first_of.setdefault(video, (url, line))
            if first_url != url:
                raise line.fault(f"another address gives the same id {video!r}: {first.path}, line {first.number}")
            if name not in spans:
                progress.say(f"{dataset}: {subset}/{name} is listed without any interval, so it has no clips")
                continue
            for index, (start, end) in enumerate(spans[name]):
                clip_name = f"{name}_{index}"
                window = windows.get(clip_name, ("", "", "", ""))
                if window[3] and heights[name] and int(window[3]) > int(heights[name]):
                    progress.say(
                        f"{dataset}: the window of {subset}/{clip_name} reaches down to pixel {window[3]}, below the "
                        f"frame of its listed height {heights[name]}; kept as listed"
                    )
                yield {
                    "clip": _safe(line, f"{subset}_{name}_{index:03d}"),
                    "dataset": dataset,
                    "subset": subset,
                    "video": video,
                    "url": url,
                    "start": start,
                    "end": end,
                    **dict(zip(("x0", "y0", "x1", "y1"), window, strict=True)),
                    "box_unit": "pixel" if clip_name in windows else "",
                    "ref_width": "",
                    "ref_height": heights[name],
                    "crop_scale": ratios.get(clip_name, ""),
                    "identity": re.sub(r"[0-9]+$", "", name) or name,
                    "split": "",
                    "language": "",
                    "aliases": f"{_safe(line, clip_name)};{_safe(line, f'{subset}_{clip_name}')}",
                    "labels": json.dumps(
                        {
                            "name": name,
                            "index": index,
                            "url": line.fields[1],
                            "interval": lines["annotion_time"][name].fields[1 + index],
                            "resolution": lines["resolution"][name].fields[1],
                        }
                    ),
                }


def _lines(path: Path) -> Iterator[Line]:
    # Split bytes at LF alone: str.splitlines would also split at characters that a hostile name may hold.
    for number, raw in enumerate(path.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        raw = raw.removesuffix(b"\r")
        text = raw.decode("utf-8", errors="backslashreplace")
        line = Line(path, number, text, re.findall(r"[^ \t]+", text))
        try:
            raw.decode("utf-8")
        except UnicodeDecodeError:
            raise line.fault("the text is not UTF-8") from None
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028\u2029]", text):
            raise line.fault("the text holds control characters")
        if line.fields:
            yield line


def _by_name(path: Path, key: re.Pattern, fields: tuple[int, float], expected: str) -> dict[str, Line]:
    """A file's lines by the name in their first field; arguments as in `FORMS`."""
    lines: dict[str, Line] = {}
    for line in _lines(path):
        match = key.fullmatch(line.fields[0])
        if not match or not fields[0] <= len(line.fields) <= fields[1]:
            raise line.fault(f"expected {expected}")
        if match[1] in lines:
            raise line.fault(f"the name {match[1]!r} is already in line {lines[match[1]].number}")
        lines[match[1]] = line
    return lines


def _safe(line: Line, text: str) -> str:
    try:
        return names.safe_name(text)
    except ValueError as error:
        raise line.fault(str(error)) from None


def _source(line: Line) -> tuple[str, str]:
    """Source id (file-name safe) and address of a line of video_url."""
    try:
        return annotations.source(line.fields[1])
    except ValueError as error:
        raise line.fault(str(error)) from None


def _spans(line: Line) -> list[tuple[str, str]]:
    """Start and end of each interval of a line of annotion_time, in whole seconds, as text."""
    spans = []
    for text in line.fields[1:]:
        match = INTERVAL.fullmatch(text)
        if not match:
            raise line.fault(f"{text!r} is not an interval M:SS-M:SS or H:MM:SS-H:MM:SS")
        hours, minutes, seconds, *until = (int(number or 0) for number in match.groups())
        spans.append(tuple(str(h * 3600 + m * 60 + s) for h, m, s in ((hours, minutes, seconds), until)))
    return spans


def _height(line: Line) -> str:
    """The listed height, as listed; empty where it is 0."""
    text = line.fields[1]
    if not HEIGHT.fullmatch(text):
        raise line.fault("expected a height in whole pixels (0 if unknown)")
    return text if int(text) else ""


def _window(line: Line) -> tuple[str, str, str, str]:
    """Left, top, right and bottom edge, as text, from `x width y height`."""
    if not all(PIXELS.fullmatch(text) for text in line.fields[1:]):
        raise line.fault("expected x, width, y, height in whole pixels")
    x, width, y, height = (int(text) for text in line.fields[1:])
    return str(x), str(y), str(x + width), str(y + height)


def _ratio(line: Line) -> str:
    """The ratio, as listed."""
    text = line.fields[1]
    if not RATIO.fullmatch(text) or not float(text):
        raise line.fault("expected a ratio above 0, such as 1.2")
    return text
