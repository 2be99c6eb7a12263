"""Extract one modality from the kept clips of one shard."""

import re
from dataclasses import asdict
from pathlib import Path

import talkset
from talkset import clipdata, featurestore, glue, progress, registry, tables
from talkset.faults import ClipFault


def main(
    filtered: Path, crops: Path, tracks: Path, features: Path, *, modality: str, options: dict, version: int | list[int]
) -> None:
    """Write the arrays of every kept clip; a clip that cannot have them is named in the metadata with the reason.

    Args:
        filtered: the shard's verdicts; rows with `keep` 1 get features.
        crops: the shard's crops.
        tracks: the shard's face tracks.
        features: the `.safetensors` file, see `talkset.featurestore`.
        modality: name of the plug-in.
        options: its options, complete.
        version: of this step and of the plug-in, so that Snakemake sees a change of either.

    Raises:
        ValueError: the plug-in's arrays are not those that it declares: a defect of the plug-in.
    """
    plugin = registry.load("features", modality)
    kept = [row["clip"] for row in tables.rows(filtered) if row["keep"] == "1"]
    by_clip = {clip.clip: clip for clip in clipdata.read(crops, tracks)}
    metadata = {
        "talkset": talkset.__version__,
        "modality": plugin.SPEC.name,
        "version": str(plugin.SPEC.version),
        "options": options,
        "model": plugin.SPEC.model,
        "revision": plugin.SPEC.revision,
        "arrays": {array.name: asdict(array) for array in plugin.SPEC.arrays},
    }
    model = plugin.load(options) if kept else None
    with featurestore.Writer(features, metadata) as store:
        for clip in progress.each(kept, len(kept), modality):
            try:
                arrays = plugin.extract(model, by_clip[clip], options)
            except ClipFault as fault:
                store.miss(clip, fault.reason)
                continue
            check(clip, by_clip[clip].frames, arrays, plugin.SPEC.arrays)
            store.add(clip, {array.name: arrays[array.name] for array in plugin.SPEC.arrays})
    progress.say(f"{modality}: {len(kept)} kept clips in {features}")


def check(clip: str, frames: int, arrays: dict, declared: tuple[registry.ArraySpec, ...]) -> None:
    """Hold one clip's arrays against what the plug-in declares.

    Args:
        clip: the clip's id, for the error.
        frames: `T`.
        arrays: what `extract` returned, by name.
        declared: the plug-in's `SPEC.arrays`.

    Raises:
        ValueError: names clip, array, and both types or shapes.
    """
    names = [array.name for array in declared]
    if sorted(arrays) != sorted(names):
        raise ValueError(f"{clip}: arrays {sorted(arrays)}, declared {sorted(names)}")
    for array in declared:
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
