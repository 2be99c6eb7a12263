"""What the chain costs: CPU seconds per second of output, against today's script and the bare limit, in one run.

    make bench                                  ten minutes of 1080p30, five clips early and late in it
    python tests/bench/bench_chain.py --quick   two minutes, three clips

Every step runs in a process of its own with one thread, as the workflow runs it; its CPU time (user and system, with
that of its children) and its largest resident memory are the operating system's own figures. Measured are

talkset      `main` of cut_clips, track_faces and crop_clips with the shipped settings and HDTF's fixed windows
usual        the command of the usual HDTF script, a clip at a time: cut and crop behind a decode of all that comes
             before, x264's defaults, the window's own size, no sound; and what its users then do to train on the
             clip: encode it again at 512x512 and 25 fps, and cut the WAV
limit        ffmpeg alone, a clip at a time, seeking before it decodes: 25 fps, crop, 512x512, the same encoder
             settings, 16 kHz WAV; and mediapipe's face mesh on every frame of the result at 256x256
quality      PSNR of luma against the source's own pixels of the window, the same source frame on both sides; what is
             512x512 against these pixels scaled (bicubic)

The source is made once (about two minutes) and kept beside the results.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
SCRIPTS = REPOSITORY / "scripts"

SIZE, FPS = (1920, 1080), 30
LOOP = 20  # seconds that are rendered and encoded; the source repeats them
WINDOW = (590, 100, 1350, 860)  # the face with its surroundings, as HDTF's annotators cut
SPANS = ((10, 40), (65, 115), (140, 165), (490, 510), (542, 598))  # seconds
QUICK_SPANS = ((10, 20), (50, 60), (100, 115))
SAMPLED = 5  # every so many frames are compared


@dataclass(frozen=True)
class Cost:
    """What processes cost: CPU seconds in all, and the largest resident memory of any, MB."""

    cpu: float
    memory: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.cpu + other.cpu, max(self.memory, other.memory))


# --- steps that run in a process of their own -----------------------------------------------------------------------


def make_source(path: str, seconds: int) -> None:
    """Write the source: the demo's portrait, large and moving, with sensor noise, repeated; speech without end."""
    import av
    import numpy as np

    from talkset import ffmpeg, files
    from talkset.demo import render

    tile = render.Tile((0, 0, *SIZE), middle=(224.0, 136.0), scale=4.0)
    whole = (render.Clip(0, LOOP),)
    shown = render.Source("RD", "Bench", "bench", whole, Fraction(FPS), SIZE, tiles=(tile,), pan=(60, LOOP / 2))
    random = np.random.default_rng(0)
    grain = [random.normal(0, 2.2, (SIZE[1], SIZE[0], 1)).astype(np.int16) for _ in range(6)]
    folder = Path(path).parent
    piece = folder / "piece.mp4"
    with av.open(str(piece), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "medium", "crf": "22"})
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.gop_size = 5 * FPS
        for number in range(LOOP * FPS):
            picture = render.picture(shown, number / FPS).astype(np.int16) + grain[number % len(grain)]
            frame = av.VideoFrame.from_ndarray(np.clip(picture, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with files.whole(path) as partial:
        subprocess.run(
            [
                *(ffmpeg.ffmpeg_executable(), "-v", "error", "-y"),
                *("-stream_loop", "-1", "-i", piece, "-stream_loop", "-1", "-i", render.SPEECH),
                *("-map", "0:v", "-c:v", "copy", "-map", "1:a", "-c:a", "aac", "-ar", "44100", "-b:a", "128k"),
                *("-t", str(seconds), partial),
            ],
            check=True,
        )
    piece.unlink()


def settings_of(path: str) -> None:
    """Write the shipped settings, with HDTF's fixed windows, so that every contender cuts out the same pixels."""
    import yaml

    from talkset import config, files

    schema, models = (
        yaml.safe_load((REPOSITORY / "config" / name).read_text(encoding="utf-8"))
        for name in ("schema/config.schema.yaml", "models.yaml")
    )
    bench = {"adapter": "hdtf", "annotations": "not read here", "crop": {"way": "annotated"}}
    given = {"build": ["bench"], "datasets": {"bench": bench}} | models
    files.write_json(path, config.resolve(given, schema)["datasets"]["bench"])


def shard(folder: str, source: str, spans: list) -> None:
    """Write the list of a shard that has these spans as its clips, and the record that a download would have left."""
    from talkset import files, tables

    window = dict(zip(("x0", "y0", "x1", "y1"), WINDOW, strict=True))
    video = Path(source).stem
    same = {"dataset": "bench", "subset": "RD", "video": video, "box_unit": "pixel"}
    same |= window | {"ref_width": SIZE[0], "ref_height": SIZE[1]}
    rows = [
        same | {"clip": f"RD_Bench_{index:03d}", "start": start, "end": end} for index, (start, end) in enumerate(spans)
    ]
    tables.write(Path(folder, "shard.tsv"), tables.CLIP_COLUMNS, rows)
    record = {"video": video, "status": "ok", "reason": "", "height": SIZE[1], "width": SIZE[0]}
    files.write_json(Path(folder, f"{video}.json"), record)


def cut(folder: str, source: str) -> None:
    import cut_clips

    shard_list, record, clips = (Path(folder, name) for name in ("shard.tsv", f"{Path(source).stem}.json", "clips.tar"))
    cut_clips.main(shard_list, [Path(source)], [record], clips, require_window=True, version=1)


def track(folder: str, settings: dict) -> None:
    import track_faces

    clips, shard_list, tracks = (Path(folder, name) for name in ("clips.tar", "shard.tsv", "tracks.parquet"))
    track_faces.main(clips, shard_list, tracks, settings=settings, version=1)


def crop(folder: str, settings: dict) -> None:
    import crop_clips

    shard_list, clips, tracks, crops = (
        Path(folder, name) for name in ("shard.tsv", "clips.tar", "tracks.parquet", "crops.tar")
    )
    crop_clips.main(shard_list, clips, tracks, crops, settings=settings, version=1)


def mesh(pictures: list[str], answer: str) -> None:
    """Run the face mesh on every frame; `answer` gets the CPU seconds that decoding took, which are not the mesh's."""
    import av
    from mediapipe.python.solutions import face_mesh

    decoding = 0.0
    with face_mesh.FaceMesh(refine_landmarks=True) as model:
        for path in pictures:
            with av.open(path) as container:
                stream = container.streams.video[0]
                stream.codec_context.thread_count = 1
                frames = container.decode(stream)
                while True:
                    began = time.process_time()
                    frame = next(frames, None)
                    decoding += time.process_time() - began
                    if frame is None:
                        break
                    model.process(frame.to_ndarray(width=256, height=256, format="rgb24"))
    Path(answer).write_text(json.dumps(decoding))


def quality(source: str, spans: list, crops: str, usual: list[str], again: list[str], answer: str) -> None:
    """Write the PSNR, dB over all frames compared: of talkset's crops, of the usual script's at their own size, of the
    same scaled to 512x512 without coding, and of the same encoded again.
    """
    import av
    import numpy as np
    from av.video.reformatter import Interpolation

    from talkset import shardtar, timeline

    x0, y0, x1, y1 = WINDOW

    def luma(frame: av.VideoFrame) -> np.ndarray:
        return np.asarray(frame.planes[0]).reshape(-1, frame.planes[0].line_size)[: frame.height, : frame.width]

    def scaled(pixels: np.ndarray) -> np.ndarray:
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="gray")
        return luma(frame.reformat(512, 512, interpolation=Interpolation.BICUBIC)).copy()

    def decoded(container, numbers: set[int], rate: int, first: int = 0):
        """Luma of the frames with these numbers, as they come, from a file that begins with frame `first`'s time."""
        stream = container.streams.video[0]
        container.seek(round(Fraction(first, rate) / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            number = round(frame.pts * stream.time_base * rate)
            if number in numbers:
                yield number, luma(frame).copy()
            if number >= max(numbers):
                return

    errors: dict[str, list[float]] = {"talkset": [], "usual": [], "usual_scaled": [], "usual_again": []}

    def compare(name: str, pixels: np.ndarray, expected: np.ndarray) -> None:
        errors[name].append(float(np.mean((pixels.astype(np.int16) - expected) ** 2.0)))

    shard = shardtar.Reader(crops)
    for index, (start, end) in enumerate(spans):
        slots = timeline.slots(Fraction(start), timeline.frame_count(Fraction(start), Fraction(end)))
        stamps = [Fraction(number, FPS) for number in range(start * FPS, end * FPS)]
        shown = dict(enumerate(timeline.pick_frames(stamps, slots)))  # slot -> source frame after the clip's first
        shown = {slot: number for slot, number in shown.items() if slot % SAMPLED == 0}
        in_source = {start * FPS + number for number in shown.values()}
        with av.open(source) as container:
            truth = {
                number - start * FPS: y[y0:y1, x0:x1] for number, y in decoded(container, in_source, FPS, start * FPS)
            }
        small = {number: scaled(y) for number, y in truth.items()}
        with contextlib.closing(shard.media(f"RD_Bench_{index:03d}.mp4")) as member, av.open(member) as container:
            for slot, y in decoded(container, set(shown), timeline.FPS):
                compare("talkset", y, small[shown[slot]])
        with av.open(usual[index]) as container:
            for number, y in decoded(container, set(truth), FPS):
                compare("usual", y, truth[number])
                compare("usual_scaled", scaled(y), small[number])
        with av.open(again[index]) as container:
            for slot, y in decoded(container, set(shown), timeline.FPS):
                compare("usual_again", y, small[shown[slot]])
    counts = {len(found) for found in errors.values()}
    if len(counts) != 1:
        raise ValueError(f"not the same frames everywhere: {counts}")
    values = {name: 10 * np.log10(255**2 / np.mean(found)) for name, found in errors.items()}
    Path(answer).write_text(json.dumps(values | {"frames": counts.pop()}))


STEPS = {step.__name__: step for step in (make_source, settings_of, shard, cut, track, crop, mesh, quality)}


# --- the measuring process, which stays small: a child's memory figure begins at its parent's ------------------------


def measured(command: list) -> Cost:
    """Run a command to its end and return what it cost.

    Raises:
        SystemExit: it failed.
    """
    with subprocess.Popen([str(word) for word in command]) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"bench: this command failed ({process.returncode}): {' '.join(map(str, command))}")
    return Cost(usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def step(name: str, **arguments) -> Cost:
    """Run one of `STEPS` in a process of its own."""
    return measured([sys.executable, __file__, "--step", name, json.dumps(arguments, default=str)])


def talkset(folder: Path, source: Path, spans: tuple, settings: dict) -> dict[str, Cost]:
    """The chain on one shard with these spans as clips, by stage; the face track also of every source picture."""
    folder.mkdir(parents=True, exist_ok=True)
    step("shard", folder=folder, source=source, spans=spans)
    return {
        "cut_clips": step("cut", folder=folder, source=source),
        "track_faces of all": step("track", folder=folder, settings=settings["track"] | {"rate": 0}),
        "track_faces": step("track", folder=folder, settings=settings["track"]),
        "crop_clips": step("crop", folder=folder, settings=settings["crop"]),
    }


def usual(program: str, source: Path, span: tuple[int, int], output: Path) -> Cost:
    """The usual HDTF script's command for one clip."""
    x0, y0, x1, y1 = WINDOW
    return measured(
        [
            *(program, "-threads", "1", "-i", source, "-strict", "-2", "-loglevel", "quiet", "-qscale", "0", "-y"),
            *("-ss", span[0], "-to", span[1], "-filter:v", f"crop={x1 - x0}:{y1 - y0}:{x0}:{y0}", "-an"),
            *("-threads", "1", output),
        ]
    )


def again(program: str, source: Path, span: tuple[int, int], crop: Path, output: Path) -> Cost:
    """What the usual script's users then do: the size and rate that models want, and the sound."""
    return measured(
        [
            *(program, "-v", "error", "-y", "-threads", "1", "-filter_threads", "1", "-i", crop),
            *("-ss", span[0], "-t", span[1] - span[0], "-i", source),
            *("-map", "0:v", "-vf", "fps=25,scale=512:512", "-threads", "1", output),
            *("-map", "1:a", "-ac", "1", "-ar", "16000", output.with_suffix(".wav")),
        ]
    )


def limit(program: str, source: Path, span: tuple[int, int], output: Path, settings: dict) -> Cost:
    """One ffmpeg pass for one clip, at the same preset, quality and distance of key frames."""
    x0, y0, x1, y1 = WINDOW
    size = settings["size"]
    chain = f"fps=25,crop={x1 - x0}:{y1 - y0}:{x0}:{y0},scale={size}:{size}:flags=bicubic"
    return measured(
        [
            *(program, "-v", "error", "-y", "-threads", "1", "-filter_threads", "1"),
            *("-ss", span[0], "-t", span[1] - span[0], "-i", source),
            *("-map", "0:v", "-vf", chain, "-c:v", "libx264", "-preset", settings["preset"]),
            *("-crf", settings["crf"], "-g", settings["gop"], "-threads", "1", output),
            *("-map", "0:a", "-ac", "1", "-ar", "16000", "-c:a", "pcm_s16le", output.with_suffix(".wav")),
        ]
    )


def once(folder: Path, source: Path, spans: tuple, settings: dict, program: str) -> dict[str, Cost]:
    """Everything once; what each cost, by name."""
    cost = {f"talkset {stage}": spent for stage, spent in talkset(folder, source, spans, settings).items()}
    first = talkset(folder / "first", source, spans[:1], settings)
    cost |= {f"first {stage}": spent for stage, spent in first.items()}

    bare = [folder / f"limit_{index}.mp4" for index in range(len(spans))]
    passes = [limit(program, source, span, path, settings["crop"]) for span, path in zip(spans, bare, strict=True)]
    cost["limit ffmpeg"] = sum(passes, Cost(0, 0))
    answer = folder / "decoding.json"
    faces = step("mesh", pictures=bare, answer=answer)
    cost["limit mesh"] = Cost(faces.cpu - json.loads(answer.read_text()), faces.memory)

    crops = [folder / f"usual_{index}.mp4" for index in range(len(spans))]
    scripts = [usual(program, source, span, path) for span, path in zip(spans, crops, strict=True)]
    cost["usual"] = sum(scripts, Cost(0, 0))
    cost["first usual"] = scripts[0]
    made = [
        again(program, source, span, path, folder / f"again_{index}.mp4")
        for index, (span, path) in enumerate(zip(spans, crops, strict=True))
    ]
    cost["usual again"] = sum(made, cost["usual"])
    return cost


def report(cost: dict[str, Cost], spans: tuple, decibels: dict, facts: list[str]) -> str:
    """The measurements as Markdown."""
    seconds = sum(end - start for start, end in spans)
    alone = spans[0][1] - spans[0][0]
    nothing = cost["talkset cut_clips"] + cost["talkset crop_clips"]
    full = nothing + cost["talkset track_faces"]
    full_of_all = nothing + cost["talkset track_faces of all"]
    first_nothing = cost["first cut_clips"] + cost["first crop_clips"]
    first_full = first_nothing + cost["first track_faces"]
    bare = cost["limit ffmpeg"]
    bare_full = bare + cost["limit mesh"]

    def better(than: str) -> float:
        return decibels["talkset"] - decibels[than]

    def line(name: str, spent: Cost, of: float, least: Cost | None) -> list[str]:
        ratio = f"{spent.cpu / least.cpu:.2f}" if least else ""
        return [name, f"{spent.cpu:.1f}", f"{spent.cpu / of:.3f}", ratio, f"{spent.memory:.0f}"]

    steps = [
        line("limit: ffmpeg, one pass a clip", bare, seconds, bare),
        line("limit: the same and face mesh on the crop", bare_full, seconds, bare_full),
        line("talkset: cut_clips", cost["talkset cut_clips"], seconds, None),
        line("talkset: track_faces", cost["talkset track_faces"], seconds, None),
        line("talkset: track_faces of every source picture", cost["talkset track_faces of all"], seconds, None),
        line("talkset: crop_clips", cost["talkset crop_clips"], seconds, None),
        line("talkset without face track", nothing, seconds, bare),
        line("talkset", full, seconds, bare_full),
        line("talkset, faces in every source picture", full_of_all, seconds, bare_full),
        line("usual HDTF script (no sound, no face track)", cost["usual"], seconds, bare),
        line("the same, then 512x512, 25 fps and WAV", cost["usual again"], seconds, bare),
        line("first clip alone: talkset without face track", first_nothing, alone, None),
        line("first clip alone: talkset", first_full, alone, None),
        line("first clip alone: usual HDTF script", cost["first usual"], alone, None),
    ]
    targets = [
        ("talkset against the limit, both with mesh at 25 a second", full.cpu / bare_full.cpu, "at most", 1.25),
        ("usual script against talkset without face track", cost["usual"].cpu / nothing.cpu, "at least", 5),
        ("usual script against talkset", cost["usual"].cpu / full.cpu, "at least", 3.5),
        ("first clip alone, without face track", cost["first usual"].cpu / first_nothing.cpu, "at least", 2),
        ("PSNR, talkset minus usual script, each at its size, dB", better("usual"), "at least", 0),
        ("PSNR, talkset minus usual script then 512x512, dB", better("usual_again"), "at least", 0),
        ("largest memory of a stage, GB", full.memory / 1024, "at most", 1.5),
    ]
    return "\n".join(
        [
            "# What the chain costs",
            "",
            *(f"- {fact}" for fact in facts),
            "",
            *table(["step", "CPU s", "CPU s per s of output", "against the limit", "memory, MB"], steps),
            "",
            *table(
                ["target", "measured", "wanted", "met"],
                [
                    [name, f"{found:.2f}", f"{side} {value}", "yes" if holds(found, side, value) else "no"]
                    for name, found, side, value in targets
                ],
            ),
            "",
            f"PSNR of luma over {decibels['frames']} frames: talkset {decibels['talkset']:.2f} dB; usual script "
            f"{decibels['usual']:.2f} dB at its own size, {decibels['usual_scaled']:.2f} dB scaled to 512x512 without "
            f"coding, {decibels['usual_again']:.2f} dB encoded at 512x512.",
            "",
        ]
    )


def holds(found: float, side: str, value: float) -> bool:
    return found <= value if side == "at most" else found >= value


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table that is one for the eye too."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in (head, *rows)]
    lines.insert(1, ["-" * width for width in widths])
    return ["| " + " | ".join(line) + " |" for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a two-minute source and three clips")
    parser.add_argument("--repeat", type=int, default=1, help="run everything so often and take medians (default 1)")
    parser.add_argument("--folder", type=Path, default=Path("results/bench"), help="default: results/bench")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        sys.path.insert(0, str(SCRIPTS))
        STEPS[asked.step[0]](**json.loads(asked.step[1]))
        return

    spans, seconds = (QUICK_SPANS, 120) if asked.quick else (SPANS, 600)
    folder = asked.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    source = folder / f"source_{seconds}s.mp4"
    if not source.exists():
        print(f"bench: making {source} (about two minutes, once)", flush=True)
        step("make_source", path=source, seconds=seconds)
    step("settings_of", path=folder / "settings.json")
    settings = json.loads((folder / "settings.json").read_text())
    sys.path.insert(0, str(SCRIPTS))
    from talkset.ffmpeg import ffmpeg_executable

    program = ffmpeg_executable()
    work = folder / ("quick" if asked.quick else "full")
    runs = []
    for number in range(asked.repeat):
        print(f"bench: run {number + 1} of {asked.repeat} in {work}", flush=True)
        runs.append(once(work, source, spans, settings, program))
    cost = {
        name: Cost(statistics.median(run[name].cpu for run in runs), max(run[name].memory for run in runs))
        for name in runs[0]
    }
    answer = work / "psnr.json"
    crops, natives = work / "crops.tar", [work / f"usual_{index}.mp4" for index in range(len(spans))]
    made = [work / f"again_{index}.mp4" for index in range(len(spans))]
    step("quality", source=source, spans=spans, crops=crops, usual=natives, again=made, answer=answer)
    text = report(cost, spans, json.loads(answer.read_text()), facts(program, seconds, spans, asked.repeat, settings))
    print(text)
    written = folder / ("bench_quick.md" if asked.quick else "bench.md")
    written.write_text(text, encoding="utf-8")
    print(f"bench: written to {written}")


def facts(program: str, seconds: int, spans: tuple, repeat: int, settings: dict) -> list[str]:
    """Under what conditions the figures hold."""
    version = subprocess.run([program, "-version"], capture_output=True, text=True, check=True).stdout.split()[2]
    return [
        f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, one thread a process, "
        f"Python {platform.python_version()}, ffmpeg {version}; runs: {repeat}, medians",
        f"source of {seconds} s, {SIZE[0]}x{SIZE[1]}, {FPS} frames/s; clips (s) "
        + ", ".join(f"{start}-{end}" for start, end in spans)
        + ("" if seconds == 600 else "; the targets below are those of the ten-minute source"),
        f"libx264 {settings['crop']['preset']}, crf {settings['crop']['crf']}, {settings['crop']['size']} pixels",
    ]


if __name__ == "__main__":
    main()
