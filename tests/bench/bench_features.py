"""How fast features and scores with models go through a shard, and how much of the time the device waits for data.

    make bench-features                                            tiny models, a short shard
    python tests/bench/bench_features.py --size real               the published sizes with random weights
    python tests/bench/bench_features.py --size real --clips 32 --seconds 10 --only video_latents

Measured is each plug-in that names models, in a process of its own, as a job runs it: its default options, decode from
the crop shard, results written where they are arrays. Columns:

load      seconds to import what it needs and to load its models
frames/s  frames of the shard by seconds from the first clip asked for to the last result; in a second go
realtime  seconds of picture and sound that it gets through in a second
waits     share of these seconds in which the device is not in the model
of bare   seconds of the model alone on the same batches, lying in the device's memory, by these seconds
memory    largest resident memory of the process, MB (not the GPU's)

Real sizes are the published architectures (from the class's config or the keys and shapes in tests/golden); their
weights are random, so only the time means anything. The crop shard is made once and kept beside the results.
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import platform
import resource
import subprocess
import sys
import time
from fractions import Fraction
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
TESTS = REPOSITORY / "tests"
SIDE, FPS = 512, 25
TARGET = 0.9  # of the bare model, on a GPU
KEPT = 4 << 30  # bytes of batches that are kept for the bare model
HEAD = ["plug-in", "models", "load, s", "frames/s", "realtime", "waits", "of bare", "memory, MB"]
BARE = 5  # seconds that it runs at least


# --- steps that run in a process of their own -----------------------------------------------------------------------


def make_shard(folder: str, clips: int, seconds: float) -> None:
    """Write `crops.tar` and `tracks.parquet`: the demo's portrait, moving and talking, the same in each clip."""
    import av
    import numpy as np
    from unit import planted

    from talkset import faces, shardtar, tracks
    from talkset.demo import render

    tile = render.Tile((0, 0, SIDE, SIDE), middle=(224.0, 136.0), scale=2.4)
    whole = (render.Clip(0, seconds),)
    source = render.Source("RD", "Bench", "bench", whole, Fraction(FPS), (SIDE, SIDE), tiles=(tile,), pan=(20, 3.0))
    count = round(seconds * FPS)
    pictures = [render.picture(source, number / FPS) for number in range(count)]
    rate, speech = render.speech()
    at = np.arange(count * 640) * rate // 16000
    media = {"mp4": planted.mp4(pictures), "wav": planted.wav(speech[at % len(speech)] / 32768)}

    finder = faces.FaceFinder({"detect_rate": 2, "min_score": 0.5, "smallest_face": 0.03})
    found = []
    for number, picture in enumerate(pictures):
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(format="yuv420p")
        found.append((number, Fraction(number, FPS), finder.find(frame, Fraction(number, FPS))))
    record = {"frames": count, "size": SIDE, "window": [0, 0, SIDE, SIDE], "window_px": SIDE}
    names = [f"RD_Bench_{number:03d}" for number in range(clips)]
    with shardtar.Writer(Path(folder, "crops.tar")) as shard, tracks.Writer(Path(folder, "tracks.parquet")) as out:
        for name in names:
            shard.add(name, planted.crop_record(name, **record), media)
            out.add({"clip": name, "status": "ok", "reason": ""}, found)


def make_models(folder: str, size: str, names: list[str]) -> None:
    """Make those of the models that are not there yet, each in its folder."""
    from talkset import files, models
    from talkset.demo import models as tiny

    if size == "tiny":
        tiny.make(Path(folder))
        return
    for name in names:
        place = Path(folder, name)
        if name in REAL and not (place / models.RECORD).is_file():
            print(f"bench: making {name} in its real size", flush=True)
            with files.scratch(place) as making:
                REAL[name](making)
                models.write_record(making, id=f"random-real/{name}", revision="", weights=models.TINY)
                making.rename(place)


def measure(kind: str, name: str, folder: str, models: dict[str, str], answer: str) -> None:
    """Run one plug-in over the shard and write what it took."""
    began = time.perf_counter()
    from talkset import clipdata, featurestore, inference, perclip, registry
    from talkset import models as pinned

    plugin = registry.load(kind, name)
    options = default_options(plugin.SPEC)
    given = {}
    for key, place in models.items():
        record = pinned.read_record(Path(place))
        given[key] = pinned.Model(options[key], record["id"], record["revision"], record["weights"], Path(place))
    model = plugin.load(options, given)
    device = inference.device()
    wait(device)
    load = time.perf_counter() - began

    runs: list[tuple] = []  # of the warm-up: the model and its batches, for each call of `batched`
    figures: list[inference.Figures] = []
    inference.report = figures.append
    batched = inference.batched

    def watched(clips, items, run, **settings):
        batches = []
        runs.append((run, batches))

        def kept(batch):
            if sum(one.nbytes for one in batches) < KEPT:
                batches.append(batch.clone())
            return run(batch)

        return batched(clips, items, kept, **settings)

    def through(clips: list) -> tuple[float, int]:
        """Seconds for these clips, and how many had no result."""
        function = plugin.extract if kind == "features" else plugin.score
        start, faults = time.perf_counter(), 0
        results = perclip.in_step(clips, lambda given: function(model, given, options))
        with featurestore.Writer(Path(folder, f"{name}.safetensors"), {}, [clip.clip for clip in clips]) as store:
            for clip, found in results:
                if isinstance(found, Exception) or kind == "scores":
                    faults += isinstance(found, Exception)
                    store.miss(clip.clip, "")
                else:
                    store.add(clip.clip, found)
        return time.perf_counter() - start, faults

    clips = list(clipdata.read(Path(folder, "crops.tar"), Path(folder, "tracks.parquet")))
    inference.batched = watched
    through(clips)
    inference.batched = batched
    bare = [seconds_an_item(run, batches, device) for run, batches in runs]
    runs.clear()
    figures.clear()
    seconds, faults = through(clips)
    frames = sum(clip.frames for clip in clips)
    found = {
        "load": load,
        "frames_s": frames / seconds,
        "faults": faults,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }
    if figures:
        found["waits"] = max(0.0, 1 - sum(run.busy for run in figures) / seconds)
        found["of_bare"] = sum(run.items * each for run, each in zip(figures, bare, strict=True)) / seconds
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


def default_options(spec) -> dict:
    return {key: option["default"] for key, option in spec.options["properties"].items()}


def seconds_an_item(run, batches: list, device) -> float:
    """Seconds that the model alone takes for an item; it goes over the batches until `BARE` seconds have passed."""
    import torch

    if not batches:
        return 0.0
    items, start = 0, time.perf_counter()
    with torch.inference_mode():
        for number in itertools.count():
            batch = batches[number % len(batches)]
            run(batch)
            items += len(batch)
            if number % 8 == 7 or number == len(batches) - 1:  # seldom, so that a GPU always has work
                wait(device)
                if time.perf_counter() - start > BARE:
                    return (time.perf_counter() - start) / items


def wait(device) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize(device)


def facts(answer: str) -> None:
    """Write on what the figures hold."""
    import torch

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    device = f"GPU {gpu}" if gpu else f"no GPU: CPU, {os.cpu_count()} cores"
    text = f"{datetime.date.today()}, {platform.machine()}, {device}, torch {torch.__version__}"
    Path(answer).write_text(json.dumps({"gpu": gpu, "text": text}), encoding="utf-8")


def plugins(answer: str) -> None:
    """Write every plug-in that names models, with the models of its default options."""
    from talkset import registry

    found = []
    for kind in ("features", "scores"):
        for name in registry.names(kind):
            spec = registry.load(kind, name).SPEC
            options = default_options(spec)
            models = {key: options[key] for key in spec.models if options[key] is not None}
            if models:
                found.append({"kind": kind, "name": name, "models": models})
    Path(answer).write_text(json.dumps(found), encoding="utf-8")


# --- models of the published sizes ------------------------------------------------------------------------------------


def image_vae(folder: Path) -> None:
    import diffusers

    diffusers.AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 4,
        up_block_types=["UpDecoderBlock2D"] * 4,
        block_out_channels=[128, 256, 512, 512],
        layers_per_block=2,
    ).save_pretrained(folder)


def video_vae(folder: Path) -> None:
    import diffusers

    diffusers.AutoencoderKLWan().save_pretrained(folder)


def speech_model(folder: Path) -> None:
    import torch
    from transformers import HubertConfig, HubertForCTC

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
    layers = {"conv_bias": True, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    config = HubertConfig(architectures=["HubertForCTC"], **sizes, **layers)
    config.save_pretrained(folder)
    torch.save(HubertForCTC(config).state_dict(), folder / "pytorch_model.bin")


def picture_model(folder: Path) -> None:
    from transformers import Dinov2Config, Dinov2Model

    sizes = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16}
    Dinov2Model(Dinov2Config(patch_size=14, image_size=518, **sizes)).save_pretrained(folder)


def face_parser(folder: Path) -> None:
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    from talkset.demo.tiny.face_parsing import CLASSES

    config = SegformerConfig(
        hidden_sizes=[64, 128, 320, 512],
        depths=[3, 6, 40, 3],
        decoder_hidden_size=768,
        id2label=dict(enumerate(CLASSES)),
        label2id={name: number for number, name in enumerate(CLASSES)},
    )
    SegformerForSemanticSegmentation(config).save_pretrained(folder)


def motion_extractor(folder: Path) -> None:
    import torch

    torch.save(published("liveportrait"), folder / "motion_extractor.pth")


def lip_reader(folder: Path) -> None:
    import torch

    torch.save(published("syncnet"), folder / "syncnet_v2.model")


def flame_encoders(folder: Path) -> None:
    """The tiny one's files with the published shapes."""
    import torch

    from talkset.demo.tiny import emoca_v2

    emoca_v2.make(folder)
    torch.save({"state_dict": published("emoca")}, folder / emoca_v2.CHECKPOINT)


def published(net: str) -> dict:
    """Seeded random weights under the published names and in the published shapes."""
    import golden_weights

    return golden_weights.state(json.loads((TESTS / "golden" / f"{net}_keys.json").read_text(encoding="utf-8")))


REAL = {
    "sd-vae-ft-mse": image_vae,
    "wan2.1-vae": video_vae,
    "hubert-large-ls960-ft": speech_model,
    "dinov2-large": picture_model,
    "face-parsing": face_parser,
    "liveportrait-motion-extractor": motion_extractor,
    "syncnet-v2": lip_reader,
    "emoca-v2": flame_encoders,
}

STEPS = {step.__name__: step for step in (make_shard, make_models, measure, facts, plugins)}


# --- the process that asks --------------------------------------------------------------------------------------------


def step(what: str, **arguments) -> bool:
    """Run one of `STEPS` in a process of its own; whether it succeeded."""
    command = [sys.executable, __file__, "--step", what, json.dumps(arguments, default=str)]
    return subprocess.run(command).returncode == 0


def ask(what: str, place: Path, **arguments):
    """What one of `STEPS` writes, or `None` if it failed."""
    answer = place / "answer.json"
    return json.loads(answer.read_text()) if step(what, answer=answer, **arguments) else None


def row(plugin: dict, found: dict | None) -> list[str]:
    name, models = plugin["name"], ", ".join(plugin["models"].values())
    if found is None:
        return [name, models, "failed", *[""] * (len(HEAD) - 3)]
    cells = [f"{found['load']:.1f}", f"{found['frames_s']:.1f}", f"{found['frames_s'] / FPS:.2f}"]
    shares = [f"{found[key]:.2f}" if key in found else "" for key in ("waits", "of_bare")]
    name += f" ({found['faults']} clips without)" if found["faults"] else ""
    return [name, models, *cells, *shares, f"{found['memory']:.0f}"]


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """A Markdown table that is one for the eye too."""
    widths = [max(len(line[column]) for line in (head, *rows)) for column in range(len(head))]
    lines = [[cell.ljust(width) for cell, width in zip(line, widths, strict=True)] for line in (head, *rows)]
    lines.insert(1, ["-" * width for width in widths])
    return ["| " + " | ".join(line) + " |" for line in lines]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=("tiny", "real"), default="tiny", help="of the models (default tiny)")
    parser.add_argument("--clips", type=int, default=3, help="clips in the shard (default 3)")
    parser.add_argument("--seconds", type=float, default=2, help="length of a clip (default 2)")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these plug-ins (default: all with models)")
    parser.add_argument("--folder", type=Path, default=Path("results/bench"), help="default: results/bench")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.step:
        sys.path[:0] = [str(REPOSITORY / "scripts"), str(TESTS)]
        STEPS[asked.step[0]](**json.loads(asked.step[1]))
        return

    folder = asked.folder.resolve()
    shard = folder / f"features_{asked.clips}x{asked.seconds:g}s"
    shard.mkdir(parents=True, exist_ok=True)
    if not (shard / "crops.tar").is_file() and not step(
        "make_shard", folder=shard, clips=asked.clips, seconds=asked.seconds
    ):
        sys.exit("bench: the shard could not be made")
    wanted = [plugin for plugin in ask("plugins", shard) if not asked.only or plugin["name"] in asked.only]
    place = folder / f"models_{asked.size}"
    step(
        "make_models", folder=place, size=asked.size, names=[name for one in wanted for name in one["models"].values()]
    )
    rows = []
    for plugin in wanted:
        models = {key: place / name for key, name in plugin["models"].items()}
        if all(path.is_dir() for path in models.values()):
            found = ask("measure", shard, kind=plugin["kind"], name=plugin["name"], folder=shard, models=models)
            rows.append(row(plugin, found))
        else:
            lacks = [
                name for name, path in zip(plugin["models"].values(), models.values(), strict=True) if not path.is_dir()
            ]
            rows.append([plugin["name"], ", ".join(lacks), f"no {asked.size} one", *[""] * (len(HEAD) - 3)])
        print(" | ".join(rows[-1]), flush=True)
    about = ask("facts", shard)
    text = "\n".join(
        [
            "# How fast features and scores are",
            "",
            f"- {about['text']}",
            f"- {asked.size} models, random weights; {asked.clips} clips of {asked.seconds:g} s, {SIDE}x{SIDE} pixels",
            f"- target on a GPU: at least {TARGET} of the bare model" + ("" if about["gpu"] else "; this is no GPU"),
            "",
            *table(HEAD, rows),
            "",
        ]
    )
    print(text)
    written = folder / f"features_{asked.size}.md"
    written.write_text(text, encoding="utf-8")
    print(f"bench: written to {written}")


if __name__ == "__main__":
    main()
