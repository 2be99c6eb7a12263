"""VFHQ (Xie et al., CVPRW 2022): one text for each clip, in `meta_info.zip` or the folder that it was unpacked to.

    Clip+-xY3zAb5cDe+P0+C1+F1499-1668.txt

    Video ID: -xY3zAb5cDe
    H: 1080
    W: 1920
    FPS: 29.97

    FRAME INDEX X0 Y0 W H [Landmarks (5 Points)]

    00001500 00000000 702.1 140.8 301.2 402.9 790.5 300.1 905.2 298.7 850.0 371.3 799.8 430.2 896.4 428.9
    CROP: 520 60 1110 650

What the format is known from: the published extraction script as in jinwonkim93/vfhq_processing (lines by their first
letters, values by their last fields), and VinAIResearch/EFHQ (6883f41) `0_dataset_download/download_vfhq.py`,
`1_attributes_extraction/iqa_vfhq.py` and `2_merging/vfhq/metadata.py` (order of the lines, columns of the rows). The
words between are known from nobody's copy, so lines are told by what they begin with, `:` counts as a blank, and the
first record is said. A byte-order mark, CRLF and empty lines are allowed; a line that does not fit is a `ToolFault`
with file, line number and text. Rules where the texts leave a choice:

- The name is the clip's id. Its F range must stay in it: 674 of the published names without it come more than once. The
  name without it is an alias where it is one clip's alone.
- The range F a-b counts pictures of the source at the stated FPS, from 0. The script keeps the pictures a+1 to b-1, so
  `start` is (a+1)/FPS and `end`, where the first picture that is left out begins, b/FPS. FPS 29.97 means 30000/1001.
- The window is the line CROP, pixels of H x W; without that line it is empty. One that leaves the frame, or whose edges
  are the wrong way round, is kept as listed and said. The rows are read for what labels hold: `rows`, the least and
  largest frame number `row_frames`, and `face_px`, the median height of the face in source pixels.
- A name that occurs twice counts once if both texts are equal, else it is a fault.
- `identity` is the video and the person's number in it: the numbers do not go on from video to video.
- `split` is `test` below a folder `test` or `VFHQ-Test`, else `train`.

`source: frames` takes the authors' archives instead (VFHQ_zips, VFHQ-512, VFHQ-Test), unpacked below `raw`: each clip
is a folder of numbered pictures, found by its name at any depth, cropped already and without sound. Then `start`, `end`
and the window are empty, `url` is the path below `raw`, and `labels` hold `image_rate`, pictures a second: what the
clip's text says, else the option `fps`.
"""

from __future__ import annotations

import json
import re
import statistics
from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from talkset import annotations, listing, progress
from talkset.annotations import Oddities, Record
from talkset.faults import ToolFault
from talkset.registry import DatasetSpec
from talkset.texts import Text, Texts, exact

CLIP = re.compile(r"Clip\+([A-Za-z0-9_-]{11})\+P([0-9]{1,4})\+C([0-9]{1,4})\+F([0-9]{1,9})-([0-9]{1,9})")
HEADS = ("Video", "FPS", "FRAME", "CROP", "H", "W")  # what the lines that are no rows begin with
FRAME = re.compile(r"[0-9]{1,9}")
PIXELS = re.compile(r"[0-9]{1,6}")
NUMBER = re.compile(r"-?[0-9]{1,9}(?:\.[0-9]{1,20})?")
# Pictures a second of video for television, and what people write for them.
TELEVISION = tuple(Fraction(rate * 1000, 1001) for rate in (24, 30, 48, 60, 120))
TELEVISION_ROUNDING = Fraction(5, 1000)

SPEC = DatasetSpec(
    name="vfhq",
    version=1,
    title="VFHQ",
    licence="texts CC BY 4.0; the dataset for non-commercial research only",
    access="meta_info.zip and the archives of pictures from the authors' page (OneDrive, Baidu), videos from YouTube",
    homepage="https://liangbinxie.github.io/projects/vfhq/",
    files=("meta_info.zip",),
    options={
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "source": {
                "enum": ["youtube", "frames"],
                "default": "youtube",
                "description": "Youtube: the videos that meta_info names, with sound; frames: the authors' pictures, "
                "unpacked below the folder `raw`, silent and cropped already (needs require_window: false).",
            },
            "meta": {
                "type": ["string", "null"],
                "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$",
                "default": "meta_info.zip",
                "description": "Name of the archive with the clips' texts, or of the folder that you unpacked it to; "
                "null: there is none (frames only).",
            },
            "fps": {
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "maximum": 1000,
                "default": None,
                "description": "Pictures a second of frames whose clip has no text; null: such are an error.",
            },
            "require_window": {
                "type": "boolean",
                "default": True,
                "description": "End clips whose text has no CROP line as no-window; false: cut them too.",
            },
        },
        "if": {"properties": {"source": {"const": "youtube"}}},
        "then": {"properties": {"meta": {"type": "string", "description": "needed for source: youtube"}}},
    },
)


@dataclass(frozen=True)
class Facts:
    """What a clip's text says; texts are as listed.

    Attributes:
        split: train or test.
        fps: pictures a second.
        height, width: of the frame that `window` is in, pixels.
        window: left, top, right and bottom edge, or four times empty.
        rows: labels that the rows of frames give.
    """

    split: str
    fps: str
    height: str
    width: str
    window: tuple[str, ...]
    rows: dict


def annotation_files(options: dict) -> tuple[str, ...]:
    """Names of the annotation files that these options need."""
    texts = (options["meta"],) if options["meta"] else ()
    return (*texts, listing.NAME) if options["source"] == "frames" else texts


def import_names(row: dict) -> list[str]:
    """The video's YouTube id; none for pictures, which lie where `url` says."""
    return [row["video"]] if "://" in row["url"] else []


def clips(files: dict[str, Path], options: dict, dataset: str) -> Iterator[dict]:
    """Yield clip table rows, clips in order of their names.

    Args:
        files: the annotation files by name, at least `annotation_files(options)`.
        options: as in `SPEC.options`.
        dataset: the name in the config.

    Raises:
        ToolFault: a text is malformed, or a clip is there twice and differs.
    """
    odd = Oddities(dataset)
    meta = files[options["meta"]] if options["meta"] else None
    if options["source"] == "frames":
        if options["require_window"]:
            raise ToolFault(
                f"{dataset}: pictures are cropped already and have no window: set options: require_window: false"
            )
        yield from _from_frames(files[listing.NAME], meta, options["fps"], odd, dataset)
    else:
        yield from _from_youtube(meta, odd, dataset)
    odd.say()


def rate_of(fps: str) -> Fraction:
    """Pictures a second from a decimal number: 29.97 and 29.97003 are 30000/1001, 23.98 and 23.976 are 24000/1001."""
    listed = Fraction(fps)
    nearest = min(TELEVISION, key=lambda rate: abs(rate - listed))
    return nearest if abs(nearest - listed) < TELEVISION_ROUNDING else listed


def _from_youtube(meta: Path, odd: Oddities, dataset: str) -> Iterator[dict]:
    for clip, facts, alone in _texts(meta, odd, dataset):
        video, first, last = CLIP.fullmatch(clip).group(1, 4, 5)
        _look_at_window(clip, facts, odd)
        rate = rate_of(facts.fps)
        yield _row(clip, dataset, facts.split, alone) | {
            "video": video,
            "url": annotations.watch_page(video),
            "start": exact((int(first) + 1) / rate),
            "end": exact(int(last) / rate),
            **dict(zip(("x0", "y0", "x1", "y1"), facts.window, strict=True)),
            "box_unit": "pixel" if facts.window[0] else "",
            "ref_width": facts.width,
            "ref_height": facts.height,
            "labels": _labels(clip, {"fps": facts.fps, **facts.rows}),
        }


def _from_frames(media: Path, meta: Path | None, fps: float | None, odd: Oddities, dataset: str) -> Iterator[dict]:
    found: dict[str, listing.Media] = {}
    for entry in listing.read(media):
        clip = entry.path.rpartition("/")[2]
        if entry.kind != "images" or not CLIP.fullmatch(clip):
            odd.note("not a folder of a clip's pictures, left out", entry.path)
        elif clip in found:
            raise ToolFault(
                f"{dataset}: clip {clip} has two folders, {found[clip].path!r} and {entry.path!r}; "
                "keep one of them below raw (VFHQ_zips and VFHQ-512 hold the same clips)"
            )
        else:
            found[clip] = entry
    if not found:
        raise ToolFault(
            f"{dataset}: no folder below raw is called like a clip (Clip+<id>+P0+C1+F1499-1668) and holds its "
            f"pictures; {SPEC.access}: {SPEC.homepage}"
        )
    known = {clip: facts for clip, facts, _ in _texts(meta, odd, dataset, found)} if meta else {}
    names = Counter(map(_without_range, found))
    for clip, entry in sorted(found.items()):
        facts = known.get(clip)
        if facts is None and fps is None:
            lacking = f"{meta} has no text of it" if meta else "there are no texts (options: meta)"
            raise ToolFault(f"{dataset}: the frame rate of {entry.path!r} is not known: {lacking}; set options: fps")
        if not entry.images:
            odd.note("the clip's folder is empty", clip)
        elif entry.last - entry.first + 1 != entry.images:
            odd.note("pictures are missing between the first and the last", clip)
        images = {
            "image_rate": str(rate_of(facts.fps if facts else str(fps))),
            "images": entry.images,
            "first_image": entry.first,
        }
        yield _row(clip, dataset, _split(entry.path), names[_without_range(clip)] == 1) | {
            "video": clip,
            "url": entry.path,
            "labels": _labels(clip, ({"fps": facts.fps, **facts.rows} if facts else {}) | images),
        }


def _texts(
    meta: Path, odd: Oddities, dataset: str, wanted: Container[str] | None = None
) -> Iterator[tuple[str, Facts, bool]]:
    """Each clip's name, what its text says, and whether its name without the range is its alone; sorted by name.

    Texts of clips that are not `wanted` are not read.
    """
    with Texts(meta) as texts:
        by_clip: dict[str, list[Text]] = {}
        for text in texts.listed:
            if CLIP.fullmatch(text.stem):
                by_clip.setdefault(text.stem, []).append(text)
            elif text.stem.startswith("Clip+"):
                raise ToolFault(f"{texts.where(text)}: the name is not Clip+<id of 11 letters>+P<n>+C<n>+F<n>-<n>.txt")
            else:
                odd.note("the text is no clip's (its name does not begin with Clip+), left out", text.name)
        if not by_clip:
            raise ToolFault(f"{meta} holds no text that is called like Clip+<id>+P0+C1+F1499-1668.txt")
        names = Counter(map(_without_range, by_clip))
        chosen = [clip for clip in sorted(by_clip) if wanted is None or clip in wanted]
        for number, clip in enumerate(chosen):
            first, *more = by_clip[clip]
            for text in more:
                if texts.read(text) != texts.read(first):
                    raise ToolFault(f"{texts.where(text)} and {first.name} are texts of one clip, and differ")
                odd.note("the clip has the same text twice", clip)
            found = texts.lines(first)
            if not number:
                heads = "; ".join(line.text.strip() for line in found if not FRAME.fullmatch(line.value[0]))
                progress.say(f"{dataset}: first of {len(by_clip)} texts, {first.name}: {heads}")
            yield clip, _facts(clip, found, first.name, texts.where(first)), names[_without_range(clip)] == 1


def _facts(clip: str, found: list[Record], name: str, where: Path) -> Facts:
    heads: dict[str, Record] = {}
    frames, heights = [], []
    for line in found:
        if FRAME.fullmatch(line.value[0]):
            if len(line.value) < 6 or not all(NUMBER.fullmatch(field) for field in line.value[1:6]):
                raise line.fault("expected a frame's number, an index, then x, y, width, height of the face")
            frames.append(int(line.value[0]))
            heights.append(float(line.value[5]))
            continue
        head = next((head for head in HEADS if line.value[0].startswith(head)), None)
        if head is None:
            raise line.fault(f"expected a line that begins with {', '.join(HEADS)} or a frame's number")
        if head in heads:
            raise line.fault(f"{head} is already in line {heads[head].line}")
        heads[head] = line
    lacking = [head for head in ("Video", "H", "W", "FPS") if head not in heads]
    if lacking:
        raise ToolFault(f"{where}: no line begins with {lacking[0]}; is the file whole?")

    video = CLIP.fullmatch(clip)[1]
    if _fields(heads["Video"])[-1] != video:
        raise heads["Video"].fault(f"the file's name says video {video!r}")
    window: tuple[str, ...] = ("", "", "", "")
    if "CROP" in heads:
        window = tuple(_fields(heads["CROP"])[-4:])
        if len(_fields(heads["CROP"])) < 5 or not all(NUMBER.fullmatch(edge) for edge in window):
            raise heads["CROP"].fault("expected left, top, right and bottom edge in pixels at its end")
    rows = {"row_frames": [min(frames), max(frames)], "face_px": statistics.median(heights)} if frames else {}
    return Facts(
        _split(name),
        _last(heads["FPS"], NUMBER, 1000, "pictures a second, above 0 and not above 1000"),
        _last(heads["H"], PIXELS, 100000, "a height in whole pixels"),
        _last(heads["W"], PIXELS, 100000, "a width in whole pixels"),
        window,
        {"rows": len(frames), **rows},
    )


def _look_at_window(clip: str, facts: Facts, odd: Oddities) -> None:
    if not facts.window[0]:
        odd.note("the text has no CROP line, so the clip has no window", clip)
        return
    left, top, right, bottom = map(Fraction, facts.window)
    if right <= left or bottom <= top:
        odd.note("the window has its edges the wrong way round; kept as listed", clip)
    elif left < 0 or top < 0 or right > int(facts.width) or bottom > int(facts.height):
        odd.note("the window leaves the frame; kept as listed", clip)


def _row(clip: str, dataset: str, split: str, alone: bool) -> dict:
    video, person = CLIP.fullmatch(clip).group(1, 2)
    return {
        "clip": clip,
        "dataset": dataset,
        "identity": f"{video}+P{person}",
        "split": split,
        "aliases": _without_range(clip) if alone else "",
    }


def _labels(clip: str, more: dict) -> str:
    person, number, first, last = map(int, CLIP.fullmatch(clip).group(2, 3, 4, 5))
    return json.dumps({"person": person, "number": number, "frames": [first, last], **more})


def _without_range(clip: str) -> str:
    return clip[: clip.rindex("+")]


def _split(path: str) -> str:
    return "test" if {part.lower() for part in path.split("/")} & {"test", "vfhq-test"} else "train"


def _fields(line: Record) -> list[str]:
    return line.text.replace(":", " ").split()


def _last(line: Record, form: re.Pattern, largest: int, expected: str) -> str:
    """The last field, a number above 0."""
    text = _fields(line)[-1]
    if not form.fullmatch(text) or not 0 < Fraction(text) <= largest:
        raise line.fault(f"expected {expected}")
    return text
