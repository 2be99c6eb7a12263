"""Shift the sound of one shard's crops to the lips, by the offsets that were measured on them."""

from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from talkset import files, glue, progress, shardtar, sound, tables
from talkset.timeline import RATE


def main(uncorrected: Path, clips: Path, scores: Path, shard_list: Path, crops: Path, *, version: int) -> None:
    """Write the crop shard anew: pictures as they are, the sound of each clip that has a `sync_error_ms` shifted.

    The shifted sound is taken from the clip shard, which holds half a second more of it on both sides; where there is
    none it is silence, counted in `sound_missing_s`. A corrected clip's record holds `sync`: `offset_ms` (by how much
    the sound came before the lips; below 0: after them), `shifted_samples` (at 16 kHz, by how many it is later than the
    source has it; below 0: earlier), `confidence`, and `weights` (of the model that measured these). It is `null` for
    clips that stay as they are: the offset is 0, or not known.

    Args:
        uncorrected: crop shard as `crop_clips` writes it.
        clips: clip shard.
        scores: the score `sync` of `uncorrected`.
        shard_list: clip table rows of the shard.
        crops: the crop shard.
        version: of this step.

    Raises:
        ToolFault: an input lacks a clip of the list.
        OSError: the disk is full or broken.
    """
    shard, source = shardtar.Reader(uncorrected), shardtar.Reader(clips)
    cropped = {record["clip"]: record for record in shard.records()}
    cut = {record["clip"]: record for record in source.records()}
    measured = {row["clip"]: row for row in tables.rows(scores)}
    listed = [row["clip"] for row in tables.rows(shard_list)]
    for path, there in ((uncorrected, cropped), (clips, cut), (scores, measured)):
        tables.all_there(path, there, listed, shard_list)
    with files.scratch(crops) as scratch, shardtar.Writer(crops) as out:
        for clip in progress.each(listed, len(listed), "correct_sync"):
            media = [name for name in (f"{clip}.mp4", f"{clip}.wav") if shard.has(name)]
            made = {name.rpartition(".")[2]: shard.read(name) for name in media}
            changed = {}
            if measured[clip]["sync_error_ms"] not in ("", "0"):
                made["wav"] = scratch / "sound.wav"
                with closing(source.media(f"{clip}.{cut[clip]['media']}")) as file:
                    changed = _shift(made["wav"], file, cut[clip], cropped[clip]["frames"], measured[clip])
            out.add(clip, cropped[clip] | changed, made)


def _shift(path: Path, file: BinaryIO, cut: dict, frames: int, measured: dict[str, str]) -> dict:
    """Write a clip's sound where its lips are; what changes in the crop's record."""
    offset_ms = int(measured["sync_offset_ms"])
    heard = sound.write_wav(path, file, cut, frames, delay=Fraction(offset_ms, 1000))
    return {
        "sound_missing_s": heard["missing_s"],
        "pcm_sha256": heard["sha256"],
        "sync": {
            "offset_ms": offset_ms,
            "shifted_samples": offset_ms * RATE // 1000,
            "confidence": float(measured["sync_confidence"]),
            "weights": measured["sync_weights"],
        },
    }


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
