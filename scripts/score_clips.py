"""Let one model score every clip of one shard. A score drops no clip."""

import contextlib
from pathlib import Path

from talkset import clipdata, glue, perclip, progress, registry, tables
from talkset import models as pinned
from talkset.faults import ClipFault

COLUMNS = (
    "clip",
    "status",  # of the crop (a key of faults.STATUSES): what was not cropped is not scored
    "reason",  # why the clip ended before, or why this score has no value for it
)


def main(
    crops: Path,
    tracks: Path,
    models: list[Path],
    scores: Path,
    *,
    score: str,
    options: dict,
    weights: dict,
    version: list[int],
) -> None:
    """Write the columns of one score plug-in for every clip of the shard, in the shard's order.

    Where the score comes from models, `{score}_weights` says which weights these had for every clip that they saw.

    Args:
        crops: crop shard.
        tracks: face tracks of the same shard.
        models: the files of the plug-in's models.
        scores: the table.
        score: name of the plug-in.
        options: its options, complete.
        weights: what these models are, see `talkset.models.given`.
        version: of this step and of the plug-in, so that Snakemake sees a change of either.

    Raises:
        ValueError: the plug-in gave other clips or columns than its SPEC says.
    """
    plugin = registry.load("scores", score)
    names = [column.name for column in plugin.SPEC.columns]
    given = pinned.given(weights, models)
    kind = pinned.kind(given.values())
    made_with = {f"{plugin.SPEC.name}_weights": kind} if plugin.SPEC.models else {}
    clips = list(clipdata.read(crops, tracks))
    todo = [clip for clip in clips if clip.record["status"] == "ok"]
    results = {}
    if todo:
        model = plugin.load(options, given)
        found = perclip.in_step(todo, lambda clips: plugin.score(model, clips, options))
        with contextlib.closing(found):
            for clip, values in progress.each(found, len(todo), f"score {score}"):
                if not isinstance(values, ClipFault) and set(values) != set(names):
                    raise ValueError(f"score {score}: gave {sorted(values)}, its SPEC says {sorted(names)}")
                results[clip.clip] = values
    table = []
    for clip in clips:
        row = {"clip": clip.clip, "status": clip.record["status"], "reason": clip.record.get("reason", "")}
        if clip.clip in results:
            values = results[clip.clip]
            row |= made_with
            row |= {"reason": values.reason} if isinstance(values, ClipFault) else _cells(values)
        table.append(row)
    tables.write(scores, (*COLUMNS, *names, *made_with), table)
    if kind == pinned.TINY:
        progress.say(f"score {score}: weights are {kind}: the values mean nothing")


def _cells(values: dict) -> dict[str, str]:
    return {name: tables.cell(value) for name, value in values.items()}


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
