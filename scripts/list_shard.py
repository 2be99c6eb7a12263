"""Write the clip table's rows of one shard."""

from pathlib import Path

from talkset import glue, shards, tables
from talkset.faults import ToolFault


def main(clips: Path, shard_list: Path, *, shard: str, digest: str, version: int) -> None:
    """Write `shard_list`: the shard's videos in the index's order, the clips of each in the table's order.

    Args:
        clips: clip table; the index `videos.tsv`, made by the same job, lies beside it.
        shard_list: output, with the clip table's columns.
        shard: name of the shard.
        digest: `shards.Index.digest(shard)` as the Snakefile read it.
        version: of this step.

    Raises:
        ToolFault: clip table and digest do not belong together.
    """
    videos = shards.Index(clips.with_name("videos.tsv")).videos(shard)
    rows_of: dict[str, list[dict]] = {video: [] for video in videos}
    for row in tables.rows(clips):
        if row["video"] in rows_of:
            rows_of[row["video"]].append(row)
    found = shards.join_digests(shards.digest(rows) for rows in rows_of.values())
    if found != digest:
        raise ToolFault(
            f"{clips} gives shard {shard!r} the digest {found}, not {digest} as when this run was planned: "
            "it was changed since; delete it and run the same command again"
        )
    tables.write(shard_list, tables.CLIP_COLUMNS, (row for rows in rows_of.values() for row in rows))


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
