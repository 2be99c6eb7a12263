"""Cut the annotated spans of one shard out of their sources, at source quality, with their sound."""

import json
from contextlib import closing
from pathlib import Path

import av

from talkset import cut, files, glue, progress, shardtar, tables
from talkset.faults import ClipFault, ToolFault
from talkset.media import Source


def main(
    shard_list: Path, media: list[Path], records: list[Path], clips: Path, *, require_window: bool, version: int
) -> None:
    """Write the clip shard: per clip its media file and its record.

    A record of status `ok` holds, beside `clip`, `status`, `reason`, `stage` and `video`: `start`, `end` (seconds, the
    annotation's own text; `start` "0" where it is open), `media` (ending of the member), `stored` (one of `cut.WAYS`)
    and `refused` (why the ways before it did not do), `origin` (stamp in seconds of annotated time 0 in the source),
    `zero` (annotated time = `zero` + stamp x time base, in the member, picture and sound alike), `picture` and `sound`
    (the source's; `picture.width`, `height` are upright with square pixels, `picture.time_base` is the member's),
    `frames` (T at 25 a second), `first_pts`, `last_pts` (in and out point: stamps in the member of the first and the
    last picture of the clip) and `missing_s` (annotated seconds after the end of the picture).

    Args:
        shard_list: clip table rows of the shard.
        media, records: raw videos of the shard and their records, in any order.
        require_window: clips without an annotated window end here.
        version: of this step.

    Raises:
        ToolFault: a raw video that a clip needs is not among the inputs, or cannot be stored exactly.
        OSError: the disk is full or broken.
    """
    listed = list(tables.rows(shard_list))
    by_video = {path.stem: path for path in media}
    raw = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in records}
    with files.scratch(clips) as scratch, closing(_Sources()) as sources, shardtar.Writer(clips) as shard:
        for row in progress.each(listed, len(listed), "cut_clips"):
            record, path = _clip(row, by_video, raw, require_window, sources, scratch)
            shard.add(row["clip"], record, {record["media"]: path} if path else None)
            if path:
                path.unlink()


class _Sources:
    """The source opened last: clips of one video follow each other."""

    def __init__(self):
        self._path, self._source = None, None

    def open(self, path: Path) -> Source:
        if path != self._path or self._source is None:
            self.close()
            self._source, self._path = Source(path), path
        return self._source

    def close(self) -> None:
        if self._source is not None:
            self._source.close()
        self._source = None


def _clip(
    row: dict[str, str],
    by_video: dict[str, Path],
    raw: dict[str, dict],
    require_window: bool,
    sources: _Sources,
    scratch: Path,
) -> tuple[dict, Path | None]:
    """One clip's record and, where its status is `ok`, its media file."""
    clip, video = row["clip"], row["video"]
    if require_window and not row["x0"]:
        reason = "the annotation has no crop window for this clip"
        return {"clip": clip, "status": "no-window", "reason": reason, "stage": "clip"}, None
    if video not in raw or video not in by_video:
        raise ToolFault(f"clip {clip!r} needs raw video {video!r}, which is not among the inputs")
    if raw[video]["status"] != "ok":
        return {"clip": clip, "status": raw[video]["status"], "reason": raw[video]["reason"], "stage": "raw"}, None
    start, end = tables.seconds(row["start"]), tables.seconds(row["end"])
    try:
        fields, path = cut.cut(sources.open(by_video[video]), start or tables.seconds("0"), end, scratch / "clip")
    except ClipFault as fault:
        return {"clip": clip, "status": fault.status, "reason": fault.reason, "stage": "clip"}, None
    except av.error.FFmpegError as error:
        reason = f"the video cannot be read at this clip ({error.strerror})"
        return {"clip": clip, "status": "failed", "reason": reason, "stage": "clip"}, None
    head = {"clip": clip, "status": "ok", "reason": "", "stage": "clip", "video": video}
    return head | {"start": row["start"] or "0", "end": row["end"]} | fields, path


if __name__ == "__main__":
    glue.run(main, snakemake)  # noqa: F821
