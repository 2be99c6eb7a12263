"""Let one model score every clip of one shard. A score drops no clip."""

from pathlib import Path

from talkset import clipdata, glue, progress, registry, tables
from talkset.faults import ClipFault

COLUMNS = (
    "clip",
    "status",  # of the crop (a key of faults.STATUSES): what was not cropped is not scored
    "reason",  # why the clip ended before, or why this score has no value for it
)


def main(crops: Path, tracks: Path, scores: Path, *, score: str, options: dict, version) -> None:
    """Write the columns of one score plug-in for every clip of the shard, in the shard's order.

    Args:
        crops: crop shard.
        tracks: face tracks of the same shard.
        scores: the table.
        score: name of the plug-in.
        options: its options, complete.

    Raises:
        ValueError: the plug-in gave other columns than its SPEC says.
    """
    plugin = registry.load("scores", score)
    columns = [column.name for column in plugin.SPEC.columns]
    clips = list(clipdata.read(crops, tracks))
    model = plugin.load(options) if any(clip.record["status"] == "ok" for clip in clips) else None
    table = []
    for clip in progress.each(clips, len(clips), f"score {score}"):
        row = {"clip": clip.clip, "status": clip.record["status"], "reason": clip.record.get("reason", "")}
        if row["status"] == "ok":
            try:
                found = plugin.score(model, clip, options)
            except ClipFault as fault:
                row["reason"] = fault.reason
            else:
                if set(found) != set(columns):
                    raise ValueError(f"score {score}: gave {sorted(found)}, its SPEC says {sorted(columns)}")
                row |= {name: tables.cell(value) for name, value in found.items()}
        table.append(row)
    tables.write(scores, (*COLUMNS, *columns), table)


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
