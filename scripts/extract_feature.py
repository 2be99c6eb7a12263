"""Extract one modality from the kept clips of one shard."""

import contextlib
import re
from dataclasses import asdict, replace
from pathlib import Path

import talkset
from talkset import clipdata, featurestore, glue, perclip, progress, registry, tables
from talkset import models as pinned
from talkset.faults import ClipFault


def main(
    filtered: Path,
    crops: Path,
    tracks: Path,
    models: list[Path],
    features: Path,
    *,
    modality: str,
    options: dict,
    weights: dict,
    version: list[int],
) -> None:
    """Write the arrays of every kept clip; a clip that cannot have them is named in the metadata with the reason.

    Clips that an interrupted job has finished are not done again.

    Args:
        filtered: the shard's verdicts; rows with `keep` 1 get features.
        crops: the shard's crops.
        tracks: the shard's face tracks.
        models: the files of the plug-in's models.
        features: the `.safetensors` file, see `talkset.featurestore`.
        modality: name of the plug-in.
        options: its options, complete.
        weights: what these models are, see `talkset.models.given`.
        version: of this step and of the plug-in, so that Snakemake sees a change of either.

    Raises:
        ValueError: the plug-in's clips or arrays are not those that it declares: a defect of the plug-in.
    """
    plugin = registry.load("features", modality)
    kept = [row["clip"] for row in tables.rows(filtered) if row["keep"] == "1"]
    cropped = {clip.clip: clip for clip in clipdata.read(crops, tracks)}
    given = pinned.given(weights, models)
    arrays = declared(plugin.SPEC.arrays, options)
    metadata = {
        "talkset": talkset.__version__,
        "modality": plugin.SPEC.name,
        "version": str(plugin.SPEC.version),
        "step_version": str(version[0]),
        "options": options,
        "models": {key: pinned.provenance(model) for key, model in given.items()},
        "weights": pinned.kind(given.values()),
        "arrays": {array.name: asdict(array) for array in arrays},
    }
    model = plugin.load(options, given) if kept else None
    if kept and hasattr(plugin, "describe"):
        metadata |= plugin.describe(model, options)
    with featurestore.Writer(features, metadata, kept, inputs=(crops, tracks)) as store:
        todo = [cropped[clip] for clip in store.left]
        if len(todo) < len(kept):
            progress.say(f"{modality}: {len(kept) - len(todo)} of {len(kept)} clips were done before")
        found = perclip.in_step(todo, lambda clips: plugin.extract(model, clips, options))
        with contextlib.closing(found):
            for clip, result in progress.each(found, len(todo), modality):
                if isinstance(result, ClipFault):
                    store.miss(clip.clip, result.reason)
                else:
                    check(clip.clip, clip.frames, result, arrays)
                    store.add(clip.clip, {array.name: result[array.name] for array in arrays})
    progress.say(f"{modality}: {len(kept)} kept clips in {features}")
    if metadata["weights"] == pinned.TINY:
        progress.say(f"{modality}: weights are {pinned.TINY}: the arrays have the right shapes and mean nothing")


def declared(arrays: tuple[registry.ArraySpec, ...], options: dict) -> tuple[registry.ArraySpec, ...]:
    """The plug-in's arrays with these options: where several types are declared, the option `dtype` names one."""
    return tuple(replace(array, dtype=options["dtype"]) if "|" in array.dtype else array for array in arrays)


def check(clip: str, frames: int, arrays: dict, expected: tuple[registry.ArraySpec, ...]) -> None:
    """Hold one clip's arrays against what the plug-in declares.

    Args:
        clip: the clip's id, for the error.
        frames: `T`.
        arrays: what `extract` gave, by name.
        expected: the plug-in's arrays with its options.

    Raises:
        ValueError: names clip, array, and both types or shapes.
    """
    names = [array.name for array in expected]
    if sorted(arrays) != sorted(names):
        raise ValueError(f"{clip}: arrays {sorted(arrays)}, declared {sorted(names)}")
    for array in expected:
        found = arrays[array.name]
        if found.dtype.name != array.dtype:
            raise ValueError(f"{clip}/{array.name}: type {found.dtype.name}, declared {array.dtype}")
        if not fits(found.shape, array.shape, frames):
            shape = list(found.shape)
            raise ValueError(f"{clip}/{array.name}: shape {shape}, declared {array.shape} with T = {frames}")


def fits(shape: tuple[int, ...], declared: str, frames: int) -> bool:
    """Whether a shape is the declared one, e.g. `[2T,768]`, where `T` is `frames` and any other name any length."""
    sizes = declared.strip("[]").split(",")
    if len(sizes) != len(shape):
        return False
    for length, size in zip(shape, sizes, strict=True):
        multiple = re.fullmatch(r"(\d*)T", size)
        if multiple:
            size = str(int(multiple[1] or 1) * frames)
        if size.isdigit() and int(size) != length:
            return False
    return True


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
