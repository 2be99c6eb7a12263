"""Draw one picture that shows every crop with its verdict, so that a look tells whether a dataset came out right.

A tile holds the clip's id, its verdict, four frames spread over the clip, its sound as a strip and every reason; the
frame is green (kept), amber (kept with a weight below 1) or red (not kept). Clips without a crop follow as text.
"""

import collections
import contextlib
import io
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import av
import numpy as np
from av.video.reformatter import Interpolation
from PIL import Image, ImageDraw, ImageFont

from talkset import files, glue, progress, shardtar, tables, verdict

Item = TypeVar("Item")

# At most so many tiles of each kind, spread evenly over the ledger: the sheet stays one picture that viewers can open.
CROPS_SHOWN = 120
TEXTS_SHOWN = 120

COLUMNS = 3
FRAMES = 4
FRAME = 128  # side of a frame in a tile, pixels
SEAM = 2  # between frames; this and every length below in pixels too
WIDTH = FRAMES * (FRAME + SEAM) - SEAM  # of a tile's content
SOUND = 36
LINE = 18
REASON_LINES = 3
PAD = 8
GAP = 12

TITLE, TEXT = ImageFont.load_default(24), ImageFont.load_default(14)
PAPER, INK, FAINT, TILE = "#f3f4f6", "#111827", "#6b7280", "#ffffff"
GREEN, AMBER, RED, GREY = "#15803d", "#d97706", "#c81e1e", "#9ca3af"


def main(manifest: Path, crops: list[Path], sheet: Path, *, version: int) -> None:
    """Draw the contact sheet of one dataset.

    Args:
        manifest: the ledger, whose order the sheet follows.
        crops: every crop shard of the dataset.
        sheet: the JPEG to write.
    """
    ledger = list(tables.rows(manifest))
    found = {
        record["clip"]: (shard, record)
        for shard in map(shardtar.Reader, crops)
        for record in shard.records()
        if shard.has(f"{record['clip']}.mp4")
    }
    with_crop = [row for row in ledger if row["clip"] in found]
    without = [row for row in ledger if row["clip"] not in found]
    shown = spread(with_crop, CROPS_SHOWN)
    tiles = [
        crop_tile(row, *found[row["clip"]]) for row in progress.each(shown, len(shown), "draw_contact_sheet", "crops")
    ]
    texts = [text_tile(row) for row in spread(without, TEXTS_SHOWN)]
    ends = collections.Counter(row["status"] for row in ledger)
    parts = [
        banner(manifest.parent.name, ", ".join(f"{count} {end}" for end, count in ends.most_common()), len(ledger)),
        *grid(tiles, heading("with a crop", len(tiles), len(with_crop))),
        *grid(texts, heading("without a crop", len(texts), len(without))),
    ]
    with files.whole(sheet) as partial:
        stack(parts, GAP).save(partial, "JPEG", quality=88, subsampling=0)
    progress.say(f"draw_contact_sheet: {len(tiles)} crops and {len(texts)} texts in {sheet}")


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` items, evenly spread, in order."""
    if len(items) <= most:
        return list(items)
    return [items[at * len(items) // most] for at in range(most)]


def heading(kind: str, shown: int, there: int) -> str:
    return f"{there} {kind}" + (f", {shown} of them shown, evenly spread" if shown < there else "")


def colour(row: dict[str, str]) -> str:
    """The colour that stands for a row's verdict."""
    if row["status"] == "ok":
        return GREEN if float(row["weight"]) == 1 else AMBER
    return RED


def crop_tile(row: dict[str, str], shard: shardtar.Reader, record: dict) -> Image.Image:
    """The tile of a clip that has a crop."""
    samples = sound(shard, record["clip"])
    facts = f"{record['frames'] / record['fps']:.1f} s, {loudness(samples)}"
    reasons = reason_lines(row)
    tile, draw = frame(row, facts, LINE + PAD + FRAME + SOUND + PAD + LINE * len(reasons), colour(row))
    top = PAD + LINE + PAD
    for at, picture in enumerate(pictures(shard, record, FRAMES)):
        tile.paste(picture, (PAD + at * (FRAME + SEAM), top))
    sound_strip(draw, samples, top + FRAME)
    write_lines(draw, reasons, top + FRAME + SOUND + PAD)
    return tile


def text_tile(row: dict[str, str]) -> Image.Image:
    """The tile of a clip that has no crop."""
    reasons = reason_lines(row)
    tile, draw = frame(row, "", LINE * (1 + len(reasons)), RED if row["status"] == "rejected" else GREY)
    write_lines(draw, reasons, PAD + LINE)
    return tile


def frame(row: dict[str, str], facts: str, height: int, edge: str) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """An empty tile with the clip's id, facts about it and its verdict on the first line."""
    tile = Image.new("RGB", (WIDTH + 2 * PAD, height + 2 * PAD), TILE)
    draw = ImageDraw.Draw(tile)
    draw.rectangle((0, 0, tile.width - 1, tile.height - 1), outline=edge, width=4)
    end = row["status"] if row["status"] != "ok" or float(row["weight"]) == 1 else f"ok, weight {row['weight']}"
    room = WIDTH - TEXT.getlength(end) - TEXT.getlength(facts) - 3 * PAD
    name = shortened(row["clip"], room)
    draw.text((PAD, PAD), name, INK, TEXT)
    draw.text((3 * PAD + TEXT.getlength(name), PAD), facts, FAINT, TEXT)
    draw.text((tile.width - PAD, PAD), end, FAINT if edge == GREY else edge, TEXT, anchor="ra")
    return tile, draw


def pictures(shard: shardtar.Reader, record: dict, count: int) -> list[Image.Image]:
    """`count` frames from the middles of that many equal parts of a clip, scaled to `FRAME`."""
    scaled = []
    with (
        contextlib.closing(shard.media(f"{record['clip']}.mp4")) as member,
        av.open(member, format="mp4") as container,
    ):
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        for part in range(count):
            slot = (2 * part + 1) * record["frames"] // (2 * count)
            wanted = (stream.start_time or 0) + round(slot / record["fps"] / stream.time_base)
            container.seek(wanted, stream=stream)
            shown = next(picture for picture in container.decode(stream) if picture.pts >= wanted)
            small = shown.reformat(FRAME, FRAME, "rgb24", interpolation=Interpolation.AREA)
            scaled.append(Image.fromarray(small.to_ndarray()))
    return scaled


def sound(shard: shardtar.Reader, clip: str) -> np.ndarray | None:
    """A clip's samples, -1 to 1; `None` without sound."""
    if not shard.has(f"{clip}.wav"):
        return None
    with wave.open(io.BytesIO(shard.read(f"{clip}.wav"))) as reader:
        return np.frombuffer(reader.readframes(reader.getnframes()), "<i2").astype(np.float64) / 32768


def loudness(samples: np.ndarray | None) -> str:
    """The loudest sample in words, because the strip below the frames is scaled to it."""
    if samples is None:
        return "no sound"
    peak = np.abs(samples).max(initial=0)
    return f"peak {20 * np.log10(peak):.0f} dB" if peak else "silence"


def sound_strip(draw: ImageDraw.ImageDraw, samples: np.ndarray | None, top: int) -> None:
    """The sound below the frames: what its samples span at every pixel, the loudest filling the height."""
    draw.rectangle((PAD, top, PAD + WIDTH - 1, top + SOUND - 1), fill="#eef2ff")
    if samples is None or not samples.any():
        return
    middle, scale = top + SOUND / 2, (SOUND / 2 - 2) / np.abs(samples).max()
    edges = np.linspace(0, len(samples), WIDTH + 1).astype(int)
    for at, (first, last) in enumerate(zip(edges[:-1], edges[1:], strict=True)):
        part = samples[first : max(last, first + 1)]
        draw.line(
            (PAD + at, middle - part.max() * scale, PAD + at, middle - part.min() * scale),
            fill="#4f46e5",
        )


def reason_lines(row: dict[str, str]) -> list[str]:
    """Everything that speaks against a clip, in lines that fit a tile."""
    return wrapped("; ".join(verdict.split(row["reason"])), WIDTH, REASON_LINES)


def wrapped(text: str, width: int, most: int) -> list[str]:
    """`text` in at most `most` lines of `width` pixels; what does not fit ends in an ellipsis."""
    done: list[str] = []
    left = text.split()
    while left and len(done) < most - 1:
        take = 1
        while take < len(left) and TEXT.getlength(" ".join(left[: take + 1])) <= width:
            take += 1
        done.append(shortened(" ".join(left[:take]), width))
        left = left[take:]
    return [*done, shortened(" ".join(left), width)] if left else done


def shortened(text: str, width: float) -> str:
    """`text`, or as much of its beginning as fits `width` pixels with an ellipsis."""
    if TEXT.getlength(text) <= width:
        return text
    while text and TEXT.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..."


def write_lines(draw: ImageDraw.ImageDraw, texts: list[str], top: int) -> None:
    for at, text in enumerate(texts):
        draw.text((PAD, top + at * LINE), text, INK, TEXT)


def banner(name: str, counts: str, total: int) -> Image.Image:
    """The head of the sheet: the dataset, what became of its clips, and what the colours mean."""
    head = Image.new("RGB", (COLUMNS * (WIDTH + 2 * PAD) + (COLUMNS - 1) * GAP, 76), PAPER)
    draw = ImageDraw.Draw(head)
    draw.text((0, 4), name, INK, TITLE)
    draw.text((0, 36), shortened(f"{total} clips: {counts}", head.width), INK, TEXT)
    at = 0
    for edge, meaning in ((GREEN, "kept"), (AMBER, "kept, weight below 1"), (RED, "not kept")):
        draw.rectangle((at, 58, at + 13, 71), outline=edge, width=4)
        draw.text((at + 20, 57), meaning, FAINT, TEXT)
        at += 20 + int(TEXT.getlength(meaning)) + 24
    return head


def grid(tiles: list[Image.Image], title: str) -> list[Image.Image]:
    """A title and rows of tiles; nothing where there are no tiles."""
    if not tiles:
        return []
    head = Image.new("RGB", (COLUMNS * (WIDTH + 2 * PAD), LINE + 4), PAPER)
    ImageDraw.Draw(head).text((0, 2), title, FAINT, TEXT)
    rows = [tiles[at : at + COLUMNS] for at in range(0, len(tiles), COLUMNS)]
    return [head, *(beside(row) for row in rows)]


def beside(row: list[Image.Image]) -> Image.Image:
    joined = Image.new("RGB", (sum(tile.width + GAP for tile in row) - GAP, max(tile.height for tile in row)), PAPER)
    x = 0
    for tile in row:
        joined.paste(tile, (x, 0))
        x += tile.width + GAP
    return joined


def stack(parts: list[Image.Image], margin: int) -> Image.Image:
    """Parts below each other on the sheet's paper."""
    height = sum(part.height + GAP for part in parts) - GAP + 2 * margin
    sheet = Image.new("RGB", (max(part.width for part in parts) + 2 * margin, height), PAPER)
    y = margin
    for part in parts:
        sheet.paste(part, (margin, y))
        y += part.height + GAP
    return sheet


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
