"""Put every score of every clip of one shard into one table, measuring those that need no model. Drops nothing."""

from pathlib import Path

import cv2

from talkset import clipdata, glue, progress, shardtar, tables, verdict
from talkset import quality as scoring
from talkset.faults import ToolFault

COLUMNS = (
    "clip",
    "status",  # a key of faults.STATUSES
    "reason",  # why the clip ended; or, while it goes on, why a model score has no value
    "stage",  # where the clip ended; empty while it has not
)


def main(
    clips: Path,
    tracks: Path,
    crops: Path,
    scores: list[Path],
    shard_list: Path,
    quality: Path,
    *,
    names: list[str],
    settings: dict,
    version: int,
) -> None:
    """Write one row per row of `shard_list`, in its order. Clips that ended before have no scores.

    Args:
        clips: clip shard.
        tracks: face tracks of the shard.
        crops: crop shard.
        scores: one table per model score.
        shard_list: clip table rows of the shard.
        quality: the table.
        names: of the model scores, in the order of `scores`.
        settings: `blur_size` (pixels), `blur_rate` (frames a second), `cut_threshold`, `rival` (part of a side).

    Raises:
        ToolFault: an input lacks a clip of the shard, or two scores have a column in common.
    """
    cv2.setNumThreads(1)
    listed = list(tables.rows(shard_list))
    cut = {record["clip"]: record for record in shardtar.Reader(clips).records()}
    cropped = {clip.clip: clip for clip in clipdata.read(crops, tracks)}
    scored = [{row["clip"]: row for row in tables.rows(path)} for path in scores]
    for path, there in ((clips, cut), (crops, cropped), *zip(scores, scored, strict=True)):
        tables.all_there(path, there, (row["clip"] for row in listed), shard_list)
    by_name = dict(zip(names, scored, strict=True))
    columns = _columns(by_name)
    table = []
    for row in progress.each(listed, len(listed), "measure_quality"):
        clip = cropped[row["clip"]]
        status = {"clip": clip.clip} | {key: clip.record.get(key) for key in ("status", "reason", "stage")}
        if status["status"] == "ok":
            found = measure(clip, cut[clip.clip], settings)
            unscored = []
            for name, rows in by_name.items():
                found |= rows[clip.clip]
                unscored += [f"{name}: {rows[clip.clip]['reason']}"] if rows[clip.clip]["reason"] else []
            status |= {"reason": verdict.join(unscored), "stage": ""}
            table.append({name: tables.cell(value) for name, value in (found | status).items()})
        else:
            table.append(status)
    tables.write(quality, columns, table)


def measure(clip: clipdata.CropClip, cut: dict, settings: dict) -> dict:
    """All of `quality.SCORES` for one cropped clip that have a value.

    Args:
        clip: the crop.
        cut: the clip's record in the clip shard.
        settings: as for `main`.
    """
    record = clip.record
    return (
        scoring.media(cut, record)
        | scoring.faces(clip.faces(), record["face"], record["window"], settings["rival"])
        | scoring.pictures(clip.pictures("rgb24"), clip.track().box, record["fps"], settings)
    )


def _columns(by_name: dict[str, dict[str, dict]]) -> list[str]:
    """The table's columns: those of every clip, own scores, then those of each model score."""
    columns = [*COLUMNS, *(column.name for column in scoring.SCORES)]
    for name, rows in by_name.items():
        own = [column for column in next(iter(rows.values())) if column not in COLUMNS]
        twice = [column for column in own if column in columns]
        if twice:
            raise ToolFault(f"scores: {name}: another score has a column {twice[0]!r} too; one must be renamed")
        columns += own
    return columns


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
